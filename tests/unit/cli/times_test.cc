// Times as people read and type them, across a daylight-saving change.
#include "cli/times.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using namespace hallpass::cli;

UnixTime at(const char* text) {
  return parse_time(text).value();
}

// Berlin in 2026: summer time ends on 25 October at 01:00 UTC, begins on 29 March at 01:00 UTC.
Zone berlin() {
  return Zone{{{UnixTime::min(), Seconds{3600}},
               {at("2026-03-29T01:00:00Z"), Seconds{7200}},
               {at("2026-10-25T01:00:00Z"), Seconds{3600}}}};
}

int wrong_text(const std::string& got, const char* want) {
  if (got != want) print_error("got \"%s\", want \"%s\"\n", got.c_str(), want);
  return got == want ? 0 : 1;
}

int wrong_printing() {
  int wrong = 0;
  wrong += wrong_text(Times(berlin(), at("2026-11-21T12:00:00Z")).brief(at("2026-11-21T13:32:00Z")), "14:32");
  wrong +=
      wrong_text(Times(berlin(), at("2026-11-21T12:00:00Z")).brief(at("2026-11-23T13:32:00Z")), "Mon 23 Nov 14:32");
  wrong +=
      wrong_text(Times(berlin(), at("2026-11-21T12:00:00Z")).brief(at("2027-01-01T00:00:00Z")), "Fri 1 Jan 2027 01:00");
  wrong += wrong_text(Times(berlin(), at("2026-11-21T12:00:00Z")).full(at("2026-07-01T12:00:00Z")),
                      "2026-07-01 14:00:00 +02:00");
  wrong +=
      wrong_text(Times(berlin(), at("2026-11-21T12:00:00Z")).with_left(at("2026-11-21T12:12:00Z")), "13:12 (12m left)");
  wrong +=
      wrong_text(Times(berlin(), at("2026-11-21T12:00:00Z")).with_left(at("2026-11-21T09:00:00Z")), "10:00 (3h ago)");
  return wrong;
}

void printing(void**) {
  assert_int_equal(wrong_printing(), 0);
}

int wrong_rough() {
  int wrong = 0;
  wrong += wrong_text(rough_duration(Seconds{59}), "59s");
  wrong += wrong_text(rough_duration(Seconds{90}), "1m 30s");
  wrong += wrong_text(rough_duration(Seconds{1800}), "30m");
  wrong += wrong_text(rough_duration(Seconds{3900}), "1h 5m");
  wrong += wrong_text(rough_duration(Seconds{3 * 86400 + 7200}), "3d 2h");
  wrong += wrong_text(rough_duration(Seconds{-5}), "0s");
  return wrong;
}

void rough(void**) {
  assert_int_equal(wrong_rough(), 0);
}

void reading(void**) {
  const struct {
    const char* name;
    const char* now;
    const char* typed;
    const char* want;  // nullptr: refused
  } cases[] = {{"UTC", "2026-11-21T12:00:00Z", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z"},
               {"later today", "2026-11-21T12:00:00Z", "14:30", "2026-11-21T13:30:00Z"},
               {"earlier means tomorrow", "2026-11-21T12:00:00Z", "08:00", "2026-11-22T07:00:00Z"},
               {"local date", "2026-11-21T12:00:00Z", "2026-07-01 14:00", "2026-07-01T12:00:00Z"},
               {"from now", "2026-11-21T12:00:00Z", "2h", "2026-11-21T14:00:00Z"},
               {"skipped by the clock change", "2026-03-01T12:00:00Z", "2026-03-29 02:30", nullptr},
               {"the first of two", "2026-10-01T12:00:00Z", "2026-10-25 02:30", "2026-10-25T00:30:00Z"},
               {"no such day", "2026-11-21T12:00:00Z", "2026-02-30 10:00", nullptr},
               {"no such hour", "2026-11-21T12:00:00Z", "24:00", nullptr},
               {"a sign", "2026-11-21T12:00:00Z", "-1:30", nullptr},
               {"words", "2026-11-21T12:00:00Z", "tomorrow", nullptr}};
  for (const auto& c : cases) {
    bool good = false;
    {
      const auto t = Times(berlin(), at(c.now)).parse(c.typed);
      good = c.want == nullptr ? !t.has_value() : t.has_value() && t.value() == at(c.want);
    }
    if (!good) print_error("%s\n", c.name);
    assert_true(good);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(printing), cmocka_unit_test(rough), cmocka_unit_test(reading)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
