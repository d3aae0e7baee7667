#include "agent/setup/self_test_words.h"

#include "agent/setup/self_test_account.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

ProgramEnd ended(int status, const char* output, const char* errors) {
  ProgramEnd end;
  end.exited = true;
  end.status = status;
  end.output = output;
  end.errors = errors;
  return end;
}

ProgramEnd not_ended() {
  ProgramEnd end;
  end.fault = "did not end within 10 s";
  return end;
}

int wrong_outcomes() {
  const struct {
    const char* name;
    ProgramEnd ssh;
    LoginOutcome outcome;
  } cases[] = {
      {"in", ended(0, "hallpass-selftest-is-in\n", ""), LoginOutcome::in},
      {"in, with a sentence", ended(0, "hallpass-selftest-is-in\n", "hallpass: admitted until 12:00\n"),
       LoginOutcome::in},
      {"in, after the site's words", ended(0, "Welcome\r\nhallpass-selftest-is-in\r\n", ""), LoginOutcome::in},
      {"in, and the command failed", ended(1, "hallpass-selftest-is-in\n", "no\n"), LoginOutcome::failed_there},
      {"in, and hung up", ended(255, "hallpass-selftest-is-in\n", "hallpass: x\n"), LoginOutcome::failed_there},
      {"in, and not in time", not_ended(), LoginOutcome::no_answer},
      {"refused by PAM's account lines", ended(255, "", "hallpass: no grant\nConnection closed by 127.0.0.1\n"),
       LoginOutcome::told_no},
      {"refused at the session", ended(254, "hallpass: no grant\n", ""), LoginOutcome::told_no},
      {"refused by sshd", ended(255, "", "x@127.0.0.1: Permission denied (publickey).\n"), LoginOutcome::refused},
      // hallpass-keys lets in who has no grant for that sentence alone: if that is reached, PAM did not refuse.
      {"nothing but the words of why", ended(1, "hallpass: no grant\n", ""), LoginOutcome::failed_there},
      {"a session that does nothing", ended(0, "", ""), LoginOutcome::failed_there},
      {"no sshd", ended(255, "", "ssh: connect to host 127.0.0.1 port 1: Connection refused\n"),
       LoginOutcome::no_answer},
      {"an echo of the command is not the session", ended(255, "", "bad command hallpass-selftest-is-in\n"),
       LoginOutcome::no_answer},
  };
  int wrong = 0;
  for (const auto& c : cases) wrong += wrong_if(outcome_of(c.ssh) != c.outcome, c.name);
  return wrong;
}

int wrong_quotes() {
  return wrong_if(!cited("").empty() || !cited("\n \r\n").empty(), "nothing said") +
         wrong_if(cited("a\n\nb\r\n") != "  a\n  b", "lines") +
         wrong_if(cited("1\n2\n3\n", 2) != "  2\n  3", "the last") +
         wrong_if(cited("\x1b[31mred\n") != "  \\x1b[31mred", "control characters") +
         wrong_if(cited(std::string(5000, 'x')).size() > 400, "a long line") +
         wrong_if(words_of(not_ended()) != "did not end within 10 s", "did not end") +
         wrong_if(words_of(ended(1, "", "")) != "ended with 1", "without words") +
         wrong_if(words_of(ended(1, "out", "bad\n")) != "ended with 1: bad", "one line") +
         wrong_if(words_of(ended(1, "out", "")) != "ended with 1: out", "on its output") +
         wrong_if(words_of(ended(1, "", "a\nb\n")) != "ended with 1:\n  a\n  b", "two lines") +
         wrong_if(lines_naming("PAM x\ny\nz pam_a\n", {"PAM ", "pam_"}) != "PAM x\nz pam_a\n", "lines that name");
}

int wrong_leftovers() {
  const auto names = [](std::string_view passwd, std::string_view group) {
    std::string text;
    for (const std::string& name : throw_aways(passwd, group)) text += name + " ";
    return text;
  };
  return wrong_if(names("root:x:0:0::/:/bin/sh\n", "root:x:0:\n") != "", "none") +
         wrong_if(names("a:x:1\nhallpass-selftest-a1:x:9:9:c:/h:/bin/sh\n", "hallpass-selftest-a1:x:9:\n") !=
                      "hallpass-selftest-a1 ",
                  "an account with its group") +
         wrong_if(names("", "hallpass-selftest-b2:x:9:\n") != "hallpass-selftest-b2 ", "a group alone") +
         wrong_if(names("x-hallpass-selftest-a:x:1\nhallpass-notify:x:2\n", "") != "", "others") +
         wrong_if(!new_self_test_name().starts_with(kSelfTestPrefix) || new_self_test_name() == new_self_test_name() ||
                      new_self_test_name().size() > 31,
                  "a name");
}

void test_outcomes(void**) {
  assert_int_equal(wrong_outcomes(), 0);
}
void test_quotes(void**) {
  assert_int_equal(wrong_quotes(), 0);
}
void test_leftovers(void**) {
  assert_int_equal(wrong_leftovers(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_outcomes), cmocka_unit_test(test_quotes),
                              cmocka_unit_test(test_leftovers)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
