// The one writer of the log: takes entries, puts them in order, makes them durable, signs, publishes, then answers.
// A thread of its own; what it is given while it works goes together into its next batch.
// What a crash leaves at each step: hub/log_store.h. Made by SequencerThread::open (hub/sequencer_thread.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/values/result.h"

namespace hallpass::hub {

// The head as everyone may have it: durable, and borne out by the files.
struct Published {
  std::uint64_t size = 0;
  std::string note;  // with the newest cosignatures
  UnixTime at{};     // of our own cosignature
};

class Sequencer {
 public:
  // Called once, on the sequencer's thread: the index of the first entry, when all are durable and published.
  // Errors: unavailable (the log has stopped: a write failed, which nothing but a restart may follow; or more waits
  // than it will hold), malformed (no entry), too_large (an entry over kMaxEntryBytes).
  using Done = std::function<void(Result<std::uint64_t> first)>;
  virtual ~Sequencer() = default;

  // The entries get consecutive indexes. Any thread. Never blocks on the disk.
  virtual void append(std::vector<std::string> entries, Done done) = 0;
  // A policy: its text is made durable beside the log first (policy/<hex>.toml and .sig), then `sig`, its entry, is
  // appended. Verified by the caller; here only: `sig` is a policy's envelope over the SHA-256 of `toml`, else
  // mismatch.
  virtual void append_policy(std::string toml, std::string sig, Done done) = 0;
  // Empty while it works; else the sentence that says why it has stopped. Any thread.
  virtual std::string trouble() const = 0;
  // Any thread; never null.
  virtual std::shared_ptr<const Published> published() const = 0;
  // Called on the sequencer's thread after each publication (a new size, or a fresh cosignature). Set before start.
  virtual void on_published(std::function<void(std::shared_ptr<const Published>)> tell) = 0;
};

}  // namespace hallpass::hub
