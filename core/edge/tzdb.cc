#include "core/edge/tzdb.h"

#include <date/tz.h>

#include <algorithm>
#include <ctime>
#include <exception>

#include "core/values/text.h"

namespace hallpass {
namespace {

// Windows and hours lie near today; what a zone did before 1970 or does after its published rules end is nobody's
// business here.
constexpr UnixTime kFirst{};
constexpr UnixTime kLast{std::chrono::sys_days{std::chrono::year{2100} / 1 / 1}};

// The zone, or nullptr when the system does not know it. date-tz throws, also when there is no zone data at all.
const date::time_zone* locate(const std::string& name) {
  try {
    return date::locate_zone(name);
  } catch (const std::exception&) {
    return nullptr;
  }
}

bool any_zone_data() {
  return locate("UTC") != nullptr || locate("Etc/UTC") != nullptr;
}

Zone read_zone(const date::time_zone& source) {
  Zone zone;
  for (UnixTime at = kFirst; at < kLast;) {
    const date::sys_info info = source.get_info(at);
    const Seconds offset = info.offset;
    if (zone.periods.empty()) {
      zone.periods.push_back({UnixTime::min(), offset});
    } else if (zone.periods.back().offset != offset) {
      zone.periods.push_back({at, offset});
    }
    if (info.end <= at) break;
    at = info.end;
  }
  return zone;
}

// What the C library makes of $TZ or /etc/localtime, POSIX rules ("CET-1CEST,...") and copied zone files included, as
// it prints for every other program. UTC when it can read neither.
Seconds libc_offset(UnixTime t) {
  const std::time_t seconds = static_cast<std::time_t>(to_unix(t));
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return Seconds{0};
  return Seconds{local.tm_gmtoff};
}

// The first instant in (low, high] with the offset that holds at `high`.
UnixTime change_between(UnixTime low, UnixTime high) {
  const Seconds after = libc_offset(high);
  while (high - low > Seconds{1}) {
    const UnixTime middle = low + (high - low) / 2;
    (libc_offset(middle) == after ? high : low) = middle;
  }
  return high;
}

}  // namespace

Result<ZoneTable> load_zones(const std::set<std::string>& names) {
  ZoneTable table;
  for (const std::string& name : names) {
    const date::time_zone* source = locate(name);
    if (source == nullptr && !any_zone_data()) {
      return Error{Errc::unavailable, "there is no time zone data on this machine; install tzdata"};
    }
    if (source == nullptr) {
      return Error{Errc::not_found,
                   "the system knows no time zone " + printable(name, 70) + "; write an IANA name like Europe/Berlin"};
    }
    table.emplace(name, read_zone(*source));
  }
  return table;
}

bool zone_exists(const std::string& name) {
  return locate(name) != nullptr;
}

Zone local_zone() {
  // Closer together than any two changes of a zone; twenty years back and forth are what people look at.
  constexpr Seconds kStep{7 * 86400};
  const UnixTime first{std::chrono::sys_days{std::chrono::year{2010} / 1 / 1}};
  const UnixTime last{std::chrono::sys_days{std::chrono::year{2070} / 1 / 1}};
  tzset();
  Zone zone;
  zone.periods.push_back({UnixTime::min(), libc_offset(first)});
  for (UnixTime at = first; at < last; at += kStep) {
    const Seconds offset = libc_offset(at + kStep);
    if (offset != zone.periods.back().offset) zone.periods.push_back({change_between(at, at + kStep), offset});
  }
  return zone;
}

}  // namespace hallpass
