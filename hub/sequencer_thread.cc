#include "hub/sequencer_thread.h"

#include <algorithm>
#include <utility>

#include "core/hash.h"
#include "core/log/tiles.h"

namespace hallpass::hub {
namespace {

constexpr int kError = 3;
constexpr std::chrono::seconds kEpochCheck{60};  // how often an idle log looks whether an epoch is due

Error stopped_error(const std::string& why) {
  return {Errc::unavailable, "the log takes nothing any more, for a write failed (" + why +
                                 "): repair what failed, then restart hallpass-hub; what was acknowledged is safe"};
}

std::optional<Error> fault_of(const std::vector<std::string>& entries) {
  if (entries.empty()) return Error{Errc::malformed, "nothing to append"};
  for (const std::string& entry : entries) {
    if (entry.size() > kMaxEntryBytes) {
      return Error{Errc::too_large, "an entry has " + std::to_string(entry.size()) + " bytes; the log takes " +
                                        std::to_string(kMaxEntryBytes)};
    }
    const EntryKind kind = entry_kind(entry);
    if (kind == EntryKind::epoch) return Error{Errc::malformed, "epochs are written by the log alone"};
    if (kind == EntryKind::policy) return Error{Errc::malformed, "a policy comes with its text (append_policy)"};
  }
  return std::nullopt;
}

}  // namespace

SequencerThread::SequencerThread(SequencerOptions options, std::unique_ptr<LogStore> store)
    : options_(std::move(options)), store_(std::move(store)) {
  WitnessSeams seams;
  seams.post = options_.witness_post;
  seams.files = store_->files();
  seams.tell = options_.tell;
  seams.answered = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    cosignatures_came_ = true;
    woken_.notify_all();
  };
  witnesses_ = std::make_unique<Witnesses>(options_.witnesses, std::move(seams));
}

Result<std::unique_ptr<SequencerThread>> SequencerThread::open(SequencerOptions options, const EachEntry& each) {
  Result<std::unique_ptr<LogStore>> store = LogStore::open(options.store, options.now(), each);
  if (!store) return store.error();
  std::unique_ptr<SequencerThread> made(new SequencerThread(std::move(options), std::move(*store)));
  if (const Status done = made->publish(); !done) return done.error();
  if (const Status done = made->store_->put_hints(); !done) return done.error();
  return made;
}

SequencerThread::~SequencerThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  woken_.notify_all();
  if (thread_.joinable()) thread_.join();
  witnesses_.reset();  // its threads use the mutex
}

void SequencerThread::start() {
  thread_ = std::thread([this] { run(); });
}

void SequencerThread::append(std::vector<std::string> entries, Done done) {
  Group group;
  group.refused = fault_of(entries);
  group.entries = std::move(entries);
  group.done = std::move(done);
  enqueue(std::move(group));
}

void SequencerThread::append_policy(std::string toml, std::string sig, Done done) {
  Group group;
  const Result<PolicyClaim> claim = policy_claim(sig);
  if (!claim) {
    group.refused = claim.error();
  } else if (claim->sha256 != sha256(toml)) {
    group.refused = Error{Errc::mismatch, "the signatures are of another policy text"};
  } else if (entry_kind(sig) != EntryKind::policy || sig.size() > kMaxEntryBytes) {
    group.refused = Error{Errc::malformed, "the signatures are not one canonical envelope of at most 65535 bytes"};
  }
  group.bytes = toml.size();
  group.policy = std::move(toml);
  group.entries.push_back(std::move(sig));
  group.done = std::move(done);
  enqueue(std::move(group));
}

void SequencerThread::enqueue(Group group) {
  for (const std::string& entry : group.entries) group.bytes += entry.size() + 2;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!group.refused && waiting_bytes_ + group.bytes > kMaxWaitingBytes) {
      group.refused = Error{Errc::unavailable, "more waits than the log can hold: send it again in a few seconds"};
    }
    if (group.refused) {
      group.entries.clear();
      group.policy.reset();
      group.bytes = 0;
    }
    waiting_bytes_ += group.bytes;
    queue_.push_back(std::move(group));
  }
  woken_.notify_all();
}

std::string SequencerThread::trouble() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return trouble_;
}

std::shared_ptr<const Published> SequencerThread::published() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return published_;
}

SequencerThread::Counts SequencerThread::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Counts counts = counts_;
  counts.waiting = queue_.size();
  return counts;
}

SequencerThread::Moment SequencerThread::wake_at() const {
  return std::min(cosign_at_, std::chrono::steady_clock::now() + kEpochCheck);
}

void SequencerThread::run() {
  work({});  // an epoch may be due
  while (true) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto something = [this] { return ending_ || cosignatures_came_ || !queue_.empty(); };
    if (stopped_) {
      woken_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    } else {
      woken_.wait_until(lock, wake_at(), something);
    }
    if (ending_ && queue_.empty()) return;
    std::vector<Group> groups = take_batch();
    lock.unlock();
    work(std::move(groups));
    // After the answers; a tile's partial files are at most 255, and most batches fill none.
    while (!stopped_ && store_->prune()) {
    }
  }
}

// A policy ends its batch, so that the next one meets what it has become.
std::vector<SequencerThread::Group> SequencerThread::take_batch() {
  std::vector<Group> groups;
  std::size_t bytes = 0, count = 0;
  while (!queue_.empty()) {
    const Group& next = queue_.front();
    const bool full = count + next.entries.size() > kMaxBatchEntries || bytes + next.bytes > kMaxBatchBytes;
    if (full && count > 0) break;
    bytes += next.bytes;
    count += next.entries.size();
    waiting_bytes_ -= next.bytes;
    groups.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (groups.back().policy) break;
  }
  return groups;
}

Status SequencerThread::put_policy(const Group& group) {
  const Result<PolicyClaim> claim = policy_claim(group.entries.front());
  if (!claim) return claim.error();
  return store_->put_policy(claim->sha256, *group.policy, group.entries.front());
}

// What is to be renewed, and the epoch, after the entries of a batch.
void SequencerThread::add_epoch(std::vector<std::string>& entries, std::vector<std::string>& renewed) {
  const Epochs& epochs = store_->epochs();
  std::optional<std::uint64_t> policy;
  const std::uint64_t first = store_->head().checkpoint.size;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entry_kind(entries[i]) == EntryKind::policy) policy = first + i;
  }
  const UnixTime now = options_.now();
  if (!epochs.due(now, policy.has_value())) return;
  if (options_.renew) renewed = options_.renew(epochs.next_live_from(now));
  const auto unfit = [](const std::string& entry) { return fault_of({entry}).has_value(); };
  renewed.erase(std::remove_if(renewed.begin(), renewed.end(), unfit), renewed.end());
  entries.insert(entries.end(), renewed.begin(), renewed.end());
  entries.push_back(format_epoch(epochs.next(now, policy), options_.store.log_key));
}

// Everything up to the answers.
Status SequencerThread::write(const std::vector<Group>& groups, std::uint64_t& renewed_at,
                              std::vector<std::string>& renewed) {
  std::vector<std::string> entries;
  for (const Group& group : groups) {
    if (group.policy) {
      if (const Status put = put_policy(group); !put) return put;
    }
    entries.insert(entries.end(), group.entries.begin(), group.entries.end());
  }
  renewed_at = store_->head().checkpoint.size + entries.size();
  add_epoch(entries, renewed);
  if (entries.empty()) return cosign_again();
  if (const Status done = store_->append(entries); !done) return done;
  if (!witnesses_->none()) {
    witnesses_->ask(store_->head());
    witnesses_->wait(store_->head().checkpoint.size, kWitnessWait);
  }
  if (const Status done = publish(); !done) return done;
  if (const Status done = store_->put_hints(); !done) return done;
  const std::lock_guard<std::mutex> lock(mutex_);
  ++counts_.batches;
  counts_.entries += entries.size();
  counts_.fsyncs = store_->fsyncs();
  return Unit{};
}

// Nothing to append: a cosignature of ours is due, or one of another witness has come.
Status SequencerThread::cosign_again() {
  const bool due = std::chrono::steady_clock::now() >= cosign_at_;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!due && !cosignatures_came_) return Unit{};
  }
  if (due) witnesses_->ask(store_->head());
  if (const Status done = publish(); !done) return done;
  if (told_) told_(published());
  return Unit{};
}

Status SequencerThread::publish() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    cosignatures_came_ = false;  // before they are read: one that comes now is published the next time
  }
  const LogHead& head = store_->head();
  auto next = std::make_shared<Published>();
  next->size = head.checkpoint.size;
  next->at = options_.now();
  next->note = with_signature(head.note, options_.witness_key.sign_line(format_checkpoint(head.checkpoint), next->at));
  for (const std::string& line : witnesses_->lines(next->size)) next->note = with_signature(next->note, line);
  if (const Status done = store_->publish(next->note); !done) return done;
  cosign_at_ = std::chrono::steady_clock::now() + options_.cosign_every;
  const std::lock_guard<std::mutex> lock(mutex_);
  published_ = std::move(next);
  return Unit{};
}

// Why this group must not come to the disk.
std::optional<Error> SequencerThread::refusal_of(const Group& group) const {
  if (stopped_) return stopped_error(trouble());
  if (group.refused || !group.policy) return group.refused;
  const Result<PolicyClaim> claim = policy_claim(group.entries.front());
  if (!claim) return claim.error();
  const auto& known = store_->policies();
  const auto same = [&](const PolicyHint& policy) { return policy.sha256 == claim->sha256; };
  // Its signatures lie beside the log under its digest, and must stay the bytes of its entry.
  if (std::any_of(known.begin(), known.end(), same)) return Error{Errc::mismatch, "this policy is in the log already"};
  return std::nullopt;
}

void SequencerThread::work(std::vector<Group> waiting) {
  std::vector<Group> groups;
  for (Group& group : waiting) {
    if (const std::optional<Error> why = refusal_of(group)) {
      group.done(*why);
    } else {
      groups.push_back(std::move(group));
    }
  }
  if (stopped_) return;
  const std::uint64_t first = store_->head().checkpoint.size;
  std::uint64_t renewed_at = 0;
  std::vector<std::string> renewed;
  if (const Status done = write(groups, renewed_at, renewed); !done) {
    stop(done.error());
    for (const Group& group : groups) group.done(stopped_error(done.error().message));
    if (options_.stopped) options_.stopped();
    return;
  }
  if (store_->head().checkpoint.size == first) return;
  if (told_) told_(published());
  std::uint64_t index = first;
  for (const Group& group : groups) {
    group.done(index);
    index += group.entries.size();
  }
  if (!renewed.empty() && options_.renewed) options_.renewed(renewed_at, renewed);
}

void SequencerThread::stop(const Error& why) {
  stopped_ = true;
  if (options_.tell) options_.tell(kError, "the log has stopped: " + why.message);
  const std::lock_guard<std::mutex> lock(mutex_);
  trouble_ = why.message;
}

}  // namespace hallpass::hub
