#include "hub/epochs.h"

#include <filesystem>

#include "tests/unit/cmocka.h"
#include "tests/unit/hub/log_world.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

constexpr Seconds kHour{3600};

Epoch epoch(std::uint64_t live_from, std::uint64_t policy, UnixTime at) {
  return {"acme-prod", "log.test/acme", live_from, policy, at};
}

struct Case {
  const char* name;
  std::uint64_t index;
  Epoch epoch;
  bool good;
};

// Each after epochs at 100 (live_from 0) and 200 (live_from 100), of kNow and an hour later.
int wrong_orders() {
  const Case cases[] = {
      {"the next one", 300, epoch(200, 5, kNow + 2 * kHour), true},
      {"of the same second", 300, epoch(100, 5, kNow + kHour), true},
      {"nothing but itself", 300, epoch(300, 5, kNow + 2 * kHour), true},
      {"over its own entry", 300, epoch(301, 5, kNow + 2 * kHour), false},
      {"farther back than the one before", 300, epoch(99, 5, kNow + 2 * kHour), false},
      {"older than the one before", 300, epoch(200, 5, kNow + kHour - Seconds{1}), false},
      {"itself as the policy", 300, epoch(200, 300, kNow + 2 * kHour), false},
  };
  int wrong = 0;
  for (const Case& c : cases) {
    Epochs epochs("acme-prod", "log.test/acme");
    must(epochs.saw_epoch(100, epoch(0, 5, kNow)));
    must(epochs.saw_epoch(200, epoch(100, 5, kNow + kHour)));
    wrong += wrong_if(epochs.saw_epoch(c.index, c.epoch).has_value() != c.good, c.name);
    wrong += wrong_if(epochs.newest()->index != (c.good ? 300U : 200U), c.name);
  }
  return wrong;
}

int wrong_due() {
  Epochs epochs("acme-prod", "log.test/acme");
  int wrong = wrong_if(epochs.due(kNow), "no policy, no epoch");
  wrong += wrong_if(!epochs.due(kNow, true), "one with the first policy");
  epochs.saw_policy(5);
  wrong += wrong_if(!epochs.due(kNow), "none yet");
  must(epochs.saw_epoch(6, epochs.next(kNow, {})));
  wrong += wrong_if(epochs.due(kNow + kHour - Seconds{1}) || !epochs.due(kNow + kHour), "an hour");
  // A clock set back makes none, and none that is older than the last.
  wrong += wrong_if(epochs.due(kNow - kHour), "the clock was set back");
  wrong += wrong_if(epochs.next(kNow - kHour, {}).at != kNow, "not back in time");
  wrong += wrong_if(epochs.next(kNow, 7).policy != 7 || epochs.next(kNow, {}).policy != 5, "the policy in force");
  return wrong;
}

// An epoch an hour for 40 days: live_from is the newest that is over the horizon, and little is remembered.
int wrong_horizon() {
  Epochs epochs("acme-prod", "log.test/acme");
  epochs.saw_policy(0);
  int wrong = 0;
  constexpr std::uint64_t kHours = 40 * 24, kHorizonHours = 15 * 24;
  for (std::uint64_t hour = 0; hour < kHours; ++hour) {
    const UnixTime at = kNow + static_cast<long>(hour) * kHour;
    const Epoch next = epochs.next(at, {});
    const std::uint64_t expected = hour < kHorizonHours ? 0 : 10 * (hour - kHorizonHours) + 1;
    wrong += wrong_if(next.live_from != expected, "live_from");
    wrong += wrong_if(epochs.next_live_from(at) != expected, "as asked before");
    must(epochs.saw_epoch(10 * hour + 1, next));
  }
  return wrong;
}

#define TEST(name, function)         \
  void name(void**) {                \
    assert_int_equal(function(), 0); \
  }
TEST(test_orders, wrong_orders)
TEST(test_due, wrong_due)
TEST(test_horizon, wrong_horizon)

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_orders), cmocka_unit_test(test_due),
                              cmocka_unit_test(test_horizon)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
