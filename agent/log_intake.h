// What the agent takes from the log: a mirror's files, which nobody vouches for, verified against the head that the log
// and its witnesses signed. docs/architecture.md, "The log".
//
// A head is verified with all its files first; then its entries are handed over, a bundle at a time; when the last has
// been taken, the position is remembered. A crash in between hands them over once more, and what is known is known.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/journal.h"
#include "agent/mirror_files.h"
#include "core/log/follower.h"
#include "host/clock.h"

namespace hallpass {

// Who takes what is read.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // A statement that the log holds at `index`. `proven`: by the head that is being read. Errors: unknown_key, mismatch
  // (may count under a later policy), unavailable (again later), others are final.
  virtual Status logged(std::string_view envelope, std::uint64_t index, bool proven) = 0;
  // The newest epoch among the entries that were handed over.
  virtual void epoch_read(const Epoch& epoch, std::uint64_t index) = 0;
  // Everything before it was handed over and must be durable when this returns. Errors: unavailable.
  virtual Status remember(const LogPosition& position) = 0;
};

class LogIntake {
 public:
  static constexpr Seconds kMaxAheadOfUs{120};  // a witness's clock may be, against this host's

  // `mirror` empty: no files are read; only proofs that people carry are judged by `trust`.
  LogIntake(const std::string& mirror, LogTrust trust, std::string fleet, LogSink& sink, Journal& journal);

  void restore(LogPosition position);  // what the ledger remembers
  void forget();                       // the ledger was given up
  void head_changed();                 // or may have, and the files beside it
  void policy_changed();               // what waited for one is handed over again
  void try_again();                    // after a disk that took nothing
  void read_everything_again();        // of what still matters: some that was taken could not be kept
  bool busy() const { return look_ || advance_ || !due_.empty() || !reread_.empty(); }
  // One portion of work, a bundle or so. True when there is more.
  bool step();

  // The time that a quorum of witnesses vouches for in the newest head; nullopt: none was seen.
  std::optional<UnixTime> seen_at() const { return seen_at_; }
  // By the wall clock alone, and only one that the kernel calls synchronised: else nothing proves what time it is.
  bool fresh(const ClockReading& reading) const;
  std::string why_stale(const ClockReading& reading) const;

  const LogPosition& position() const { return position_; }
  const LogTrust& trust() const { return trust_; }
  const std::string& fault() const { return fault_; }  // of the head in the mirror; empty: none
  std::size_t waiting() const { return waiting_.size(); }
  std::uint64_t refused() const { return refused_; }

 private:
  void look();
  void refuse(const LogRefusal& refusal);
  void hand_over(std::uint64_t bundle);
  void hand_over_statement(std::uint64_t index, const std::string& envelope, const Digest& leaf, bool proven);
  void finish();
  void read_again(std::uint64_t bundle, bool everything);
  void files_away(std::uint64_t bundle, bool everything);

  MirrorFiles mirror_;
  bool has_mirror_;
  LogTrust trust_;
  std::string fleet_;
  LogSink& sink_;
  Journal& journal_;

  LogPosition position_;
  std::optional<UnixTime> seen_at_;
  std::string note_, fault_;  // looked at last
  bool look_ = false;
  std::optional<LogAdvance> advance_;
  std::uint64_t next_bundle_ = 0;
  bool postponed_ = false;  // an entry could not be kept: the whole advance again, later
  std::optional<std::pair<Epoch, std::uint64_t>> epoch_;
  std::map<std::uint64_t, Digest> waiting_;  // for another policy: index, leaf hash
  std::map<std::uint64_t, Digest> due_;      // of those, to be read now
  bool waiting_overflowed_ = false;          // more waited than is remembered one by one
  // After a start what an earlier run may have left waiting is read once more: bundles, and those of them whose file
  // was not to be had, which are read when something changes.
  std::set<std::uint64_t> reread_, unread_;
  std::uint64_t refused_ = 0;
};

}  // namespace hallpass
