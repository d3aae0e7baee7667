#include "hub/log_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/edge/files.h"
#include "core/values/text.h"
#include "hub/log_check.h"

namespace hallpass::hub {
namespace {

constexpr unsigned kImmutable = 0444, kPublic = 0644, kPrivate = 0600;

LogFiles files_below(int fd) {
  return [fd](const std::string& path, std::size_t limit) { return read_file(fd, path, limit); };
}

// The lock file is never renamed or removed, so that all who lock it lock the same one.
Result<Descriptor> take_lock(const DurableTree& state) {
  const std::string name(kLockName);
  Descriptor lock(::openat(state.fd(), name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kPrivate));
  const std::string shown = printable(state.path()) + "/" + name;
  if (!lock.ok()) {
    return refusal("unreadable", "cannot open " + shown + ": " + std::generic_category().message(errno) +
                                     ": give it to the hub's user");
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return refusal("locked",
                     "another hallpass-hub holds " + shown + ": one log has one writer; stop the other first");
    }
    return refusal("unreadable",
                   "cannot lock " + shown + ": " + std::generic_category().message(errno) + ": use a local filesystem");
  }
  return lock;
}

std::string partials_of(std::string path) {
  return std::move(path) + ".p";
}

}  // namespace

LogStore::LogStore(StoreOptions options, DurableTree log, DurableTree state)
    : options_(std::move(options)),
      log_(std::move(log)),
      state_(std::move(state)),
      landmarks_(options_.fleet, options_.log_key.verifier()) {}

LogStore::~LogStore() = default;

Result<std::unique_ptr<LogStore>> LogStore::open(StoreOptions options, UnixTime now, const EachEntry& each) {
  Result<DurableTree> state = DurableTree::open(options.state_dir);
  Result<DurableTree> log = DurableTree::open(options.log_dir);
  for (const auto* tree : {&state, &log}) {
    if (!*tree) return refusal("not_initialised", tree->error().message + ": run `hallpass-hub init` once");
  }
  Result<Descriptor> lock = take_lock(*state);
  if (!lock) return lock.error();
  std::unique_ptr<LogStore> store(new LogStore(std::move(options), std::move(*log), std::move(*state)));
  store->lock_ = std::move(*lock);
  if (const Status good = store->check(now, each); !good) return good.error();
  return store;
}

Status LogStore::check(UnixTime now, const EachEntry& each) {
  const LogToCheck what{files(), files_below(state_.fd()), options_, now};
  Result<CheckedLog> found = check_log(what, landmarks_, each);
  if (!found) return found.error();
  head_ = std::move(found->head);
  edge_ = std::move(found->edge);
  epoch_hint_ = std::move(found->epoch_hint);
  policy_hints_ = std::move(found->policy_hints);
  published_before_ = published_ = found->published.value_or(head_.checkpoint.size);
  std::uint64_t count = head_.checkpoint.size / kTileWidth, tile = kTileWidth;
  // Of the tiles that were filled last, a process before this one may have left the partial files.
  for (unsigned level = 0; count > 0; ++level, count /= kTileWidth, tile *= kTileWidth) {
    for (std::uint64_t back = 1; back <= std::min<std::uint64_t>(count, 8); ++back) {
      prunable_.push_back({{level, count - back}, (count - back + 1) * tile});
    }
  }
  // Whoever wrote it may have been killed before its directory was flushed: what we build on must be durable.
  return state_.put_now(std::string(kCommittedName), head_.note, kPrivate);
}

LogFiles LogStore::files() const {
  return files_below(log_.fd());
}

Status LogStore::commit() {
  const std::string name(kCommittedName);
  const Result<std::string> there = read_file(state_.fd(), name, kMaxNoteBytes);
  if (!there) return there.error();
  if (*there != head_.note) {
    return Error{Errc::mismatch, printable(state_.path()) + "/" + name +
                                     " is not what this hub wrote last: somebody else writes to this log; stop them"};
  }
  Checkpoint next;
  next.origin = head_.checkpoint.origin;
  next.size = edge_.frontier().size();
  next.root = edge_.frontier().root();
  const std::string text = format_checkpoint(next);
  std::string note = with_signature(text, options_.log_key.sign_line(text));
  if (const Status done = state_.put_now(name, note, kPrivate); !done) return done;
  head_ = {std::move(next), std::move(note)};
  return Unit{};
}

Status LogStore::append(const std::vector<std::string>& entries) {
  if (stopped_) return Error{Errc::unavailable, "the log has stopped after an error in writing: restart the hub"};
  stopped_ = true;  // until all has gone well: memory may now be ahead of the disk
  const std::uint64_t first = head_.checkpoint.size;
  for (const RightEdge::File& file : edge_.add(entries)) {
    if (const Status put = log_.put(file.path, file.content, kImmutable); !put) return put;
  }
  if (const Status synced = log_.sync(); !synced) return synced;
  if (const Status committed = commit(); !committed) return committed;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (const Status seen = landmarks_.saw(first + i, entries[i]); !seen) return seen;
  }
  for (const RightEdge::FullTile& tile : edge_.take_filled()) prunable_.push_back({tile, head_.checkpoint.size});
  stopped_ = false;
  return Unit{};
}

Status LogStore::publish(const std::string& note) {
  if (const Status done = log_.put_now(std::string(kCheckpointPath), note, kPublic); !done) return done;
  if (published_ != head_.checkpoint.size) published_before_ = std::exchange(published_, head_.checkpoint.size);
  return Unit{};
}

Status LogStore::put_policy(const Digest& sha256, std::string_view toml, std::string_view sig) {
  if (const Status done = log_.put(policy_text_path(sha256), toml, kPublic); !done) return done;
  if (const Status done = log_.put(policy_signature_path(sha256), sig, kPublic); !done) return done;
  return log_.sync();
}

Status LogStore::put_hints() {
  if (const auto& newest = landmarks_.epochs.newest()) {
    std::string hint = format_epoch_hint(*newest);
    if (hint != epoch_hint_) {
      if (const Status done = log_.put(std::string(kEpochHintPath), hint, kPublic); !done) return done;
      epoch_hint_ = std::move(hint);
    }
  }
  std::string hints = format_policy_hints(landmarks_.policies);
  if (!landmarks_.policies.empty() && hints != policy_hints_) {
    if (const Status done = log_.put(std::string(kPolicyHintsPath), hints, kPublic); !done) return done;
    policy_hints_ = std::move(hints);
  }
  return log_.sync();
}

bool LogStore::prune() {
  for (auto it = prunable_.begin(); it != prunable_.end(); ++it) {
    if (it->since > published_before_) continue;
    const RightEdge::FullTile tile = it->tile;
    prunable_.erase(it);
    log_.discard(partials_of(tile_path(tile.level, tile.index)));
    if (tile.level == 0) log_.discard(partials_of(bundle_path(tile.index)));
    return true;
  }
  return false;
}

}  // namespace hallpass::hub
