#include "core/values/time.h"

#include <ctime>

#include "tests/unit/cmocka.h"

namespace hallpass {
namespace {

struct TimeCase {
  const char* name;
  const char* text;
  long long unix_time;  // -1: refused
};
const TimeCase kTimes[] = {
    {"the first second", "1970-01-01T00:00:00Z", 0},
    {"a day in 2026", "2026-11-21T07:20:41Z", 1795245641},
    {"a leap day", "2028-02-29T23:59:59Z", 1835481599},
    {"a leap day in a century year that has one", "2000-02-29T00:00:00Z", 951782400},
    {"the last year of four digits", "9999-12-31T23:59:59Z", 253402300799},
    {"no leap day", "2026-02-29T00:00:00Z", -1},
    {"no leap day in 2100", "2100-02-29T00:00:00Z", -1},
    {"before 1970", "1969-12-31T23:59:59Z", -1},
    {"month 13", "2026-13-01T00:00:00Z", -1},
    {"month 0", "2026-00-01T00:00:00Z", -1},
    {"day 0", "2026-01-00T00:00:00Z", -1},
    {"April 31", "2026-04-31T00:00:00Z", -1},
    {"hour 24", "2026-01-01T24:00:00Z", -1},
    {"minute 60", "2026-01-01T00:60:00Z", -1},
    {"a leap second", "2016-12-31T23:59:60Z", -1},
    {"an offset", "2026-01-01T00:00:00+01:00", -1},
    {"no zone", "2026-01-01T00:00:00", -1},
    {"lower case", "2026-01-01t00:00:00z", -1},
    {"a space for T", "2026-01-01 00:00:00Z", -1},
    {"a fraction", "2026-01-01T00:00:00.0Z", -1},
    {"a sign in the year", "+026-01-01T00:00:00Z", -1},
    {"a space in a number", "2026- 1-01T00:00:00Z", -1},
    {"trailing byte", "2026-01-01T00:00:00Z ", -1},
    {"empty", "", -1},
};

int wrong_times() {
  int wrong = 0;
  for (const TimeCase& c : kTimes) {
    const Result<UnixTime> got = parse_time(c.text);
    const bool good = got ? to_unix(*got) == c.unix_time && format_time(*got) == c.text : c.unix_time == -1;
    if (good) continue;
    print_error("time: %s\n", c.name);
    ++wrong;
  }
  return wrong;
}

void times(void**) {
  assert_int_equal(wrong_times(), 0);
}

struct DurationCase {
  const char* name;
  const char* text;
  long long seconds;  // 0: refused
  const char* shown;  // nullptr: as written
};
const DurationCase kDurations[] = {
    {"seconds", "90s", 90, "1m30s"},
    {"minutes", "30m", 1800, nullptr},
    {"hours and minutes", "1h30m", 5400, nullptr},
    {"all units", "1d2h3m4s", 93784, nullptr},
    {"a week", "7d", 604800, nullptr},
    {"more of a unit than the next holds", "90m", 5400, "1h30m"},
    {"the longest", "366d", 31622400, nullptr},
    {"one second more than the longest", "366d1s", 0, nullptr},
    {"too many digits for any type", "99999999999999999999999s", 0, nullptr},
    {"zero", "0s", 0, nullptr},
    {"a zero part", "1h0m", 0, nullptr},
    {"leading zero", "01h", 0, nullptr},
    {"units out of order", "30m1h", 0, nullptr},
    {"a unit twice", "1h1h", 0, nullptr},
    {"no unit", "30", 0, nullptr},
    {"no number", "m", 0, nullptr},
    {"unknown unit", "1w", 0, nullptr},
    {"upper case", "1H", 0, nullptr},
    {"a space", "1h 30m", 0, nullptr},
    {"a sign", "-1h", 0, nullptr},
    {"a fraction", "1.5h", 0, nullptr},
    {"empty", "", 0, nullptr},
};

int wrong_durations() {
  int wrong = 0;
  for (const DurationCase& c : kDurations) {
    const Result<Seconds> got = parse_duration(c.text);
    const char* shown = c.shown != nullptr ? c.shown : c.text;
    const bool good = got ? got->count() == c.seconds && format_duration(*got) == shown : c.seconds == 0;
    if (good) continue;
    print_error("duration: %s\n", c.name);
    ++wrong;
  }
  return wrong;
}

void durations(void**) {
  assert_int_equal(wrong_durations(), 0);
}

void durations_that_are_only_shown(void**) {
  const bool zero = format_duration(Seconds{0}) == "0s";
  const bool negative = format_duration(Seconds{-5400}) == "-1h30m";
  const bool least = format_duration(Seconds::min()) == "-106751991167300d15h30m8s";
  assert_true(zero);
  assert_true(negative);
  assert_true(least);
}

// As the C library counts.
std::string by_libc(UnixTime t) {
  const time_t seconds = static_cast<time_t>(to_unix(t));
  tm parts{};
  char text[32] = {};
  if (gmtime_r(&seconds, &parts) == nullptr || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    return {};
  return text;
}

// Every day of four centuries, so that no rule of the calendar is missed.
int wrong_days() {
  int wrong = 0;
  for (long long day = 0; day < 146097; ++day) {
    const UnixTime t = from_unix(day * 86400 + day % 86400);
    const Result<UnixTime> back = parse_time(format_time(t));
    if (!back || *back != t || format_time(t) != by_libc(t)) ++wrong;
  }
  return wrong;
}

void formats_what_it_reads(void**) {
  assert_int_equal(wrong_days(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::times),
      cmocka_unit_test(hallpass::durations),
      cmocka_unit_test(hallpass::durations_that_are_only_shown),
      cmocka_unit_test(hallpass::formats_what_it_reads),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
