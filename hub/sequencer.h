// The one writer of the log: takes entries, puts them in order, makes them durable, signs, publishes, then answers.
// A thread of its own; what it is given while it works goes together into its next batch.
// What a crash leaves at each step: hub/log_store.h.
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
  // Errors: unavailable (the log has stopped: a write failed, which nothing but a restart may follow).
  using Done = std::function<void(Result<std::uint64_t> first)>;
  virtual ~Sequencer() = default;

  // The entries get consecutive indexes. Any thread. Never blocks on the disk.
  virtual void append(std::vector<std::string> entries, Done done) = 0;
  // Any thread; never null.
  virtual std::shared_ptr<const Published> published() const = 0;
  // Called on the sequencer's thread after each publication (a new size, or a fresh cosignature). Set before start.
  virtual void on_published(std::function<void(std::shared_ptr<const Published>)> tell) = 0;
};

}  // namespace hallpass::hub
