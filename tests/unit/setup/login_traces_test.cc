#include "agent/setup/login_traces.h"

#include <utmp.h>

#include <cstring>

#include "agent/setup/automation.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

// --- sshd's lines

struct Line {
  const char* name;
  const char* message;
  const char* account;
};
const Line kLines[] = {
    {"a key", "Accepted publickey for alice from 192.0.2.7 port 4711 ssh2: ED25519 SHA256:abc", "alice"},
    {"a password", "Accepted password for bob from ::1 port 1 ssh2", "bob"},
    {"a directory's name", "Accepted publickey for corp\\eve from 192.0.2.7 port 1 ssh2", "corp\\eve"},
    {"a name with a blank", "Accepted publickey for from from from 192.0.2.7 port 1 ssh2", "from from"},
    {"a failure", "Failed password for alice from 192.0.2.7 port 4711 ssh2", ""},
    {"in the middle", "x Accepted publickey for alice from 192.0.2.7 port 1", ""},
    {"no account", "Accepted publickey for  from 192.0.2.7 port 1", ""},
    {"cut short", "Accepted publickey for alice", ""},
    {"nothing", "", ""},
};
int wrong_lines() {
  int wrong = 0;
  for (const Line& c : kLines) wrong += wrong_if(accepted_account(c.message) != c.account, c.name);
  return wrong;
}
void test_lines(void** /*state*/) {
  assert_int_equal(wrong_lines(), 0);
}

// --- wtmp

std::string record(short type, const char* user, int at) {
  struct utmp r {};
  r.ut_type = type;
  std::strncpy(r.ut_user, user, sizeof r.ut_user);
  r.ut_tv.tv_sec = at;
  return {reinterpret_cast<const char*>(&r), sizeof r};
}

LoginTraces traces_of(const std::string& wtmp, int logins, int first) {
  LoginTraces traces;
  traces.known = true;
  add_terminals(wtmp, traces);
  for (int i = 0; i < logins; ++i)
    add_login("Accepted publickey for ansible from 192.0.2.7 port 1 ssh2", from_unix(first + i), traces);
  return traces;
}

struct Terminals {
  const char* name;
  std::string wtmp;
  int logins, first;
  bool never;
};

int wrong_terminals() {
  const std::string boot = record(BOOT_TIME, "reboot", 100);
  const Terminals cases[] = {
      {"several, recorded", boot, 3, 100, true},
      {"too few to tell", boot, 2, 100, false},
      {"before the record began", boot, 3, 90, false},
      {"some of them before it began", boot, 5, 98, true},
      {"no record at all", "", 3, 100, false},
      {"on a terminal once", boot + record(USER_PROCESS, "ansible", 150), 9, 100, false},
      {"somebody else on a terminal", boot + record(USER_PROCESS, "ansible2", 150), 9, 100, true},
      {"a logout is no login", boot + record(DEAD_PROCESS, "ansible", 150), 9, 100, true},
      {"cut short", boot + record(USER_PROCESS, "ansible", 150).substr(0, 300), 9, 100, true},
      {"empty records", record(EMPTY, "", 0) + record(EMPTY, "", 50), 9, 60, false},
  };
  int wrong = 0;
  for (const Terminals& c : cases)
    wrong += wrong_if(traces_of(c.wtmp, c.logins, c.first).never_on_terminal("ansible") != c.never, c.name);
  const LoginTraces seen = traces_of(boot, 4, 98);
  wrong += wrong_if(seen.by_account.at("ansible").count != 4, "all logins count");
  wrong += wrong_if(seen.by_account.at("ansible").last != from_unix(101), "the last one");
  return wrong;
}
void test_terminals(void** /*state*/) {
  assert_int_equal(wrong_terminals(), 0);
}

// --- automation

struct Name {
  const char* account;
  bool automation;
};
const Name kNames[] = {
    {"ansible", true}, {"svc-web", true}, {"web-backup", true}, {"jenkins2", true}, {"backup_pg", true},
    {"alice", false},  {"gitte", false},  {"root", false},      {"cindy", false},   {"", false},
    {"-", false},      {"ci", true},      {"deploy", true},     {"botha", false},   {"a.git.b", true},
};
int wrong_names() {
  int wrong = 0;
  for (const Name& c : kNames) wrong += wrong_if(is_automation_name(c.account) != c.automation, c.account);
  return wrong;
}
void test_names(void** /*state*/) {
  assert_int_equal(wrong_names(), 0);
}

AuthorizedKey key_with(const char* options) {
  AuthorizedKey key;
  key.options = options;
  return key;
}

struct Evidence {
  const char* name;
  const char* account;
  uid_t uid;
  std::vector<AuthorizedKey> keys;
  bool by_name;
  const char* evidence;
};
int wrong_evidence() {
  const AuthorizedKey plain = key_with(""), forced = key_with("command=\"/bin/x y\",no-pty"),
                      from = key_with("from=\"a\"");
  const Evidence cases[] = {
      {"a person", "alice", 1000, {plain}, true, ""},
      {"a name", "rsync", 1001, {}, true, "its name"},
      {"a name that the policy gives to people", "deploy", 1001, {}, false, ""},
      {"a system account", "pgsql", 105, {}, true, "a system account, uid 105"},
      {"root is none", "root", 0, {}, true, ""},
      {"nobody", "nobody", 65534, {}, true, "a system account, uid 65534"},
      {"one command", "alice", 1000, {forced, forced}, true, "each of its keys runs one command"},
      {"one command, on a shared account", "app", 1000, {forced}, false, "each of its keys runs one command"},
      {"one of the keys is free", "alice", 1000, {forced, plain}, true, ""},
      {"another option", "alice", 1000, {from}, true, ""},
  };
  int wrong = 0;
  for (const Evidence& c : cases) {
    Account account;
    account.name = c.account;
    account.uid = c.uid;
    wrong += wrong_if(automation_evidence(&account, c.account, c.keys, {}, c.by_name) != c.evidence, c.name);
  }
  const LoginTraces traces = traces_of(record(BOOT_TIME, "reboot", 100), 3, 100);
  wrong += wrong_if(automation_evidence(nullptr, "ansible", {}, traces, false) != "it never logs in on a terminal",
                    "by its logins");
  return wrong;
}
void test_evidence(void** /*state*/) {
  assert_int_equal(wrong_evidence(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_lines),
      cmocka_unit_test(test_terminals),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_evidence),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
