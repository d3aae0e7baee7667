#include "pam/exempt.h"

#include "pam/options.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

struct Case {
  const char* name;
  const char* account;
  const char* group;
  bool exempt;
};

const Case kCases[] = {
    {"a member", "ops", "hallpass-exempt", true},
    {"the last member", "ana", "hallpass-exempt", true},
    {"by primary group", "primary", "hallpass-exempt", true},
    {"not a member", "alice", "hallpass-exempt", false},
    {"a member of a group named alike", "eve", "hallpass-exempt", false},
    {"a prefix of a member", "op", "hallpass-exempt", false},
    {"a member and more", "ops2", "hallpass-exempt", false},
    {"no name", "", "hallpass-exempt", false},
    {"no such group", "ops", "nobodies", false},
    {"an empty group", "ops", "empty", false},
    {"another group", "eve", "hallpass-exempt2", true},
    {"an account that passwd does not know", "ghost", "hallpass-exempt", false},
};

int wrong_members() {
  const ScratchDir dir;
  write_text(
      dir / "group",
      "root:x:0:\n# comment\nnonsense\nhallpass-exempt2:x:77:eve\nhallpass-exempt:x:99:ops,bob,ana\nempty:x:98:\n");
  write_text(dir / "passwd",
             "root:x:0:0::/:/bin/sh\nnonsense\nalice:x:1000:1000::/:/bin/sh\nprimary:x:1001:99::/:/bin/sh\n");
  int wrong = 0;
  for (const auto& c : kCases) {
    wrong += wrong_if(
        in_exempt_group(c.account, c.group, (dir / "group").c_str(), (dir / "passwd").c_str()) != c.exempt, c.name);
  }
  wrong += wrong_if(in_exempt_group("ops", "hallpass-exempt", (dir / "none").c_str(), (dir / "passwd").c_str()),
                    "no group file");
  wrong += wrong_if(!in_exempt_group("ops", "hallpass-exempt", (dir / "group").c_str(), (dir / "none").c_str()),
                    "members need no passwd");
  return wrong +
         wrong_if(in_exempt_group("primary", "hallpass-exempt", (dir / "group").c_str(), (dir / "none").c_str()),
                  "no passwd");
}

struct Words {
  const char* name;
  std::vector<const char*> argv;
  bool observe;
  const char* group;
  const char* unknown;
};

const Words kWords[] = {
    {"none", {}, false, "hallpass-exempt", ""},
    {"observe", {"mode=observe"}, true, "hallpass-exempt", ""},
    {"enforce", {"mode=observe", "mode=enforce"}, false, "hallpass-exempt", ""},
    {"a group", {"exempt_group=wheel"}, false, "wheel", ""},
    {"an empty group", {"exempt_group="}, false, "hallpass-exempt", "exempt_group="},
    {"a mode nobody knows", {"mode=observer"}, false, "hallpass-exempt", "mode=observer"},
    {"a word nobody knows", {"debug", "mode=observe"}, true, "hallpass-exempt", "debug"},
    {"the line after pam_systemd", {"post", "mode=observe"}, true, "hallpass-exempt", ""},
    {"post takes no value", {"post=yes"}, false, "hallpass-exempt", "post=yes"},
};

int wrong_options() {
  int wrong = 0;
  for (const auto& c : kWords) {
    const Options o = parse_options(static_cast<int>(c.argv.size()), c.argv.data());
    wrong += wrong_if(
        o.observe != c.observe || o.exempt_group != c.group || o.unknown != c.unknown || !o.serves("sshd"), c.name);
  }
  const char* post[] = {"post"};
  wrong += wrong_if(!parse_options(1, post).post || parse_options(0, nullptr).post, "post only where it is said");
  const char* several[] = {"services=sshd,login"};
  const Options o = parse_options(1, several);
  wrong += wrong_if(!o.serves("sshd") || !o.serves("login") || o.serves("su") || o.serves("") || o.serves("log"),
                    "services");
  return wrong + wrong_if(parse_options(0, nullptr).serves("systemd-user"), "sshd alone by default");
}

void test_members(void**) {
  assert_int_equal(wrong_members(), 0);
}
void test_options(void**) {
  assert_int_equal(wrong_options(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_members), cmocka_unit_test(test_options)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
