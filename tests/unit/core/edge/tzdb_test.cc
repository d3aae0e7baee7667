#include "core/edge/tzdb.h"

#include <cstdlib>

#include "tests/unit/cmocka.h"

namespace hallpass {
namespace {

UnixTime utc(const char* text) {
  return parse_time(text).value();
}

struct Case {
  const char* name;
  const char* zone;
  const char* at;
  long long offset;
};
const Case kCases[] = {
    {"Berlin in winter", "Europe/Berlin", "2026-11-23T12:00:00Z", 3600},
    {"Berlin, a second before summer", "Europe/Berlin", "2026-03-29T00:59:59Z", 3600},
    {"Berlin, summer begins", "Europe/Berlin", "2026-03-29T01:00:00Z", 7200},
    {"Berlin, a second before winter", "Europe/Berlin", "2026-10-25T00:59:59Z", 7200},
    {"Berlin, winter begins", "Europe/Berlin", "2026-10-25T01:00:00Z", 3600},
    {"New York, a second before summer", "America/New_York", "2026-03-08T06:59:59Z", -18000},
    {"New York, summer begins", "America/New_York", "2026-03-08T07:00:00Z", -14400},
    {"New York, winter begins", "America/New_York", "2026-11-01T06:00:00Z", -18000},
    {"Kathmandu", "Asia/Kathmandu", "2026-11-23T12:00:00Z", 20700},
    {"UTC", "UTC", "2026-11-23T12:00:00Z", 0},
    {"the last summer that zone files list", "Europe/Berlin", "2037-07-01T12:00:00Z", 7200},
};

int wrong_zones() {
  const Result<ZoneTable> table = load_zones({"Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"});
  if (!table) return 1;
  int wrong = 0;
  for (const Case& c : kCases) {
    const auto zone = table->find(c.zone);
    wrong += wrong_if(zone == table->end() || zone->second.offset_at(utc(c.at)) != Seconds{c.offset}, c.name);
  }
  return wrong + wrong_if(table->size() != 4, "exactly the zones asked for");
}

void zones(void**) {
  assert_int_equal(wrong_zones(), 0);
}

int wrong_unknown() {
  const Result<ZoneTable> table = load_zones({"Europe/Berlin", "Mars/Olympus"});
  int wrong = 0;
  wrong += wrong_if(table.has_value() || table.error().code != Errc::not_found, "an unknown zone is not found");
  wrong += wrong_if(!table && table.error().message.find("Mars/Olympus") == std::string::npos, "and named");
  wrong += wrong_if(!zone_exists("Europe/Berlin") || zone_exists("Mars/Olympus"), "zone_exists");
  wrong += wrong_if(zone_exists("") || zone_exists("../../../etc/passwd"), "what is no zone");
  return wrong;
}

void unknown_zones(void**) {
  assert_int_equal(wrong_unknown(), 0);
}

struct LocalCase {
  const char* name;
  const char* tz;
  const char* at;
  long long offset;
};
const LocalCase kLocal[] = {
    {"a name", "Europe/Berlin", "2026-07-01T12:00:00Z", 7200},
    {"a name, a second before the change", "Europe/Berlin", "2026-10-25T00:59:59Z", 7200},
    {"a name, at the change", "Europe/Berlin", "2026-10-25T01:00:00Z", 3600},
    {"a name with a colon", ":America/New_York", "2026-07-01T12:00:00Z", -14400},
    {"a POSIX rule", "XST-3", "2026-07-01T12:00:00Z", 10800},
    {"empty is UTC", "", "2026-07-01T12:00:00Z", 0},
    {"nonsense is UTC", "Mars/Olympus", "2026-07-01T12:00:00Z", 0},
};

int wrong_local() {
  int wrong = 0;
  for (const LocalCase& c : kLocal) {
    setenv("TZ", c.tz, 1);
    wrong += wrong_if(local_zone().offset_at(utc(c.at)) != Seconds{c.offset}, c.name);
  }
  unsetenv("TZ");
  return wrong;
}

void local(void**) {
  assert_int_equal(wrong_local(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::zones),
      cmocka_unit_test(hallpass::unknown_zones),
      cmocka_unit_test(hallpass::local),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
