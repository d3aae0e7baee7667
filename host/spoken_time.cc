#include "host/spoken_time.h"

#include <ctime>

namespace hallpass {

std::string utc_text(UnixTime t) {
  const time_t at = static_cast<time_t>(to_unix(t));
  tm utc{};
  char text[64];
  if (gmtime_r(&at, &utc) == nullptr) return {};
  const std::size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, n};
}

std::string length_of(Seconds d) {
  const auto s = d.count();
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m";
  if (s < 86400) return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "m";
  return std::to_string(s / 86400) + "d" + std::to_string(s / 3600 % 24) + "h";
}

std::string clock_of(UnixTime t, UnixTime now) {
  const time_t at = static_cast<time_t>(to_unix(t)), today = static_cast<time_t>(to_unix(now));
  tm local{}, local_now{};
  char text[64];
  if (localtime_r(&at, &local) == nullptr || localtime_r(&today, &local_now) == nullptr) return utc_text(t);
  const bool same_day = local.tm_yday == local_now.tm_yday && local.tm_year == local_now.tm_year;
  const std::size_t n = strftime(text, sizeof text, same_day ? "%H:%M %Z" : "%Y-%m-%d %H:%M %Z", &local);
  return {text, n};
}

}  // namespace hallpass
