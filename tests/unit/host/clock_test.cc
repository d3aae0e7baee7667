#include "host/clock.h"

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

std::array<char, 36> boot(char c) {
  std::array<char, 36> id{};
  if (c != 0) id.fill(c);
  return id;
}

struct Now {
  const char* name;
  long long wall, boottime;
  char boot;
  long long floor_wall, floor_boottime;
  char floor_boot;
  long long expected;
};

const Now kNow[] = {
    {"no floor", 1000, 5, 'a', 0, 0, 0, 1000},
    {"wall ahead of the floor", 1000, 50, 'a', 900, 40, 'a', 1000},
    {"wall set back in this boot", 500, 50, 'a', 900, 40, 'a', 910},
    {"wall just reaches the floor", 910, 50, 'a', 900, 40, 'a', 910},
    {"wall set back a day after a reboot", 500, 3, 'b', 900, 40, 'a', 900},
    {"another boot's boottime counts for nothing", 500, 5000, 'b', 900, 40, 'a', 900},
    {"an unreadable boot id matches nothing", 500, 50, 0, 900, 40, 0, 900},
    {"boottime never goes back", 500, 30, 'a', 900, 40, 'a', 900},
};

int wrong_now() {
  int wrong = 0;
  for (const auto& c : kNow) {
    const ClockReading reading{from_unix(c.wall), Seconds(c.boottime), boot(c.boot), true};
    const ClockFloor floor{from_unix(c.floor_wall), Seconds(c.floor_boottime), boot(c.floor_boot)};
    wrong += wrong_if(effective_now(reading, floor) != from_unix(c.expected), c.name);
  }
  return wrong;
}

struct Raise {
  const char* name;
  long long wall, boottime;
  bool synchronised, accepted;
  long long floor_wall, floor_boottime;
  char floor_boot;
  long long start_wall, start_boottime;
  char start_boot;
  long long expected_wall;
  bool limited;
};

const Raise kRaise[] = {
    {"not synchronised: stays", 2000, 100, false, false, 1000, 10, 'a', 1000, 10, 'a', 1000, false},
    {"behind the floor carried on: dated later", 1050, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1050, false},
    {"just as the floor carried on: dated now", 1090, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1090, false},
    {"dated later only by a vouched clock", 1090, 100, false, false, 1000, 10, 'a', 1000, 10, 'a', 1000, false},
    {"rises to the wall", 1300, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1300, false},
    {"at the limit: start + 90 s + 10 minutes", 1690, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1690, false},
    {"a second over: held back", 1691, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1690, true},
    {"a day ahead: held back", 87400, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1690, true},
    {"accepted: no limit", 87400, 100, false, true, 1000, 10, 'a', 1000, 10, 'a', 87400, false},
    {"wall behind: stays", 500, 100, true, false, 1000, 10, 'a', 1000, 10, 'a', 1000, false},
    {"after a reboot, wall behind: stays, not re-anchored", 990, 100, true, false, 1000, 10, 'b', 1000, 5, 'a', 1000,
     false},
    {"start of another boot: time since boot counts", 1800, 200, true, false, 1000, 10, 'b', 1000, 10, 'b', 1800,
     false},
    {"start of another boot: the limit", 1801, 200, true, false, 1000, 10, 'b', 1000, 10, 'b', 1800, true},
    {"first floor of a host: no limit", 87400, 100, true, false, 0, 0, 0, 0, 0, 0, 87400, false},
};

int wrong_raise() {
  int wrong = 0;
  for (const auto& c : kRaise) {
    const ClockReading reading{from_unix(c.wall), Seconds(c.boottime), boot('a'), c.synchronised};
    const ClockFloor floor{from_unix(c.floor_wall), Seconds(c.floor_boottime), boot(c.floor_boot)};
    const ClockFloor start{from_unix(c.start_wall), Seconds(c.start_boottime), boot(c.start_boot)};
    const FloorStep step = raise_floor(floor, start, reading, c.accepted);
    wrong += wrong_if(step.floor.wall != from_unix(c.expected_wall) || step.limited != c.limited, c.name);
    wrong += wrong_if(effective_now(reading, step.floor) < effective_now(reading, floor), "never falls");
    // While the clock is not ahead of it, the floor goes on in this boot as if nothing had been written down.
    const ClockReading later{from_unix(0), reading.boottime + Seconds(50), boot('a'), true};
    wrong += wrong_if(c.floor_boot == 'a' && effective_now(reading, floor) > reading.wall &&
                          effective_now(later, step.floor) != effective_now(later, floor),
                      "the same line");
  }
  return wrong;
}

int wrong_reading() {
  const ClockReading first = read_clock(), second = read_clock();
  return wrong_if(second.wall < first.wall || second.boottime < first.boottime || first.boottime.count() <= 0,
                  "this machine's") +
         wrong_if(first.boot_id != second.boot_id || first.boot_id[8] != '-', "boot id");
}

void test_now(void**) {
  assert_int_equal(wrong_now(), 0);
}
void test_raise(void**) {
  assert_int_equal(wrong_raise(), 0);
}
void test_reading(void**) {
  assert_int_equal(wrong_reading(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_now), cmocka_unit_test(test_raise), cmocka_unit_test(test_reading)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
