#include "agent/setup/observed.h"

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

using Fields = std::map<std::string, std::string, std::less<>>;

JournalEntry entry_of(long long at, const char* event, Fields fields) {
  JournalEntry entry{from_unix(at), {{"HALLPASS_EVENT", event}}};
  for (auto& [name, value] : fields) entry.fields["HALLPASS_" + name] = std::move(value);
  return entry;
}

JournalEntry refusal(long long at, const char* person, const char* account, const char* from, const char* why,
                     const char* key = "") {
  return entry_of(at, "login_would_refuse",
                  {{"SUBJECT", person}, {"ACCOUNT", account}, {"RHOST", from}, {"WHY", why}, {"PUBLIC_KEY", key}});
}

Fields standing(const char* command, const char* path, const char* subject = "alice") {
  return {{"SUBJECT", subject}, {"ACCOUNT", "alice"}, {"TARGET", "root"},
          {"PATH", path},       {"COMMAND", command}, {"WHY", "standing"}};
}

std::string spelled(const Times& t) {
  return std::to_string(t.count) + " " + std::to_string(to_unix(t.first)) + ".." + std::to_string(to_unix(t.last));
}

int wrong_sums() {
  Observer observer;
  for (const JournalEntry& e :
       {refusal(30, "alice", "alice", "a", "no_grant"), refusal(10, "alice", "alice", "a", "no_grant"),
        refusal(20, "alice", "alice", "a", "no_grant"), refusal(5, "alice", "alice", "b", "no_grant"),
        refusal(21, "selftest", "hallpass-selftest-k3v9", "127.0.0.1", "no_grant"),
        refusal(5, "alice", "alice", "b", "ended"), refusal(5, "", "deploy", "b", "unknown_key", "k1"),
        refusal(6, "", "deploy", "b", "unknown_key", "k2"), refusal(7, "", "deploy", "b", "unknown_key", "k2"),
        entry_of(8, "login_admitted", {{"SUBJECT", "bob"}, {"ACCOUNT", "deploy"}}),
        entry_of(9, "login_admitted", {{"SUBJECT", "bob"}, {"ACCOUNT", "bob"}}),
        entry_of(4, "session_would_end", {{"SUBJECT", "bob"}, {"ACCOUNT", "bob"}, {"WHY", "grant x ended"}}),
        entry_of(5, "session_would_end", {{"SUBJECT", "bob"}, {"ACCOUNT", "bob"}, {"WHY", "grant x ended"}}),
        entry_of(5, "login_refused", {{"ACCOUNT", "deploy"}, {"WHY", "no_grant"}}), entry_of(5, "", {})})
    observer.add(e);
  const Observations seen = observer.take();
  std::string rows;
  for (const RefusedLogins& r : seen.refused)
    rows += r.person + "|" + r.key + "|" + r.account + "|" + r.from + "|" + r.why + "|" + spelled(r.times) + "\n";
  const std::string expected =
      "alice||alice|a|no_grant|3 10..30\n"
      "|k2|deploy|b|unknown_key|2 6..7\n"
      "|k1|deploy|b|unknown_key|1 5..5\n"
      "alice||alice|b|ended|1 5..5\n"
      "alice||alice|b|no_grant|1 5..5\n";
  if (rows != expected) print_error("%s", rows.c_str());
  int wrong = wrong_if(rows != expected, "logins by person, key, account, source and reason");
  wrong += wrong_if(spelled(seen.admitted) != "2 8..9" || seen.admitted_by.size() != 2, "those admitted");
  wrong += wrong_if(seen.ended.size() != 1 || spelled(seen.ended[0].times) != "2 4..5", "sessions");
  wrong += wrong_if(seen.ready() || seen.nothing(), "not ready");
  wrong += wrong_if(!observer.take().nothing(), "nothing is left");
  return wrong;
}
void test_sums(void** /*state*/) {
  assert_int_equal(wrong_sums(), 0);
}

int wrong_readiness() {
  Observer observer;
  int wrong = wrong_if(observer.take().ready(), "nothing seen is no readiness");
  observer.add(entry_of(8, "login_admitted", {{"SUBJECT", "bob"}, {"ACCOUNT", "bob"}}));
  wrong += wrong_if(!observer.take().ready(), "all admitted");
  observer.add(entry_of(8, "login_admitted", {{"SUBJECT", "bob"}, {"ACCOUNT", "bob"}}));
  observer.add(entry_of(9, "session_would_end", {{"SUBJECT", "bob"}, {"ACCOUNT", "bob"}, {"WHY", "over"}}));
  return wrong + wrong_if(observer.take().ready(), "a session would have been ended");
}
void test_readiness(void** /*state*/) {
  assert_int_equal(wrong_readiness(), 0);
}

int wrong_flood() {
  Observer observer;
  for (int i = 0; i < 6000; ++i) observer.add(refusal(i, "alice", "alice", std::to_string(i).c_str(), "no_grant"));
  const Observations seen = observer.take();
  return wrong_if(seen.refused.size() != 5001, "kinds are bounded") +
         wrong_if(seen.refused[0].from != "(many)" || seen.refused[0].times.count != 1000, "the others are counted");
}
void test_flood(void** /*state*/) {
  assert_int_equal(wrong_flood(), 0);
}

// --- sudo

struct Sudo {
  const char* name;
  Fields fields;
  const char* line;  // nullptr: it is not listed
};

int wrong_sudo() {
  Fields cut = standing("[\"x\"]", "/usr/bin/x"), by_grant = standing("[\"x\"]", "/usr/bin/x");
  cut["CUT"] = "COMMAND";
  by_grant["WHY"] = "grant";
  const Sudo cases[] = {
      {"a command", standing(R"(["systemctl","restart","nginx"])", "/usr/bin/systemctl"),
       R"({ as = "root", run = ["/usr/bin/systemctl", "restart", "nginx"] })"},
      {"letters of patterns", standing(R"(["ls","*.log","{a}","","a\"b"])", "/usr/bin/ls"),
       R"({ as = "root", run = ["/usr/bin/ls", "\\*.log", "\\{a\\}", "\"\"", "a\\\"b"] })"},
      {"no arguments", standing(R"(["id"])", "/usr/bin/id"), R"({ as = "root", run = ["/usr/bin/id"] })"},
      {"a shell", standing(R"(["bash"])", "/bin/bash"), R"({ as = "root", run = "shell" })"},
      {"a shell's command", standing(R"(["bash","-c","id"])", "/bin/bash"),
       R"({ as = "root", run = ["/bin/bash", "-c", "id"] })"},
      {"a control character", standing("[\"x\",\"a\\u0001\"]", "/usr/bin/x"), ""},
      {"a program without a path", standing(R"(["x"])", "x"), ""},
      {"an editor", standing(R"(["sudoedit","/etc/motd"])", "/usr/bin/sudoedit"), nullptr},
      {"cut short", cut, nullptr},
      {"by a grant", by_grant, nullptr},
      {"nobody's session", standing(R"(["x"])", "/usr/bin/x", ""), nullptr},
      {"no list", standing("x", "/usr/bin/x"), nullptr},
      {"not of words", standing("[\"x\",1]", "/usr/bin/x"), nullptr},
  };
  int wrong = 0;
  for (const Sudo& c : cases) {
    Observer observer;
    observer.add(entry_of(1, "sudo_allowed", c.fields));
    const Observations seen = observer.take();
    const bool listed = seen.sudo.size() == 1;
    const std::string line = listed ? seen.sudo[0].line() : "";
    if (listed != (c.line != nullptr) || (listed && line != c.line)) print_error("is: %s\n", line.c_str());
    wrong += wrong_if(listed != (c.line != nullptr) || (listed && line != c.line), c.name);
  }
  return wrong;
}
void test_sudo(void** /*state*/) {
  assert_int_equal(wrong_sudo(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_sums),
      cmocka_unit_test(test_readiness),
      cmocka_unit_test(test_flood),
      cmocka_unit_test(test_sudo),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
