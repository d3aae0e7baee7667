// Time zones as data, and a rule's `hours`. Zone data comes from the caller (core/edge/tzdb.h reads the system's).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

struct Zone {
  struct Period {
    UnixTime begin;  // from here on (the first period begins at UnixTime::min())
    Seconds offset;  // local = UTC + offset
  };
  std::vector<Period> periods;  // at least one, ascending
  Seconds offset_at(UnixTime t) const;
  std::optional<UnixTime> next_change(UnixTime after) const;
};

using ZoneTable = std::map<std::string, Zone, std::less<>>;  // by IANA name

// "Mon-Fri 07:00-19:00 Europe/Berlin", "Sat,Sun 22:00-06:00 UTC", "Mon-Sun 00:00-24:00 UTC": the days on which the span
// begins, a half-open span of local wall-clock time that may run past midnight, an IANA zone.
struct Hours {
  std::string text;
  unsigned days = 0;     // bit 0 is Monday: the local day on which a span begins
  int begin_minute = 0;  // 0..1439
  int end_minute = 0;    // 1..1440; at or below begin_minute: ends on the next day
  std::string zone;
  static Result<Hours> parse(std::string_view text);
};

// When t lies in the union of the spans: the end of that stretch (capped at t + 8 days); else nullopt. A zone that is
// not in the table covers nothing. Wall-clock semantics: in the hour that a daylight-saving change repeats, both passes
// count; a time that it skips has no instant.
std::optional<UnixTime> hours_until(std::span<const Hours> hours, const ZoneTable& zones, UnixTime t);

}  // namespace hallpass
