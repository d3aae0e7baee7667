#include "agent/program.h"

#include <unistd.h>

#include "tests/unit/cmocka.h"
#include "tests/unit/support/signing.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

struct Case {
  const char* name;
  Program program;
  bool exited;
  int status;
  std::string output;
  const char* fault;  // words of it
};

int wrong_runs() {
  const std::string much(200000, 'x');
  const Case cases[] = {
      {"what it writes", {{"/usr/bin/printf", "%s-", "a b", "*"}, ""}, true, 0, "a b-*-", ""},
      {"its exit status", {{"/bin/false"}, ""}, true, 1, "", ""},
      {"its input", {{"/bin/cat"}, much}, true, 0, much, ""},
      {"no input", {{"/bin/cat"}, ""}, true, 0, "", ""},
      {"its environment", {{"/usr/bin/env"}, ""}, true, 0, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n", ""},
      {"more than fits", {{"/usr/bin/head", "-c", "1048577", "/dev/zero"}, ""}, false, 1, "", "more than 1048576"},
      {"a program that is not there", {{"/nonexistent/program"}, ""}, false, 0, "", "cannot start /nonexistent"},
      {"no descriptor of ours", {{"/bin/ls", "/proc/self/fd"}, ""}, true, 0, "0\n1\n2\n3\n", ""},
  };
  int wrong = 0;
  for (const Case& c : cases) {
    const ProgramEnd end = run_program(c.program);
    wrong += wrong_if(end.exited != c.exited || (c.exited && end.status != c.status), c.name);
    wrong += wrong_if(c.exited && end.output != c.output, c.name);
    wrong += wrong_if(end.fault.find(c.fault) == std::string::npos || end.fault.empty() != c.exited, c.name);
  }
  return wrong;
}

int wrong_limit() {
  const auto started = std::chrono::steady_clock::now();
  const ProgramEnd end = run_program({{"/bin/sleep", "30"}, ""}, std::chrono::milliseconds{50});
  const bool soon = std::chrono::steady_clock::now() - started < std::chrono::seconds{10};
  return wrong_if(end.exited || end.fault.find("did not end") == std::string::npos || !soon, "the limit") +
         wrong_if(!run_program({{"/bin/ls", "/nonexistent"}, ""}).errors.ends_with("No such file or directory\n"),
                  "its errors");
}

void test_runs(void**) {
  assert_int_equal(wrong_runs(), 0);
}
void test_limit(void**) {
  assert_int_equal(wrong_limit(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_runs), cmocka_unit_test(test_limit)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
