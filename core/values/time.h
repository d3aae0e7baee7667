// Times and durations as every part of hallpass reads and writes them. No clock is read here.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

using Seconds = std::chrono::seconds;
using UnixTime = std::chrono::sys_seconds;  // seconds since 1970-01-01T00:00:00Z, leap seconds not counted

inline UnixTime from_unix(long long seconds) {
  return UnixTime{Seconds{seconds}};
}
inline long long to_unix(UnixTime t) {
  return t.time_since_epoch().count();
}

// `YYYY-MM-DDTHH:MM:SSZ`, years 1970 to 9999: the only form in statements. Strict: 20 bytes, a real date, seconds
// 00..59.
Result<UnixTime> parse_time(std::string_view text);
std::string format_time(UnixTime t);

// Durations as people write them in policies and on the command line: "30m", "2h", "1h30m", "90s", "7d"; units d h m s
// in that order, each at most once, no spaces, no zero total, no leading zeros. At most 366 days.
Result<Seconds> parse_duration(std::string_view text);
// The shortest exact form that parse_duration reads back: 5400 s is "1h30m". Zero is "0s"; negative has a leading '-'.
std::string format_duration(Seconds d);

}  // namespace hallpass
