// Times for people: printed in their zone with the time left, and read back in the forms people type.
#pragma once

#include <string>
#include <string_view>

#include "core/values/result.h"
#include "core/values/time.h"
#include "core/zones.h"

namespace hallpass::cli {

class Times {
 public:
  Times(Zone zone, UnixTime now) : zone_(std::move(zone)), now_(now) {}
  UnixTime now() const { return now_; }

  // "14:32" today, "Mon 23 Nov 14:32" on another day, with the year when that differs.
  std::string brief(UnixTime t) const;
  // "2026-11-21 14:32:05 +01:00"
  std::string full(UnixTime t) const;
  // "14:32 (12m left)"; what is past reads "14:32 (3h ago)".
  std::string with_left(UnixTime t) const;

  // A moment that someone typed: `2026-11-22T08:00:00Z`, `2026-11-22 08:00` and `08:00` in the local zone (the next
  // such time), or a duration from now (`2h`). Error: malformed, listing the forms.
  Result<UnixTime> parse(std::string_view text) const;

 private:
  Result<UnixTime> from_local(Seconds local, std::string_view text) const;
  Zone zone_;
  UnixTime now_;
};

// Two units at most: "45s", "12m", "1h 5m", "3d 2h". Negative counts as zero.
std::string rough_duration(Seconds d);

}  // namespace hallpass::cli
