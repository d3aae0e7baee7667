// The sequencer of a log on this machine's disk: hub/sequencer.h by one thread over hub/log_store.h.
//
// A batch is all that waits when the one before it is done, up to 1024 entries or 4 MiB (one append() is never split):
//   entries durable, head signed and committed -> our cosignature -> other witnesses, at most 1 s -> log/checkpoint
//   replaced durably -> hints -> on_published -> each Done
// Between batches: a fresh cosignature every minute, an epoch every hour, old partial tiles removed. The first error in
// writing stops the log for good: what waits and what comes is answered `unavailable`, and `stopped` is called once.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "hub/config.h"
#include "hub/log_store.h"
#include "hub/sequencer.h"
#include "hub/witness_client.h"

namespace hallpass::hub {

inline constexpr std::size_t kMaxBatchEntries = 1024;
inline constexpr std::size_t kMaxBatchBytes = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t kMaxWaitingBytes = std::size_t{64} * 1024 * 1024;
inline constexpr std::chrono::milliseconds kWitnessWait{1000};

struct SequencerOptions {
  StoreOptions store;
  NoteSigner witness_key;  // a cosignature key; store.witness is its verifier
  std::vector<WitnessConfig> witnesses;
  std::function<UnixTime()> now;
  Seconds cosign_every{60};
  std::function<WitnessPost()> witness_post = http_witness_post();

  // All of these are called on the sequencer's thread, with no lock held.
  // Entries to be put into the log again before the epoch that leaves them behind: of what is older than that, what
  // matters for good (revocations of keys). `renewed`: they are in, the first at that index.
  std::function<std::vector<std::string>(std::uint64_t next_live_from)> renew;
  std::function<void(std::uint64_t first, const std::vector<std::string>& entries)> renewed;
  std::function<void()> stopped;                        // trouble() says why; the process should end and say so
  std::function<void(int priority, std::string)> tell;  // for the operator; also on the threads of witnesses
};

class SequencerThread final : public Sequencer {
 public:
  // Opens and verifies the log as LogStore::open, publishes its head with a fresh cosignature, and starts nothing.
  // Errors: those of LogStore::open; unavailable.
  static Result<std::unique_ptr<SequencerThread>> open(SequencerOptions options, const EachEntry& each);
  ~SequencerThread() override;  // what waits is still taken
  void start();

  void append(std::vector<std::string> entries, Done done) override;
  void append_policy(std::string toml, std::string sig, Done done) override;
  std::string trouble() const override;
  std::shared_ptr<const Published> published() const override;
  void on_published(std::function<void(std::shared_ptr<const Published>)> tell) override { told_ = std::move(tell); }

  // Before start() only.
  const std::vector<PolicyHint>& policies() const { return store_->policies(); }
  LogFiles files() const { return store_->files(); }

  // Any thread.
  struct Counts {
    std::uint64_t batches = 0, entries = 0, fsyncs = 0, waiting = 0;
  };
  Counts counts() const;

 private:
  using Moment = std::chrono::steady_clock::time_point;
  struct Group {
    std::vector<std::string> entries;
    std::size_t bytes = 0;
    std::optional<std::string> policy;  // its text; the entry is then its signatures
    std::optional<Error> refused;       // before it came to the disk
    Done done;
  };
  SequencerThread(SequencerOptions options, std::unique_ptr<LogStore> store);

  void enqueue(Group group);
  void run();
  Moment wake_at() const;
  std::vector<Group> take_batch();
  void work(std::vector<Group> waiting);
  std::optional<Error> refusal_of(const Group& group) const;
  Status write(const std::vector<Group>& groups, std::uint64_t& renewed_at, std::vector<std::string>& renewed);
  Status put_policy(const Group& group);
  void add_epoch(std::vector<std::string>& entries, std::vector<std::string>& renewed);
  Status publish();
  Status cosign_again();
  void stop(const Error& why);

  SequencerOptions options_;
  std::unique_ptr<LogStore> store_;
  std::function<void(std::shared_ptr<const Published>)> told_;

  mutable std::mutex mutex_;
  std::condition_variable woken_;
  std::deque<Group> queue_;
  std::size_t waiting_bytes_ = 0;
  bool ending_ = false, cosignatures_came_ = false;
  std::string trouble_;
  std::shared_ptr<const Published> published_;
  Counts counts_;

  // The thread's own.
  Moment cosign_at_{};
  bool stopped_ = false;
  std::unique_ptr<Witnesses> witnesses_;
  std::thread thread_;
};

}  // namespace hallpass::hub
