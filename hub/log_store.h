// The log on disk: the files that everyone may read, and beside them the head that we have committed to.
//
// What one batch does, and what a crash leaves after each step:
//   1 bundles and tiles   temporary, fsync, rename; then each directory once. They lie beyond the committed head:
//   nobody
//                         has been promised them, and the next batch writes the same names anew.
//   2 the new head is signed, in memory alone.
//   3 state/committed     compared with what we wrote last, then replaced durably. The commit: before it the old log
//                         stands, after it the new one, whether or not anybody was told.
//   4 log/checkpoint      replaced durably, by publish(). Until then readers have the older head, which is true as
//   well;
//                         the next start publishes.
// So no signed head leaves before every byte under it is durable. A file below the committed head never changes.
//
// Flushes in a batch that stays within one bundle: bundle, tile, their two directories, committed and checkpoint with
// theirs: 8. Two more when its directories are new (once in 256 entries at most), and two for each further file.
// The first error of a write is final (hub/durable.h): every later call fails.
//
//   log/    what readers may have: checkpoint, tile/…, policy/…, and the hints `epoch` and `policies`
//   state/  committed (a signed checkpoint without cosignatures), lock
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/log/epoch.h"
#include "core/log/tile_reader.h"
#include "hub/durable.h"
#include "hub/epochs.h"
#include "hub/landmarks.h"
#include "hub/right_edge.h"

namespace hallpass::hub {

inline constexpr std::string_view kCommittedName = "committed";
inline constexpr std::string_view kLockName = "lock";

struct StoreOptions {
  std::string log_dir, state_dir;
  NoteSigner log_key;
  NoteKey witness;    // our own: its time in log/checkpoint is how we know that our clock does not lag
  std::string fleet;  // of the epochs
};

using EachEntry = std::function<void(std::uint64_t index, std::string_view entry)>;

struct LogHead {
  Checkpoint checkpoint;
  std::string note;  // signed by the log's key alone
};

// Not for several threads, files() excepted.
class LogStore {
 public:
  // Takes the lock for as long as it lives, then verifies what is there: the committed head, the right edge of its
  // tree, its last bundle, the published checkpoint, and every entry from the newest epoch's live_from on against the
  // committed root. Those entries go to `each`, in order; they are proven only when open() has succeeded.
  // Errors: one sentence that begins with the name of what is wrong (hub/log_check.h) and says what to do.
  static Result<std::unique_ptr<LogStore>> open(StoreOptions options, UnixTime now, const EachEntry& each);
  ~LogStore();

  const LogHead& head() const { return head_; }
  // Adds entries (at least one, each at most kMaxEntryBytes) and commits to them. Nothing is published yet.
  Status append(const std::vector<std::string>& entries);
  // `note`: that of head(), cosigned.
  Status publish(const std::string& note);
  // The policy's text and its signatures, durable before its entry is appended.
  Status put_policy(const Digest& sha256, std::string_view toml, std::string_view sig);
  // After publish(): the hints `epoch` and `policies`, where they have changed.
  Status put_hints();

  const Epochs& epochs() const { return landmarks_.epochs; }
  const std::vector<PolicyHint>& policies() const { return landmarks_.policies; }
  LogFiles files() const;  // may be used by any thread for as long as the store lives
  std::uint64_t fsyncs() const { return log_.fsyncs() + state_.fsyncs(); }
  // Removes the partial files of one tile that neither the published head nor the one before it needs. False: none.
  bool prune();

 private:
  struct Prunable {
    RightEdge::FullTile tile;
    std::uint64_t since = 0;  // the size that filled it
  };
  LogStore(StoreOptions options, DurableTree log, DurableTree state);
  Status check(UnixTime now, const EachEntry& each);
  Status commit();

  StoreOptions options_;
  DurableTree log_, state_;
  Descriptor lock_;
  LogHead head_;
  RightEdge edge_;
  Landmarks landmarks_;
  std::string epoch_hint_, policy_hints_;  // as on disk
  std::vector<Prunable> prunable_;
  std::uint64_t published_ = 0, published_before_ = 0;  // sizes
  bool stopped_ = false;
};

}  // namespace hallpass::hub
