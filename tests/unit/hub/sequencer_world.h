// A sequencer on a log of its own, with a clock moved by hand, and answers to wait for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "hub/sequencer_thread.h"
#include "tests/unit/hub/log_world.h"

namespace hallpass::hub::testing {

// What comes on other threads, awaited here.
template <class T>
class Mailbox {
 public:
  void put(T value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  // The next one; none within 20 s ends the test.
  T take() {
    std::unique_lock<std::mutex> lock(mutex_);
    must(changed_.wait_for(lock, std::chrono::seconds(20), [this] { return !values_.empty(); }));
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }
  bool empty() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return values_.empty();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

struct SequencerWorld {
  LogWorld disk;
  std::atomic<long long> clock{to_unix(kNow)};
  Mailbox<Result<std::uint64_t>> answers;
  Mailbox<std::shared_ptr<const Published>> heads;
  Mailbox<std::string> told;  // "<priority> words"
  std::atomic<int> stops{0};
  std::vector<std::pair<std::uint64_t, std::string>> restored;
  std::unique_ptr<SequencerThread> log;

  SequencerWorld() { disk.make(); }

  SequencerOptions options() {
    SequencerOptions made{disk.options(), disk.witness_signer(), {}, {}, Seconds{3600}, {}, {}, {}, {}, {}};
    made.now = [this] { return from_unix(clock); };
    made.witness_post = [] {
      return [](const std::string&, std::string_view) -> Result<HttpAnswer> {
        return Error{Errc::unavailable, "none"};
      };
    };
    made.stopped = [this] { ++stops; };
    made.tell = [this](int priority, const std::string& words) { told.put(std::to_string(priority) + " " + words); };
    return made;
  }
  void open(SequencerOptions made) {
    restored.clear();
    log = must(SequencerThread::open(
        std::move(made), [this](std::uint64_t index, std::string_view entry) { restored.emplace_back(index, entry); }));
    log->on_published([this](std::shared_ptr<const Published> head) { heads.put(std::move(head)); });
  }
  void start() {
    open(options());
    log->start();
  }

  Sequencer::Done answer() {
    return [this](Result<std::uint64_t> first) { answers.put(std::move(first)); };
  }
  Result<std::uint64_t> append(std::vector<std::string> entries) {
    log->append(std::move(entries), answer());
    return answers.take();
  }
  void add(std::vector<std::string> entries) { must(append(std::move(entries)).has_value()); }
  Result<std::uint64_t> append_policy(std::int64_t version) {
    const PolicyFiles files = policy_files(version);
    log->append_policy(files.toml, files.sig, answer());
    return answers.take();
  }
  LogTrust trust() const {
    LogTrust trust;
    trust.log = disk.log_signer().verifier();
    trust.witnesses = {disk.witness_signer().verifier()};
    return trust;
  }
  // The entry at `index`, out of the files; empty: none.
  std::string entry(std::uint64_t index) const {
    const LogFiles files = log->files();
    TileReader reader(files, log->published()->size);
    const auto bundle = reader.bundle(index / kTileWidth);
    if (!bundle) return "";
    const auto list = decode_bundle(bundle->bytes, bundle->count);
    return !list || index % kTileWidth >= list->size() ? "" : std::string((*list)[index % kTileWidth]);
  }
  bool published_is_true() const {
    const auto head = log->published();
    const auto verified = verify_checkpoint(head->note, trust());
    if (!verified || verified->checkpoint.size != head->size || read_text(disk.log + "/checkpoint") != head->note)
      return false;
    const auto root = TileReader(log->files(), head->size).root_at(head->size);
    return root && *root == verified->checkpoint.root;
  }
};

}  // namespace hallpass::hub::testing
