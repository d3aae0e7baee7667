// When the log gets its next epoch, and what that says. Pure: time and entries are passed in.
//
// An epoch an hour, once there is a policy to name. Its live_from is the index of the newest epoch that is at least
// kLogHorizon old, else 0: whatever lies before it was in the log so long ago that it can no longer matter, but for
// revocations of keys, which are put into the log again first (SequencerOptions::renew).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "core/log/epoch.h"

namespace hallpass::hub {

inline constexpr Seconds kEpochEvery{3600};

class Epochs {
 public:
  Epochs(std::string fleet, std::string origin) : fleet_(std::move(fleet)), origin_(std::move(origin)) {}

  // Entries of the log, in its order. Error: malformed (an epoch that no hub of ours writes; the sentence says why).
  Status saw_epoch(std::uint64_t index, const Epoch& epoch);
  void saw_policy(std::uint64_t index) { policy_ = index; }

  // None for an hour, and a policy is in the log (or among the entries that go before it).
  bool due(UnixTime now, bool policy_before_it = false) const;
  std::uint64_t next_live_from(UnixTime now) const;
  // To be appended at `now`; `policy`: of the entries that go before it, the newest policy's index.
  Epoch next(UnixTime now, std::optional<std::uint64_t> policy) const;

  const std::optional<EpochHint>& newest() const { return newest_; }
  UnixTime newest_at() const { return seen_.empty() ? UnixTime{} : seen_.back().at; }
  std::optional<std::uint64_t> policy() const { return policy_; }

 private:
  struct Seen {
    std::uint64_t index = 0;
    UnixTime at{};
  };
  UnixTime time_of_next(UnixTime now) const;  // a clock set back must not make an epoch older than the one before

  std::string fleet_, origin_;
  std::deque<Seen> seen_;  // in order; the first is the newest that is over the horizon, all after it are younger
  std::optional<EpochHint> newest_;
  std::optional<std::uint64_t> policy_;
};

}  // namespace hallpass::hub
