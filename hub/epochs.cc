#include "hub/epochs.h"

#include <algorithm>

namespace hallpass::hub {

Status Epochs::saw_epoch(std::uint64_t index, const Epoch& epoch) {
  const auto wrong = [index](const char* why) {
    return Error{Errc::malformed, "the epoch at entry " + std::to_string(index) + " " + why};
  };
  if (epoch.live_from > index) return wrong("says that nothing before a later entry matters");
  if (epoch.policy >= index) return wrong("names a later entry as the policy in force");
  if (newest_ && epoch.live_from < newest_->live_from) return wrong("reaches farther back than the one before it");
  if (!seen_.empty() && epoch.at < seen_.back().at) return wrong("is older than the one before it");
  newest_ = EpochHint{index, epoch.live_from, epoch.policy};
  if (!policy_ || epoch.policy > *policy_) policy_ = epoch.policy;
  seen_.push_back({index, epoch.at});
  while (seen_.size() > 1 && seen_[1].at <= epoch.at - kLogHorizon) seen_.pop_front();
  return Unit{};
}

UnixTime Epochs::time_of_next(UnixTime now) const {
  return std::max(now, newest_at());
}

bool Epochs::due(UnixTime now, bool policy_before_it) const {
  if (!policy_ && !policy_before_it) return false;
  return seen_.empty() || now >= newest_at() + kEpochEvery;
}

std::uint64_t Epochs::next_live_from(UnixTime now) const {
  std::uint64_t found = newest_ ? newest_->live_from : 0;
  for (const Seen& seen : seen_) {
    if (seen.at <= time_of_next(now) - kLogHorizon) found = std::max(found, seen.index);
  }
  return found;
}

Epoch Epochs::next(UnixTime now, std::optional<std::uint64_t> policy) const {
  Epoch epoch;
  epoch.fleet = fleet_;
  epoch.log = origin_;
  epoch.live_from = next_live_from(now);
  epoch.policy = policy ? *policy : policy_.value_or(0);
  epoch.at = time_of_next(now);
  return epoch;
}

}  // namespace hallpass::hub
