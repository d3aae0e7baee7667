// The epochs among the new entries of a log: whether each claims what can be. Internal to follower.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/log/follower.h"

namespace hallpass {

class EpochWatch {
 public:
  // hint: the epoch by which the reader jumped, which must be among the entries.
  EpochWatch(const LogPosition& position, std::string_view fleet, const NoteKey& log_key,
             const std::optional<EpochHint>& hint);

  // Entries in ascending order. After the first fault nothing more is looked at: what was taken is not verified yet,
  // and may be anything.
  void take(std::uint64_t index, std::string_view entry);
  std::optional<std::string> fault() const;  // call after the last entry
  void put_into(LogPosition& next) const;

 private:
  std::string wrong_with(std::uint64_t index, const Epoch& epoch) const;
  std::string_view fleet_;
  const NoteKey& log_key_;
  std::optional<EpochHint> hint_;
  bool hint_seen_ = false;
  std::uint64_t live_from_ = 0;
  std::vector<std::pair<std::uint64_t, UnixTime>> known_;  // index and time of the epochs, ascending
  std::string fault_;
};

}  // namespace hallpass
