#include "core/zones.h"

#include <random>

#include "tests/unit/cmocka.h"
#include "tests/unit/support/seed.h"

namespace hallpass {
namespace {

UnixTime utc(const char* text) {
  return parse_time(text).value();
}

// The changes of 2026 and 2027, as published; before and between them the offsets hold.
const ZoneTable& zones() {
  static const ZoneTable table{
      {"UTC", {{{UnixTime::min(), Seconds{0}}}}},
      {"Europe/Berlin",
       {{{UnixTime::min(), Seconds{3600}},
         {utc("2026-03-29T01:00:00Z"), Seconds{7200}},
         {utc("2026-10-25T01:00:00Z"), Seconds{3600}},
         {utc("2027-03-28T01:00:00Z"), Seconds{7200}}}}},
      {"America/New_York",
       {{{UnixTime::min(), Seconds{-18000}},
         {utc("2026-03-08T07:00:00Z"), Seconds{-14400}},
         {utc("2026-11-01T06:00:00Z"), Seconds{-18000}}}}},
      {"Asia/Kathmandu", {{{UnixTime::min(), Seconds{20700}}}}},
  };
  return table;
}

struct ParseCase {
  const char* name;
  const char* text;
  unsigned days;  // 0: refused
  int begin;
  int end;
};
const ParseCase kParse[] = {
    {"a range of days", "Mon-Fri 07:00-19:00 Europe/Berlin", 0x1f, 420, 1140},
    {"a list of days", "Sat,Sun 22:00-06:00 UTC", 0x60, 1320, 360},
    {"one day", "Wed 00:00-24:00 UTC", 0x04, 0, 1440},
    {"every day", "Mon-Sun 00:00-24:00 UTC", 0x7f, 0, 1440},
    {"over the weekend", "Fri-Mon 08:00-09:00 UTC", 0x71, 480, 540},
    {"range and list", "Mon-Wed,Fri 08:00-09:00 UTC", 0x17, 480, 540},
    {"a whole day from seven to seven", "Mon 07:00-07:00 UTC", 0x01, 420, 420},
    {"a zone with digits and a sign", "Mon 07:00-08:00 Etc/GMT+5", 0x01, 420, 480},
    {"a day twice", "Mon,Mon 07:00-08:00 UTC", 0, 0, 0},
    {"a day twice by range", "Mon-Fri,Wed 07:00-08:00 UTC", 0, 0, 0},
    {"an unknown day", "Mo-Fr 07:00-08:00 UTC", 0, 0, 0},
    {"a day in lower case", "mon 07:00-08:00 UTC", 0, 0, 0},
    {"no days", " 07:00-08:00 UTC", 0, 0, 0},
    {"a trailing comma", "Mon, 07:00-08:00 UTC", 0, 0, 0},
    {"no zone", "Mon 07:00-08:00", 0, 0, 0},
    {"an empty zone", "Mon 07:00-08:00 ", 0, 0, 0},
    {"a zone that leaves the directory", "Mon 07:00-08:00 ../../etc/passwd", 0, 0, 0},
    {"an absolute zone", "Mon 07:00-08:00 /etc/localtime", 0, 0, 0},
    {"two spaces", "Mon  07:00-08:00 UTC", 0, 0, 0},
    {"hour 25", "Mon 07:00-25:00 UTC", 0, 0, 0},
    {"after midnight's end", "Mon 07:00-24:01 UTC", 0, 0, 0},
    {"minute 60", "Mon 07:60-08:00 UTC", 0, 0, 0},
    {"begins at 24:00", "Mon 24:00-08:00 UTC", 0, 0, 0},
    {"ends at 00:00", "Mon 22:00-00:00 UTC", 0, 0, 0},
    {"one digit", "Mon 7:00-08:00 UTC", 0, 0, 0},
    {"seconds", "Mon 07:00:00-08:00:00 UTC", 0, 0, 0},
    {"no span", "Mon 07:00 UTC", 0, 0, 0},
    {"empty", "", 0, 0, 0},
};

int wrong_parse() {
  int wrong = 0;
  for (const ParseCase& c : kParse) {
    const Result<Hours> got = Hours::parse(c.text);
    const bool good =
        got ? got->days == c.days && got->begin_minute == c.begin && got->end_minute == c.end && got->text == c.text
            : c.days == 0;
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

void parsing(void**) {
  assert_int_equal(wrong_parse(), 0);
}

struct UntilCase {
  const char* name;
  std::vector<const char*> hours;
  const char* at;
  const char* until;  // nullptr: not covered
};

const std::vector<UntilCase>& until_cases() {
  // 2026-03-27 and 2026-10-23 are Fridays, 2026-03-06 and 2026-10-30 too.
  static const std::vector<UntilCase> all = {
      {"inside a working day", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-11-23T12:00:00Z", "2026-11-23T18:00:00Z"},
      {"the first second", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-11-23T06:00:00Z", "2026-11-23T18:00:00Z"},
      {"a second before", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-11-23T05:59:59Z", nullptr},
      {"the last second", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-11-23T17:59:59Z", "2026-11-23T18:00:00Z"},
      {"half-open: the end is outside", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-11-23T18:00:00Z", nullptr},
      {"a Saturday", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-11-28T12:00:00Z", nullptr},
      {"summer time", {"Mon-Fri 07:00-19:00 Europe/Berlin"}, "2026-07-01T05:00:00Z", "2026-07-01T17:00:00Z"},
      {"past midnight, before it", {"Fri 22:00-06:00 UTC"}, "2026-11-27T23:00:00Z", "2026-11-28T06:00:00Z"},
      {"past midnight, after it", {"Fri 22:00-06:00 UTC"}, "2026-11-28T05:00:00Z", "2026-11-28T06:00:00Z"},
      {"past midnight of a day that is not named", {"Fri 22:00-06:00 UTC"}, "2026-11-27T05:00:00Z", nullptr},
      {"Sunday into Monday", {"Sun 22:00-06:00 UTC"}, "2026-11-30T01:00:00Z", "2026-11-30T06:00:00Z"},
      {"seven to seven is a whole day", {"Mon 07:00-07:00 UTC"}, "2026-11-24T06:59:59Z", "2026-11-24T07:00:00Z"},
      {"days that follow each other are one stretch",
       {"Mon-Tue 00:00-24:00 UTC"},
       "2026-11-23T12:00:00Z",
       "2026-11-25T00:00:00Z"},
      {"spans that overlap are one stretch",
       {"Mon 07:00-12:00 UTC", "Mon 11:00-15:00 UTC"},
       "2026-11-23T08:00:00Z",
       "2026-11-23T15:00:00Z"},
      {"spans that touch, in two zones",
       {"Mon 07:00-12:00 UTC", "Mon 13:00-15:00 Europe/Berlin"},
       "2026-11-23T08:00:00Z",
       "2026-11-23T14:00:00Z"},
      {"spans with a gap",
       {"Mon 07:00-12:00 UTC", "Mon 12:01-15:00 UTC"},
       "2026-11-23T08:00:00Z",
       "2026-11-23T12:00:00Z"},
      {"always: capped at eight days", {"Mon-Sun 00:00-24:00 UTC"}, "2026-11-23T12:00:00Z", "2026-12-01T12:00:00Z"},
      {"an unknown zone covers nothing", {"Mon-Sun 00:00-24:00 Mars/Olympus"}, "2026-11-23T12:00:00Z", nullptr},
      {"no hours cover nothing", {}, "2026-11-23T12:00:00Z", nullptr},
      {"a zone with a quarter hour",
       {"Mon 09:00-10:00 Asia/Kathmandu"},
       "2026-11-23T03:15:00Z",
       "2026-11-23T04:15:00Z"},

      // Berlin, Sunday 2026-03-29: 02:00 becomes 03:00, the night has 23 hours.
      {"Berlin springs: the night is an hour shorter",
       {"Sat 22:00-06:00 Europe/Berlin"},
       "2026-03-28T21:00:00Z",
       "2026-03-29T04:00:00Z"},
      {"Berlin springs: a span that is skipped has no instant",
       {"Sun 02:00-03:00 Europe/Berlin"},
       "2026-03-29T01:00:00Z",
       nullptr},
      {"Berlin springs: nor the second before", {"Sun 02:00-03:00 Europe/Berlin"}, "2026-03-29T00:59:59Z", nullptr},
      {"Berlin springs: half skipped at its end",
       {"Sun 01:30-02:30 Europe/Berlin"},
       "2026-03-29T00:30:00Z",
       "2026-03-29T01:00:00Z"},
      {"Berlin springs: half skipped at its begin",
       {"Sun 02:30-03:30 Europe/Berlin"},
       "2026-03-29T01:00:00Z",
       "2026-03-29T01:30:00Z"},
      {"Berlin springs: from Friday's offset to Monday's",
       {"Fri-Mon 00:00-24:00 Europe/Berlin"},
       "2026-03-27T12:00:00Z",
       "2026-03-30T22:00:00Z"},
      // Berlin, Sunday 2026-10-25: 03:00 becomes 02:00 again.
      {"Berlin falls: the night is an hour longer",
       {"Sat 22:00-06:00 Europe/Berlin"},
       "2026-10-24T20:00:00Z",
       "2026-10-25T05:00:00Z"},
      {"Berlin falls: both passes count",
       {"Sun 02:00-03:00 Europe/Berlin"},
       "2026-10-25T00:00:00Z",
       "2026-10-25T02:00:00Z"},
      {"Berlin falls: the second pass",
       {"Sun 02:00-03:00 Europe/Berlin"},
       "2026-10-25T01:30:00Z",
       "2026-10-25T02:00:00Z"},
      {"Berlin falls: a span inside it, first pass",
       {"Sun 02:15-02:45 Europe/Berlin"},
       "2026-10-25T00:15:00Z",
       "2026-10-25T00:45:00Z"},
      {"Berlin falls: between the passes", {"Sun 02:15-02:45 Europe/Berlin"}, "2026-10-25T01:00:00Z", nullptr},
      {"Berlin falls: a span inside it, second pass",
       {"Sun 02:15-02:45 Europe/Berlin"},
       "2026-10-25T01:44:59Z",
       "2026-10-25T01:45:00Z"},
      {"Berlin falls: ends within the first pass, opens again",
       {"Sun 00:00-02:30 Europe/Berlin"},
       "2026-10-24T22:00:00Z",
       "2026-10-25T00:30:00Z"},
      // New York, Sunday 2026-03-08: 02:00 becomes 03:00; Sunday 2026-11-01: 02:00 becomes 01:00 again.
      {"New York springs: the night",
       {"Sat 22:00-06:00 America/New_York"},
       "2026-03-08T03:00:00Z",
       "2026-03-08T10:00:00Z"},
      {"New York springs: skipped", {"Sun 02:00-03:00 America/New_York"}, "2026-03-08T07:00:00Z", nullptr},
      {"New York springs: the week after",
       {"Mon-Fri 09:00-17:00 America/New_York"},
       "2026-03-09T13:00:00Z",
       "2026-03-09T21:00:00Z"},
      {"New York springs: the week before", {"Mon-Fri 09:00-17:00 America/New_York"}, "2026-03-06T13:59:59Z", nullptr},
      {"New York falls: both passes count",
       {"Sun 01:00-02:00 America/New_York"},
       "2026-11-01T05:00:00Z",
       "2026-11-01T07:00:00Z"},
      {"New York falls: the night",
       {"Sat 22:00-06:00 America/New_York"},
       "2026-11-01T02:00:00Z",
       "2026-11-01T11:00:00Z"},
      {"New York falls: the day has 25 hours",
       {"Sun 00:00-24:00 America/New_York"},
       "2026-11-01T04:00:00Z",
       "2026-11-02T05:00:00Z"},
  };
  return all;
}

std::vector<Hours> parsed(const std::vector<const char*>& texts) {
  std::vector<Hours> hours;
  for (const char* text : texts) hours.push_back(Hours::parse(text).value());
  return hours;
}

int wrong_until() {
  int wrong = 0;
  for (const UntilCase& c : until_cases()) {
    const std::optional<UnixTime> got = hours_until(parsed(c.hours), zones(), utc(c.at));
    const bool good = c.until == nullptr ? !got : got && *got == utc(c.until);
    if (!good && got) print_error("  got %s\n", format_time(*got).c_str());
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

void until(void**) {
  assert_int_equal(wrong_until(), 0);
}

// The slow reference: asks the wall clock minute by minute, and shares nothing with core/zones.cc but the zone's
// periods.
bool wall_clock_covers(const Hours& h, UnixTime t) {
  Seconds offset = zones().find(h.zone)->second.periods.front().offset;
  for (const Zone::Period& period : zones().find(h.zone)->second.periods) {
    if (period.begin <= t) offset = period.offset;
  }
  const auto local = t + offset;
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const auto minute = std::chrono::duration_cast<std::chrono::minutes>(local - day).count();
  const auto named = [&](std::chrono::sys_days d) {
    return (h.days >> (std::chrono::weekday{d}.iso_encoding() - 1U) & 1U) != 0;
  };
  if (h.end_minute > h.begin_minute) return named(day) && minute >= h.begin_minute && minute < h.end_minute;
  return (named(day) && minute >= h.begin_minute) || (named(day - std::chrono::days{1}) && minute < h.end_minute);
}

std::optional<UnixTime> slow_until(const std::vector<Hours>& hours, UnixTime t) {
  const auto covered = [&](UnixTime at) {
    for (const Hours& h : hours) {
      if (wall_clock_covers(h, at)) return true;
    }
    return false;
  };
  UnixTime at = t;
  while (at < t + Seconds{8 * 86400} && covered(at)) at += Seconds{60};
  if (at == t) return std::nullopt;
  return at;
}

unsigned below(std::mt19937& random, unsigned n) {
  return static_cast<unsigned>(random() % n);
}

std::string random_hours(std::mt19937& random) {
  static const char* const kDays[] = {"Mon", "Tue",     "Wed",     "Thu",     "Fri",    "Sat",
                                      "Sun", "Mon-Fri", "Sat,Sun", "Mon-Sun", "Fri-Mon"};
  static const char* const kZones[] = {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"};
  char text[64];
  const unsigned begin = below(random, 1440);
  const unsigned end = 1 + below(random, 1440);
  (void)std::snprintf(text, sizeof text, "%s %02u:%02u-%02u:%02u %s", kDays[below(random, 11)], begin / 60, begin % 60,
                      end / 60, end % 60, kZones[below(random, 4)]);
  return text;
}

int disagreements(unsigned seed) {
  std::mt19937 random(seed);
  const UnixTime around[] = {utc("2026-03-26T00:00:00Z"), utc("2026-10-22T00:00:00Z"), utc("2026-03-05T00:00:00Z"),
                             utc("2026-10-29T00:00:00Z")};
  int wrong = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<Hours> hours;
    for (unsigned n = 1 + below(random, 3); n > 0; --n) hours.push_back(Hours::parse(random_hours(random)).value());
    const UnixTime t = around[below(random, 4)] + Seconds{60 * static_cast<long long>(below(random, 5 * 1440))};
    if (hours_until(hours, zones(), t) != slow_until(hours, t)) {
      print_error("  %s at %s\n", hours.front().text.c_str(), format_time(t).c_str());
      ++wrong;
    }
  }
  return wrong;
}

void agrees_with_the_wall_clock(void**) {
  assert_int_equal(disagreements(testing::test_seed()), 0);
}

int wrong_offsets() {
  const Zone& berlin = zones().find("Europe/Berlin")->second;
  const UnixTime change = utc("2026-03-29T01:00:00Z");
  int wrong = 0;
  wrong += wrong_if(berlin.offset_at(change - Seconds{1}) != Seconds{3600}, "before the change");
  wrong += wrong_if(berlin.offset_at(change) != Seconds{7200}, "at the change");
  wrong += wrong_if(berlin.offset_at(UnixTime::min()) != Seconds{3600}, "at the beginning of time");
  wrong += wrong_if(berlin.next_change(change - Seconds{1}) != change, "the next change");
  wrong += wrong_if(berlin.next_change(change) != utc("2026-10-25T01:00:00Z"), "after a change, the next one");
  wrong += wrong_if(berlin.next_change(utc("2027-03-28T01:00:00Z")).has_value(), "after the last none");
  wrong += wrong_if(Zone().offset_at(change) != Seconds{0}, "a zone without periods is UTC");
  return wrong;
}

void offsets(void**) {
  assert_int_equal(wrong_offsets(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::parsing),
      cmocka_unit_test(hallpass::until),
      cmocka_unit_test(hallpass::agrees_with_the_wall_clock),
      cmocka_unit_test(hallpass::offsets),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
