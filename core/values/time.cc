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

// The proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March. Not std::chrono's: libstdc++
// has that from g++ 11 on only.
struct Date {
  int year = 0, month = 0, day = 0;
};

constexpr long long kEra = 146097;       // days
constexpr long long kEpochDay = 719468;  // 1970-01-01, from 0000-03-01

constexpr long long days_since_1970(const Date& d) {
  const long long year = d.month <= 2 ? d.year - 1 : d.year;
  const long long era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
  const long long of_year = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
  return era * kEra + of_era * 365 + of_era / 4 - of_era / 100 + of_year - kEpochDay;
}

constexpr Date date_of(long long days) {
  days += kEpochDay;
  const long long era = (days >= 0 ? days : days - (kEra - 1)) / kEra, of_era = days - era * kEra;
  const long long year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (kEra - 1)) / 365;
  const long long of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
  const bool next_year = month >= 10;  // January and February
  return {static_cast<int>(year + era * 400 + (next_year ? 1 : 0)), static_cast<int>(month + (next_year ? -9 : 3)),
          static_cast<int>(of_year - (153 * month + 2) / 5 + 1)};
}

constexpr bool exists(const Date& d) {
  const Date same = date_of(days_since_1970(d));
  return d.month >= 1 && d.month <= 12 && d.day >= 1 && same.month == d.month && same.day == d.day;
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
  const Date date{digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2)};
  if (!exists(date) || date.year < 1970 || hour > 23 || minute > 59 || second > 59) {
    return Error{Errc::malformed, "no such time, or before 1970"};
  }
  return from_unix(days_since_1970(date) * 86400 + hour * 3600LL + minute * 60LL + second);
}

std::string format_time(UnixTime t) {
  const long long seconds = to_unix(t), in_day = (seconds % 86400 + 86400) % 86400;
  const Date date = date_of((seconds - in_day) / 86400);
  char text[48];
  (void)std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02lld:%02lld:%02lldZ", date.year, date.month, date.day,
                      in_day / 3600, in_day / 60 % 60, in_day % 60);
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
