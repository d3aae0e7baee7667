#include "cli/hub_mirror.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include "cli/hub_news.h"
#include "cli/output.h"
#include "cli/times.h"
#include "core/edge/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log/merkle.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxStateBytes = std::size_t{256} * 1024;
constexpr Seconds kHostsEvery{60};
constexpr Seconds kHintAfter{1800};  // epochs come once an hour
constexpr std::chrono::milliseconds kLockWait{10000};
constexpr std::chrono::milliseconds kLockLook{50};

// What is remembered of a log whose key nobody told us: enough to notice that it contradicts itself.
struct UnverifiedHead {
  std::uint64_t size = 0;
  Digest root;
  std::uint64_t read_from = 0;
  std::string note;
};

std::string format_unverified(const UnverifiedHead& head) {
  return to_pretty_json(JsonObject{{"size", static_cast<std::int64_t>(head.size)},
                                   {"root", format_digest(head.root)},
                                   {"read_from", static_cast<std::int64_t>(head.read_from)},
                                   {"note", head.note}});
}

std::optional<UnverifiedHead> parse_unverified(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return std::nullopt;
  JsonReader reader(json.value(), "unverified.json");
  UnverifiedHead head;
  constexpr auto kMax = static_cast<std::int64_t>(kMaxLogSize);
  head.size = static_cast<std::uint64_t>(reader.integer("size", 0, kMax));
  const auto root = parse_digest(reader.string("root"));
  head.read_from = static_cast<std::uint64_t>(reader.integer("read_from", 0, kMax));
  head.note = reader.string("note");
  if (!reader.finish() || !root) return std::nullopt;
  head.root = root.value();
  return head;
}

// The text of a note, its signatures unread.
Result<Checkpoint> unverified_checkpoint(std::string_view note) {
  const std::size_t end = note.rfind("\n\n");
  if (end == std::string_view::npos) return Error{Errc::malformed, "the checkpoint is no signed note"};
  return parse_checkpoint(note.substr(0, end + 1));
}

LogRefusal refusal_of(const Error& error) {
  return {error.code == Errc::not_found ? LogFault::missing : LogFault::malformed, error.message};
}

std::string moment_or_empty(const std::optional<UnixTime>& t) {
  return t ? format_time(*t) : "";
}

// The owner of the copy alone: it tells who may do what.
Status make_directory(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (!failed) std::filesystem::permissions(path, std::filesystem::perms::owner_all, failed);
  if (!failed) return Unit{};
  return Error{Errc::unavailable, fmt::format("cannot make {}: {}", path, failed.message())};
}

}  // namespace

struct HubMirror::State {
  std::optional<UnixTime> synced_at, hosts_at;
  bool policies_due = false;  // a policy could not be fetched

  std::string text() const {
    return to_pretty_json(JsonObject{{"synced_at", moment_or_empty(synced_at)},
                                     {"hosts_at", moment_or_empty(hosts_at)},
                                     {"policies_due", Json(policies_due)}});
  }
};

std::string_view to_words(LogFault fault) {
  switch (fault) {
    case LogFault::untrusted:
      return "the log is NOT SIGNED as trust.toml wants";
    case LogFault::rollback:
      return "the log was ROLLED BACK";
    case LogFault::fork:
      return "the log has FORKED";
    case LogFault::missing:
      return "the log LACKS a file";
    case LogFault::damaged:
      return "the log is DAMAGED";
    case LogFault::epoch:
      return "the log's epoch is IMPOSSIBLE";
    case LogFault::malformed:
      break;
  }
  return "the log is MALFORMED";
}

std::string mirror_name(const std::string& url) {
  const std::size_t begin = url.find("://") + 3;
  std::string host = url.substr(begin, url.find_first_of(":/", begin) - begin);
  for (char& c : host) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  if (host.empty() || host.front() == '.') host.insert(0, "_");
  return host + "-" + hex_encode(sha256(as_bytes(url)).bytes).substr(0, 8);
}

Result<MirrorLock> MirrorLock::take(const std::string& root, bool exclusive) {
  const std::string path = root + "/lock";
  MirrorLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.fd_ < 0) {
    return Error{Errc::unavailable, fmt::format("cannot open {}: {}", path, std::generic_category().message(errno))};
  }
  const auto deadline = std::chrono::steady_clock::now() + kLockWait;
  while (flock(lock.fd_, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || std::chrono::steady_clock::now() >= deadline) {
      return Error{Errc::unavailable, fmt::format("another hallpass holds {}", path)};
    }
    std::this_thread::sleep_for(kLockLook);
  }
  return lock;
}

MirrorLock::~MirrorLock() {
  if (fd_ >= 0) close(fd_);
}

HubMirror::HubMirror(HubClient client, std::optional<Trust> trust)
    : client_(std::move(client)),
      trust_(std::move(trust)),
      root_(cache_directory() + "/" + mirror_name(client_.url())) {}

std::string HubMirror::position_path() const {
  return root_ + (verifies() ? "/position.json" : "/unverified.json");
}

HubMirror::State HubMirror::load_state() const {
  State state;
  const auto text = read_file(AT_FDCWD, root_ + "/state.json", kMaxStateBytes);
  const auto json = text ? parse_json(text.value()) : Result<Json>(text.error());
  if (!json) return state;
  JsonReader reader(json.value(), "state.json");
  const auto synced = parse_time(reader.string("synced_at"));
  const auto hosts = parse_time(reader.string("hosts_at"));
  const Json* due = reader.any("policies_due");
  if (synced) state.synced_at = synced.value();
  if (hosts) state.hosts_at = hosts.value();
  state.policies_due = due != nullptr && due->as_bool() != nullptr && *due->as_bool();
  return state;
}

Result<std::string> HubMirror::from_copy(const std::string& path, std::size_t limit) const {
  return read_file(AT_FDCWD, root_ + "/" + path, limit);
}

// From the copy where that may be used, else from the hub; remembers what came.
LogFiles HubMirror::reading(News& news) {
  return [this, &news](const std::string& path, std::size_t limit) -> Result<std::string> {
    if (const auto have = news.files.find(path); have != news.files.end()) return have->second;
    if (news.use_copy) {
      if (auto copy = from_copy(path, limit)) {
        news.used_copy = true;
        return copy;
      }
    }
    auto got = client_.file(path, limit);
    if (got) {
      news.files.emplace(path, got.value());
    } else if (got.error().code == Errc::unavailable || got.error().code == Errc::untrusted) {
      news.trouble = got.error();
    }
    return got;
  };
}

Result<std::optional<EpochHint>> HubMirror::epoch_hint() {
  const auto text = client_.file(std::string(kEpochHintPath), kMaxEpochHintBytes);
  if (!text && (text.error().code == Errc::unavailable || text.error().code == Errc::untrusted)) return text.error();
  const auto hint = text ? parse_epoch_hint(text.value()) : Result<EpochHint>(text.error());
  return hint ? std::optional(hint.value()) : std::nullopt;
}

std::optional<LogRefusal> HubMirror::follow(const std::string& note, UnixTime now, News& news) {
  LogPosition position;
  const auto kept = read_file(AT_FDCWD, position_path(), kMaxStateBytes);
  if (kept && !news.anew) {
    auto parsed = parse_position(kept.value());
    if (!parsed) {
      return LogRefusal{LogFault::malformed, fmt::format("{} cannot be read ({}); to begin anew: rm -r {}",
                                                         position_path(), parsed.error().message, root_)};
    }
    position = std::move(parsed).value();
  }
  const LogFiles files = reading(news);
  auto result = advance(position, note, *trust_->log, trust_->fleet, files, news.hint);
  if (LogRefusal* refused = std::get_if<LogRefusal>(&result)) return std::move(*refused);
  const LogAdvance& next = std::get<LogAdvance>(result);
  news.from = next.from;
  news.size = next.head.checkpoint.size;
  news.jumped = next.jumped || position.origin.empty();
  news.live_from = next.next.live_from;
  for (std::uint64_t i = news.from / kTileWidth; news.from < news.size && i <= (news.size - 1) / kTileWidth; ++i) {
    auto entries = entries_of(next, i, files);
    if (!entries) return refusal_of(entries.error());
    for (LogEntry& e : entries.value()) news.entries.push_back(std::move(e));
  }
  news.position = format_position(next.next);
  const auto seen = next.head.seen_at;
  if (seen && now - *seen > trust_->log->max_age) {
    news.stale = fmt::format("no witness has vouched for the log since {} ({} ago): what came later may be missing",
                             format_time(*seen), rough_duration(now - *seen));
  }
  return std::nullopt;
}

std::optional<LogRefusal> HubMirror::follow_unverified(const std::string& note, News& news) {
  const auto head = unverified_checkpoint(note);
  if (!head) return refusal_of(head.error());
  std::optional<UnverifiedHead> old;
  if (const auto kept = read_file(AT_FDCWD, position_path(), kMaxStateBytes); kept && !news.anew)
    old = parse_unverified(kept.value());
  const std::string had = old ? fmt::format("{} entries were seen before", old->size) : "";
  if (old && head->size < old->size)
    return LogRefusal{LogFault::rollback, fmt::format("it has {} entries now, and {}", head->size, had)};
  std::uint64_t from = old ? old->size : 0;
  if (news.hint && news.hint->live_from >= from + kTileWidth && news.hint->live_from < head->size) {
    news.jumped = true;
    from = news.hint->live_from / kTileWidth * kTileWidth;
  }
  news.jumped = news.jumped || !old;
  TileReader tiles(reading(news), head->size);
  if (old && old->size > 0) {
    const auto before = tiles.root_at(old->size);
    if (!before) return refusal_of(before.error());
    if (!(before.value() == old->root))
      return LogRefusal{LogFault::fork,
                        fmt::format("its first {} entries are others than those seen before", old->size)};
  }
  auto frontier = tiles.frontier_at(from);
  if (!frontier) return refusal_of(frontier.error());
  for (std::uint64_t i = from / kTileWidth; from < head->size && i <= (head->size - 1) / kTileWidth; ++i) {
    const auto bundle = tiles.bundle(i);
    if (!bundle) return refusal_of(bundle.error());
    const auto entries = decode_bundle(bundle->bytes, bundle->count);
    if (!entries) return refusal_of({Errc::malformed, bundle->path + ": " + entries.error().message});
    std::uint64_t index = i * kTileWidth;
    for (const std::string_view entry : entries.value()) {
      if (index >= from) {
        frontier->add(leaf_hash(as_bytes(entry)));
        news.entries.push_back({index, std::string(entry)});
      }
      ++index;
    }
  }
  if (!(frontier->root() == head->root))
    return LogRefusal{LogFault::damaged,
                      fmt::format("its entries from {} on do not give the root of its checkpoint", from)};
  news.from = from;
  news.size = head->size;
  news.live_from = 0;
  news.position = format_unverified({head->size, head->root, old && !news.jumped ? old->read_from : from, note});
  return std::nullopt;
}

// nullopt: read. A file of the copy may be what is damaged: then once more without it.
std::optional<SyncReport> HubMirror::read_news(const std::string& note, UnixTime now, News& news) {
  std::optional<LogRefusal> refused;
  for (const bool use_copy : {true, false}) {
    News fresh;
    fresh.anew = news.anew;
    fresh.hint = news.hint;
    fresh.use_copy = use_copy;
    news = std::move(fresh);
    refused = verifies() ? follow(note, now, news) : follow_unverified(note, news);
    if (!refused || news.trouble || !news.used_copy) break;
  }
  if (!refused) return std::nullopt;
  SyncReport report;
  if (news.trouble) {
    report.outcome = SyncReport::Outcome::away;
    report.error = *news.trouble;
    return report;
  }
  report.outcome = SyncReport::Outcome::refused;
  report.error = {Errc::untrusted, fmt::format("{}: {}", to_words(refused->fault), printable(refused->message, 1000))};
  return report;
}

SyncReport HubMirror::sync(UnixTime now, const std::string* note) {
  SyncReport report;
  if (const auto made = make_directory(root_); !made) {
    report.error = made.error();
    return report;
  }
  const auto lock = MirrorLock::take(root_, true);
  if (!lock) {
    report.error = lock.error();
    report.synced_at = load_state().synced_at;
    return report;
  }
  report = sync_locked(now, note);
  if (!report.synced_at) report.synced_at = load_state().synced_at;
  return report;
}

SyncReport HubMirror::sync_locked(UnixTime now, const std::string* given) {
  SyncReport report;
  State state = load_state();
  News news;
  news.anew = !std::filesystem::exists(dir());
  // Before the checkpoint, lest it names an epoch that this does not hold yet; and only where it may save reading.
  const bool long_ago = !state.synced_at || now - *state.synced_at > kHintAfter || now < *state.synced_at;
  if (news.anew || long_ago) {
    const auto hint = epoch_hint();
    if (!hint) {
      report.error = hint.error();
      return report;
    }
    news.hint = hint.value();
  }
  // One that was fetched before the copy was locked may be older than what another program has read since.
  const auto claimed = given == nullptr ? Result<Checkpoint>(Error{}) : unverified_checkpoint(*given);
  const auto had = claimed ? head() : std::nullopt;
  const bool newer = claimed && (!had || claimed->size > had->size);
  const auto note = newer ? Result<std::string>(*given) : client_.file(std::string(kCheckpointPath), kMaxNoteBytes);
  if (!note) {
    report.error = note.error();
    return report;
  }
  if (auto failed = read_news(note.value(), now, news)) {
    // With the checkpoint of the position, both signed, this is what shows others that the log lied.
    if (failed->outcome == SyncReport::Outcome::refused)
      (void)write_file_durably(root_ + "/refused.checkpoint", note.value(), 0600);
    return *std::move(failed);
  }
  report.changed = !news.entries.empty() || news.jumped;
  if (const auto done = keep_news(news, now, state, report); !done) {
    report.error = done.error();
    return report;
  }
  if (!news.stale.empty()) report.warnings.push_back(news.stale);
  report.outcome = SyncReport::Outcome::fresh;
  report.synced_at = now;
  return report;
}

Status HubMirror::keep_news(News& news, UnixTime now, State& state, SyncReport& report) {
  auto done = make_directory(dir());
  if (done) done = keep_entries(news);
  if (!done) return done;
  if (report.changed) keep_tiles(news);
  if (state.policies_due || report.changed || !std::filesystem::exists(dir() + "/policy.toml")) {
    state.policies_due = !bring_policies(news, report);
    if (done = choose_policy(report); !done) return done;
  }
  if (!state.hosts_at || now - *state.hosts_at >= kHostsEvery || now < *state.hosts_at) {
    bring_hosts(report);
    state.hosts_at = now;
  }
  // After all else: after a crash before this the same entries are read again, which changes nothing.
  if (done = write_file_durably(position_path(), news.position, 0600); !done) return done;
  state.synced_at = now;
  return write_file_durably(root_ + "/state.json", state.text(), 0600);
}

std::optional<HubMirror::Head> HubMirror::head() const {
  const auto text = read_file(AT_FDCWD, position_path(), kMaxStateBytes);
  if (!text) return std::nullopt;
  if (verifies()) {
    const auto position = parse_position(text.value());
    if (!position) return std::nullopt;
    Head head{position->note, position->frontier.size(), position->read_from, std::nullopt};
    if (position->epoch_at != UnixTime{}) head.epoch = EpochHint{position->epoch, position->live_from, 0};
    return head;
  }
  const auto head = parse_unverified(text.value());
  if (!head) return std::nullopt;
  return Head{head->note, head->size, head->read_from, std::nullopt};
}

}  // namespace hallpass::cli
