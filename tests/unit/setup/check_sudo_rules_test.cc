#include <map>
#include <set>

#include "agent/setup/sudo_rules.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

// As cvtsudoers 1.9.13 writes it.
constexpr char kRules[] = R"({
  "User_Specs": [
    { "User_List": [ { "username": "alice" }, { "usergroup": "ops" } ], "Host_List": [ { "hostname": "ALL" } ],
      "Cmnd_Specs": [
        { "runasusers": [ { "username": "root" } ], "Options": [ { "setenv": true }, { "authenticate": false } ],
          "Commands": [ { "command": "/usr/bin/id" }, { "command": "/usr/bin/su", "negated": true } ] },
        { "Commands": [ { "command": "ALL" } ] } ] },
    { "User_List": [ { "username": "ALL" }, { "username": "bob", "negated": true } ],
      "Host_List": [ { "hostname": "web" } ],
      "Cmnd_Specs": [ { "Options": [ { "authenticate": true } ],
        "Commands": [ { "command": "/a" }, { "command": "/b" }, { "command": "/c" }, { "command": "/d" } ] } ] },
    { "User_List": [ { "userid": 1007 }, { "usergid": 50 }, { "netgroup": "all" } ],
      "Host_List": [ { "hostname": "ALL" } ],
      "Cmnd_Specs": [ { "Options": [ { "authenticate": false } ], "Commands": [ { "command": "ALL" } ] } ] }
  ]
})";

struct Expected {
  const char *text, *reached;  // names, a blank after each
  bool any_command, no_password;
};
const Expected kExpected[] = {
    {"alice, %ops ALL=(root) NOPASSWD: /usr/bin/id, !/usr/bin/su", "alice bob ", false, true},
    {"alice, %ops ALL=ALL", "alice bob ", true, false},
    {"ALL, !bob web=/a, /b, /c, ...", "alice carol dave ", false, false},
    {"#1007, %#50, +all ALL=NOPASSWD: ALL", "carol dave ", true, true},
};

int wrong_rules() {
  const auto json = parse_json(kRules);
  const auto rules = json ? parse_sudo_rules(*json) : json.error();
  if (!rules || rules->size() != std::size(kExpected)) return wrong_if(true, "how many rules there are");
  const std::map<std::string, std::set<std::string>> groups = {{"bob", {"ops"}}, {"dave", {"#50"}}};
  const std::map<std::string, std::string> ids = {{"alice", "1001"}, {"bob", "1002"}, {"carol", "1007"}, {"dave", "4"}};
  int wrong = 0;
  for (std::size_t i = 0; i < rules->size(); ++i) {
    const SudoRule& rule = (*rules)[i];
    const Expected& expected = kExpected[i];
    std::string reached;
    for (const auto& entry : ids) {
      const std::string& name = entry.first;
      const auto in_group = [&](const std::string& group) {
        const auto found = groups.find(name);
        return found != groups.end() && found->second.count(group) != 0;
      };
      if (rule_reaches(rule, name, entry.second, in_group)) reached += name + " ";
    }
    wrong += wrong_if(rule.text != expected.text || reached != expected.reached ||
                          rule.any_command != expected.any_command || rule.no_password != expected.no_password,
                      (rule.text + ": " + reached).c_str());
  }
  return wrong;
}
void test_rules(void** /*state*/) {
  assert_int_equal(wrong_rules(), 0);
}

struct OddCase {
  const char *name, *json;
  int rules;  // -1: refused
};
const OddCase kOdd[] = {
    {"nothing", "{}", 0},
    {"no object", "[]", -1},
    {"rules that are no array", R"({"User_Specs": 5})", 0},
    {"a rule that is no object", R"({"User_Specs": [7]})", 0},
    {"a rule for nobody", R"({"User_Specs": [{"Cmnd_Specs": [{}]}]})", 1},
    {"members of other kinds",
     R"({"User_Specs": [{"User_List": [1, null, {"x": []}], "Cmnd_Specs": [{"Commands": "y"}]}]})", 1},
};

int wrong_odd() {
  int wrong = 0;
  for (const OddCase& c : kOdd) {
    const auto json = parse_json(c.json);
    if (!json) return wrong_if(true, c.name);
    const auto rules = parse_sudo_rules(*json);
    wrong += wrong_if((rules ? static_cast<int>(rules->size()) : -1) != c.rules, c.name);
    if (!rules) continue;
    for (const SudoRule& rule : *rules)
      wrong += wrong_if(rule_reaches(rule, "alice", "1", [](const std::string&) { return true; }), c.name);
  }
  return wrong;
}
void test_odd(void** /*state*/) {
  assert_int_equal(wrong_odd(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_odd)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
