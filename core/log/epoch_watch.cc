#include "core/log/epoch_watch.h"

#include <algorithm>

namespace hallpass {

EpochWatch::EpochWatch(const LogPosition& position, std::string_view fleet, const NoteKey& log_key,
                       const std::optional<EpochHint>& hint)
    : fleet_(fleet), log_key_(log_key), hint_(hint), live_from_(position.live_from) {
  if (position.epoch_at != UnixTime{}) known_.emplace_back(position.epoch, position.epoch_at);
}

// Empty: nothing.
std::string EpochWatch::wrong_with(std::uint64_t index, const Epoch& epoch) const {
  if (epoch.live_from > index) return "it says that entries after itself no longer matter";
  if (epoch.policy >= index) return "its policy would come after it, as entry " + std::to_string(epoch.policy);
  if (epoch.live_from < live_from_) {
    return "it reaches back to entry " + std::to_string(epoch.live_from) + ", farther than the epoch before it (" +
           std::to_string(live_from_) + ")";
  }
  if (!known_.empty() && epoch.at < known_.back().second) {
    return "its time " + format_time(epoch.at) + " is before that of the epoch before it, " +
           format_time(known_.back().second);
  }
  // Entries after an epoch are younger than it; so an epoch that is left behind must be old enough.
  const auto after = std::partition_point(known_.begin(), known_.end(),
                                          [&](const auto& known) { return known.first < epoch.live_from; });
  if (after != known_.begin() && epoch.at - std::prev(after)->second < kLogHorizon) {
    return "it leaves behind entries younger than " + format_duration(kLogHorizon) +
           ", which can still matter: those from " + std::to_string(std::prev(after)->first) + " to " +
           std::to_string(epoch.live_from);
  }
  return {};
}

void EpochWatch::take(std::uint64_t index, std::string_view entry) {
  if (!fault_.empty() || entry_kind(entry) != EntryKind::epoch) return;
  const Result<Epoch> epoch = open_epoch(entry, fleet_, log_key_);
  const std::string wrong = epoch ? wrong_with(index, *epoch) : epoch.error().message;
  if (!wrong.empty()) {
    fault_ = "entry " + std::to_string(index) + " is an epoch that cannot be: " + wrong;
    return;
  }
  if (hint_ && hint_->index == index) {
    hint_seen_ = hint_->live_from == epoch->live_from && hint_->policy == epoch->policy;
  }
  live_from_ = epoch->live_from;
  known_.emplace_back(index, epoch->at);
}

std::optional<std::string> EpochWatch::fault() const {
  if (!fault_.empty()) return fault_;
  if (hint_ && !hint_seen_) {
    return "the hint in the file epoch is not true: entry " + std::to_string(hint_->index) +
           " is no epoch with live_from " + std::to_string(hint_->live_from) + " and policy " +
           std::to_string(hint_->policy) + "; get the file again";
  }
  return std::nullopt;
}

void EpochWatch::put_into(LogPosition& next) const {
  next.live_from = live_from_;
  if (known_.empty()) return;
  next.epoch = known_.back().first;
  next.epoch_at = known_.back().second;
}

}  // namespace hallpass
