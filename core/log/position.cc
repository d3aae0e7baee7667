// What a reader of the log remembers, as JSON.
#include "core/json.h"
#include "core/log/follower.h"

namespace hallpass {
namespace {

constexpr std::string_view kPositionVersion = "log-position/1";
constexpr auto kMaxIndex = static_cast<std::int64_t>(kMaxLogSize);

Json index_json(std::uint64_t index) {
  return static_cast<std::int64_t>(index);
}

std::uint64_t read_index(JsonReader& reader, std::string_view name) {
  return static_cast<std::uint64_t>(reader.integer(name, 0, kMaxIndex));
}

std::vector<Digest> read_nodes(JsonReader& reader) {
  std::vector<Digest> nodes;
  const Json* member = reader.any("nodes");
  const JsonArray* list = member == nullptr ? nullptr : member->as_array();
  if (list == nullptr) {
    reader.fail("nodes", "must be a list");
    return nodes;
  }
  for (const Json& row : *list) {
    const std::string* text = row.as_string();
    const Result<Digest> node = text == nullptr ? Error{} : parse_digest(*text);
    if (!node) {
      reader.fail("nodes", "must hold digests");
      return nodes;
    }
    nodes.push_back(*node);
  }
  return nodes;
}

// A position that has changed on the disk must not look like a log that has forked.
Status fits_its_note(const LogPosition& position) {
  const Error wrong{Errc::malformed,
                    "the position in the log does not fit the checkpoint in it; remove it to begin anew"};
  if (position.origin.empty()) {
    if (position.note.empty() && position.frontier.size() == 0) return Unit{};
    return wrong;
  }
  const std::size_t blank = position.note.rfind("\n\n");
  if (blank == std::string::npos) return wrong;
  const Result<Checkpoint> checkpoint = parse_checkpoint(position.note.substr(0, blank + 1));
  const Checkpoint own{position.origin, position.frontier.size(), position.frontier.root()};
  if (!checkpoint || !(*checkpoint == own)) return wrong;
  return Unit{};
}

}  // namespace

std::string format_position(const LogPosition& position) {
  JsonArray nodes;
  for (const Digest& node : position.frontier.nodes()) nodes.emplace_back(format_digest(node));
  const bool has_epoch = position.epoch_at != UnixTime{};
  return to_pretty_json(JsonObject{{"hallpass", Json(kPositionVersion)},
                                   {"origin", Json(position.origin)},
                                   {"size", index_json(position.frontier.size())},
                                   {"nodes", Json(std::move(nodes))},
                                   {"note", Json(position.note)},
                                   {"live_from", index_json(position.live_from)},
                                   {"epoch", index_json(position.epoch)},
                                   {"epoch_at", has_epoch ? Json(format_time(position.epoch_at)) : Json()},
                                   {"read_from", index_json(position.read_from)}});
}

Result<LogPosition> parse_position(std::string_view json) {
  const Result<Json> parsed = parse_json(json);
  if (!parsed) return Error{Errc::malformed, "the position in the log: " + parsed.error().message};
  JsonReader reader(*parsed, "the position in the log");
  if (reader.string("hallpass") != kPositionVersion) reader.fail("hallpass", "is not \"log-position/1\"");
  LogPosition position;
  position.origin = reader.string("origin");
  const std::uint64_t size = read_index(reader, "size");
  std::optional<Frontier> frontier = Frontier::from(size, read_nodes(reader));
  if (!frontier) reader.fail("nodes", "has not one hash for each bit of \"size\"");
  position.note = reader.string("note");
  position.live_from = read_index(reader, "live_from");
  position.epoch = read_index(reader, "epoch");
  if (const Json* at = reader.nullable("epoch_at")) {
    const std::string* text = at->as_string();
    const Result<UnixTime> time = text == nullptr ? Error{} : parse_time(*text);
    if (time) position.epoch_at = *time;
    if (!time) reader.fail("epoch_at", "is not a time as 2026-01-31T12:00:00Z");
  }
  position.read_from = read_index(reader, "read_from");
  if (const Status finished = reader.finish(); !finished) return finished.error();
  position.frontier = std::move(*frontier);
  if (const Status fits = fits_its_note(position); !fits) return fits.error();
  return position;
}

}  // namespace hallpass
