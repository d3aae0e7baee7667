// Until when a session may live.
#include "agent/session_deadline.h"

#include <vector>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;

Digest digest(std::uint8_t n) {
  Digest d;
  d.bytes[0] = n;
  return d;
}

Command run(const std::string& program, const std::string& as = "root") {
  Command c;
  c.as_user = as;
  c.executables = {program};
  return c;
}

Command anything(const std::string& as) {
  Command c;
  c.kind = Command::Kind::any;
  c.as_user = as;
  return c;
}

using Commands = std::vector<Command>;
const Commands kNone, kRestart = {run("/bin/restart")}, kBoth = {run("/bin/restart"), run("/bin/logs")},
                      kAnyRoot = {anything("root")}, kAnyDeploy = {anything("deploy")};

Power power(std::uint8_t grant, long long start, long long end, const Commands& commands = kNone) {
  return {digest(grant), from_unix(start), from_unix(end), &commands};
}

struct Case {
  const char* name;
  std::vector<Power> powers;
  std::vector<UsedGrant> used;
  long long at;
  std::uint8_t grant;
  bool by_use = false;
};

// It is 100.
std::vector<Case> cases() {
  const auto used = [](std::uint8_t g, const Commands* c) { return UsedGrant{digest(g), c}; };
  return {
      {"nothing admits", {}, {}, 100, 0},
      {"one grant", {power(1, 50, 200)}, {}, 200, 1},
      {"its last second", {power(1, 50, 101)}, {}, 101, 1},
      {"the second of its end", {power(1, 50, 100)}, {}, 100, 0},
      {"not begun", {power(1, 101, 200)}, {}, 100, 0},
      {"two that overlap: the later end", {power(1, 50, 200), power(2, 60, 300)}, {}, 300, 2},
      {"one that begins when the other ends", {power(2, 200, 300), power(1, 50, 200)}, {}, 300, 2},
      {"a gap of a second", {power(1, 50, 200), power(2, 201, 300)}, {}, 200, 1},
      {"a chain of three", {power(3, 290, 400), power(1, 50, 200), power(2, 150, 300)}, {}, 400, 3},
      {"used, and still active", {power(1, 50, 200, kRestart)}, {used(1, &kRestart)}, 200, 1},
      {"used, a lesser one goes on",
       {power(1, 50, 200, kRestart), power(2, 50, 300, kNone)},
       {used(1, &kRestart)},
       200,
       1,
       true},
      {"used, an equal one goes on",
       {power(1, 50, 200, kRestart), power(2, 50, 300, kRestart)},
       {used(1, &kRestart)},
       300,
       2},
      {"used, a greater one goes on",
       {power(1, 50, 200, kRestart), power(2, 50, 300, kBoth)},
       {used(1, &kRestart)},
       300,
       2},
      {"used, one with half of it goes on",
       {power(1, 50, 200, kBoth), power(2, 50, 300, kRestart)},
       {used(1, &kBoth)},
       200,
       1,
       true},
      {"used, anything as root goes on",
       {power(1, 50, 200, kBoth), power(2, 50, 300, kAnyRoot)},
       {used(1, &kBoth)},
       300,
       2},
      {"used, anything as another user goes on",
       {power(1, 50, 200, kBoth), power(2, 50, 300, kAnyDeploy)},
       {used(1, &kBoth)},
       200,
       1,
       true},
      {"used, the equal one begins a second late",
       {power(1, 50, 200, kRestart), power(2, 201, 300, kRestart), power(3, 50, 400)},
       {used(1, &kRestart)},
       200,
       1,
       true},
      {"used, over, an equal one is active", {power(2, 50, 300, kRestart)}, {used(1, &kRestart)}, 300, 2},
      {"used, over, a lesser one is active", {power(2, 50, 300)}, {used(1, &kRestart)}, 100, 1, true},
      {"used, over, what it allowed is forgotten", {power(2, 50, 300, kAnyRoot)}, {used(1, nullptr)}, 100, 1, true},
      {"used, active, what it allows is forgotten", {power(1, 50, 300, kRestart)}, {used(1, nullptr)}, 300, 1},
      {"two used, the first end counts",
       {power(1, 50, 300, kRestart), power(2, 50, 200, kAnyDeploy)},
       {used(1, &kRestart), used(2, &kAnyDeploy)},
       200,
       2,
       true},
  };
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : cases()) {
    const Deadline d = deadline_of(from_unix(100), c.powers, c.used);
    const bool right = d.at == from_unix(c.at) && d.by_use == c.by_use && d.grant == digest(c.grant);
    if (!right) {
      print_error("wrong: %s: at %lld, grant %d, by use %d\n", c.name, to_unix(d.at), d.grant.bytes[0], d.by_use);
      ++wrong;
    }
  }
  return wrong;
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
