#include "cli/log_report.h"

#include <fmt/core.h>

#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxInvalidShown = 20;

// Counts what is there; a statement whose signature is wrong was let in by somebody who should not.
void count(LogReport& report, const LogEntry& entry, const Policy* policy) {
  switch (entry_kind(entry.bytes)) {
    case EntryKind::epoch:
      ++report.epochs;
      return;
    case EntryKind::policy:
      ++report.policies;
      return;
    case EntryKind::unknown:  // of a newer hub
      ++report.unknown;
      return;
    case EntryKind::statement:
      ++report.statements;
      break;
  }
  if (policy == nullptr) return;
  const auto statement = open_statement(entry.bytes, policy->fleet, *policy);
  // Keys come and go with policies: only the policy of its day could say more.
  if (statement || statement.error().code == Errc::unknown_key || statement.error().code == Errc::mismatch) return;
  const std::string& why = statement.error().message;
  if (report.invalid.size() < kMaxInvalidShown)
    report.invalid.push_back(
        fmt::format("entry {} is nothing that a hub may take: {}", entry.index, printable(why, 500)));
}

LogReport report_of(const LogAdvance& read, const LogTrust& trust) {
  LogReport report;
  report.head = read.head;
  report.trust = trust;
  report.from = read.from;
  if (read.next.epoch_at != UnixTime{}) report.epoch_at = read.next.epoch_at;
  report.epoch = read.next.epoch;
  report.live_from = read.next.live_from;
  return report;
}

}  // namespace

std::variant<LogReport, LogRefusal, Error> verify_log(Context& context, HubMirror& mirror, bool full) {
  std::optional<EpochHint> hint;
  if (!full) {
    const auto asked = mirror.epoch_hint();
    if (asked) hint = asked.value();
  }
  const SyncReport synced = mirror.sync(Context::now());
  if (synced.outcome == SyncReport::Outcome::refused) return synced.error;
  const auto head = mirror.head();
  if (!head) return synced.error;
  const bool away = synced.outcome == SyncReport::Outcome::away;
  if (away) {
    context.out().warn(fmt::format("{}; verifying the copy that is here", synced.error.message));
    if (!full) hint = head->epoch;
  }
  const LogFiles files = away ? mirror.files() : LogFiles([&mirror](const std::string& path, std::size_t limit) {
    return mirror.client().file(path, limit);
  });
  const Trust& trust = *mirror.trust();
  auto result = advance({}, head->note, *trust.log, trust.fleet, files, hint);
  if (auto* refused = std::get_if<LogRefusal>(&result)) {
    if (away && refused->fault == LogFault::missing)
      return Error{Errc::unavailable,
                   "the copy does not hold all that verifying needs; try again when the hub answers"};
    return std::move(*refused);
  }
  const LogAdvance& read = std::get<LogAdvance>(result);
  LogReport report = report_of(read, *trust.log);
  const auto workspace = Workspace::open(mirror.dir());
  const std::uint64_t size = read.head.checkpoint.size;
  for (std::uint64_t i = read.from / kTileWidth; read.from < size && i <= (size - 1) / kTileWidth; ++i) {
    const auto entries = entries_of(read, i, files);
    if (!entries) return entries.error();
    for (const LogEntry& entry : entries.value()) count(report, entry, workspace ? &workspace->policy() : nullptr);
    context.out().progress(fmt::format("{} of {} entries", std::min((i + 1) * kTileWidth, size), size));
  }
  context.out().progress({});
  return report;
}

std::vector<std::string> report_lines(const LogReport& r, const Times& times) {
  const Checkpoint& head = r.head.checkpoint;
  std::vector<std::string> out;
  const auto row = [&](std::string_view label, const std::string& text) { out.push_back(pad(label, 11) + text); };
  row("Log", printable(head.origin));
  row("Size", fmt::format("{} entries; read and verified from {}", head.size,
                          r.from == 0 ? "the first on" : fmt::format("entry {} on", r.from)));
  row("Root", base64_encode(head.root.bytes));
  row("Signed by", printable(r.trust.log.text()));
  std::string label = "Seen by";
  for (const NoteSignature& s : r.head.cosignatures) {
    row(label, fmt::format("{} {}", printable(s.key.name), times.with_left(s.at)));
    label.clear();
  }
  if (r.trust.witnesses.empty()) row(label, "no witness: trust.toml names none, so nothing tells how fresh this is");
  if (r.head.seen_at && times.now() - *r.head.seen_at > r.trust.max_age)
    row("", fmt::format("STALE: older than {}, what came later may be missing", format_duration(r.trust.max_age)));
  row("Epoch", r.epoch_at ? fmt::format("entry {}, {}; what matters begins at entry {}", r.epoch,
                                        times.with_left(*r.epoch_at), r.live_from)
                          : "none yet");
  const std::string unknown =
      r.unknown == 0 ? "" : fmt::format(", {} of kinds that this program does not know", r.unknown);
  row("Holds", fmt::format("{}, {}, {}{}", count_of(r.statements, "statement"),
                           count_of(r.policies, "policy", "policies"), count_of(r.epochs, "epoch"), unknown));
  return out;
}

Json to_json_value(const LogReport& r, UnixTime now) {
  const auto number = [](std::uint64_t n) { return Json(static_cast<std::int64_t>(n)); };
  JsonArray cosignatures, invalid;
  for (const NoteSignature& s : r.head.cosignatures) {
    cosignatures.emplace_back(JsonObject{
        {"name", s.key.name}, {"at", format_time(s.at)}, {"age", static_cast<std::int64_t>((now - s.at).count())}});
  }
  for (const std::string& fault : r.invalid) invalid.emplace_back(fault);
  const bool stale = r.head.seen_at && now - *r.head.seen_at > r.trust.max_age;
  Json epoch;
  if (r.epoch_at)
    epoch =
        JsonObject{{"index", number(r.epoch)}, {"live_from", number(r.live_from)}, {"at", format_time(*r.epoch_at)}};
  return JsonObject{{"origin", r.head.checkpoint.origin},
                    {"size", number(r.head.checkpoint.size)},
                    {"root", base64_encode(r.head.checkpoint.root.bytes)},
                    {"from", number(r.from)},
                    {"cosignatures", std::move(cosignatures)},
                    {"quorum", r.trust.quorum},
                    {"stale", Json(stale)},
                    {"epoch", std::move(epoch)},
                    {"statements", number(r.statements)},
                    {"policies", number(r.policies)},
                    {"epochs", number(r.epochs)},
                    {"unknown", number(r.unknown)},
                    {"invalid", std::move(invalid)}};
}

}  // namespace hallpass::cli
