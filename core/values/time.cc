#include "core/values/time.h"

#include <array>
#include <cstdio>

namespace hallpass {
namespace {

constexpr long long kLongestDuration = 366LL * 86400;

// Decimal digits at [at, at + count), or -1: no sign, no space, nothing else.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

Error malformed_time() {
  return {Errc::malformed, "a time is written YYYY-MM-DDTHH:MM:SSZ"};
}
Error malformed_duration() {
  return {Errc::malformed,
          "a duration is written like 90s, 30m, 1h30m or 7d (largest unit first, no spaces or leading zeros)"};
}

struct DurationUnit {
  char letter;
  long long seconds;
};
constexpr std::array<DurationUnit, 4> kUnits{{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};

}  // namespace

Result<UnixTime> parse_time(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kShape.size()) return malformed_time();
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == 'd' ? !digit : text[i] != kShape[i]) return malformed_time();
  }
  const int hour = digits(text, 11, 2);
  const int minute = digits(text, 14, 2);
  const int second = digits(text, 17, 2);
  const std::chrono::year_month_day date{std::chrono::year{digits(text, 0, 4)},
                                         std::chrono::month{static_cast<unsigned>(digits(text, 5, 2))},
                                         std::chrono::day{static_cast<unsigned>(digits(text, 8, 2))}};
  if (!date.ok() || static_cast<int>(date.year()) < 1970 || hour > 23 || minute > 59 || second > 59) {
    return Error{Errc::malformed, "no such time, or before 1970"};
  }
  return UnixTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         Seconds{second};
}

std::string format_time(UnixTime t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const long long in_day = (t - day).count();
  char text[48];
  (void)std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02lld:%02lld:%02lldZ", static_cast<int>(date.year()),
                      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), in_day / 3600,
                      in_day / 60 % 60, in_day % 60);
  return text;
}

Result<Seconds> parse_duration(std::string_view text) {
  long long total = 0;
  std::size_t next_unit = 0;
  std::size_t i = 0;
  if (text.empty()) return malformed_duration();
  while (i < text.size()) {
    if (text[i] < '1' || text[i] > '9') return malformed_duration();
    long long number = 0;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
      number = number * 10 + (text[i] - '0');
      if (number > kLongestDuration) return Error{Errc::malformed, "a duration is at most 366d"};
    }
    if (i == text.size()) return malformed_duration();
    while (next_unit < kUnits.size() && kUnits[next_unit].letter != text[i]) ++next_unit;
    if (next_unit == kUnits.size()) return malformed_duration();
    total += number * kUnits[next_unit].seconds;
    ++next_unit;
    ++i;
  }
  if (total > kLongestDuration) return Error{Errc::malformed, "a duration is at most 366d"};
  return Seconds{total};
}

std::string format_duration(Seconds d) {
  long long rest = d.count();
  if (rest == 0) return "0s";
  std::string text;
  // Signs are dropped part by part: the least value has no positive twin.
  if (rest < 0) text = "-";
  for (const DurationUnit& unit : kUnits) {
    const long long number = rest / unit.seconds;
    rest %= unit.seconds;
    if (number == 0) continue;
    const std::string shown = std::to_string(number);
    text += number < 0 ? shown.substr(1) : shown;
    text += unit.letter;
  }
  return text;
}

}  // namespace hallpass
