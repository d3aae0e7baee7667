// The agent's clock between two ticks.
#include "agent/timekeeper.h"

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;

struct Case {
  const char* name;
  long long wall, boottime;  // seconds since the tick
  long long now;             // likewise
};

const Case kCases[] = {
    {"nothing has passed", 0, 0, 0},
    {"a minute", 60, 60, 60},
    {"set back meanwhile", -3600, 30, 30},
    {"set forward meanwhile", 3600, 30, 3600},
};

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : kCases) {
    ClockReading reading;
    reading.wall = from_unix(1'000'000);
    reading.boottime = Seconds{5000};
    reading.boot_id.fill('b');
    reading.synchronised = true;
    Timekeeper clock([&] { return reading; }, {});
    const UnixTime ticked = clock.now();
    reading.wall += Seconds{c.wall};
    reading.boottime += Seconds{c.boottime};
    wrong += wrong_if(clock.read_now() - ticked != Seconds{c.now}, c.name);
    wrong += wrong_if(clock.now() != ticked || clock.stepped(), "reading is no tick");
  }
  return wrong;
}

void reads_between_ticks(void**) {
  assert_int_equal(wrong_cases(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(reads_between_ticks)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
