#include "agent/setup/impact.h"

#include <algorithm>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"
#include "tests/unit/setup/fake_root.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

const std::vector<std::string> kPatterns = {".ssh/authorized_keys"};

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/bash\n"
    "www:x:33:33:www:/var/www:/usr/sbin/nologin\n"
    "ansible:x:998:998::/home/ansible:/bin/sh\n"
    "alice:x:1000:1000::/home/alice:/bin/bash\n"
    "ana:x:1001:1001::/home/ana:/bin/bash\n"
    "deploy:x:1002:1002::/home/deploy:/bin/bash\n"
    "rescue:x:1003:1003::/home/rescue:/bin/bash\n"
    "dora:x:1004:1004::/home/dora:/bin/bash\n"
    "idle:x:1005:1005::/home/idle:/bin/bash\n"
    "pat:x:1006:1006::/home/pat:/bin/bash\n"
    "hallpass-drop:x:997:997::/var/lib/hallpass-drop:/bin/sh\n";

void furnish(const FakeRoot& root, const std::string& labels = "env = \"prod\"") {
  root.write("/etc/passwd", kPasswd);
  root.write("/etc/shadow", "pat:$y$j9T$abcdefghij$klmnopqrstuvwxyz:19000:0:99999:7:::\n");
  root.write("/etc/group", "hallpass-exempt:x:900:rescue,hallpass-drop\n");
  root.write("/etc/hallpass/host.toml",
             "name = \"web-3\"\nlabels = { " + labels + " }\ndirectories = [\"/srv/hallpass\"]\n");
  const std::string key = TestKey::plain("somebody").line();
  root.write("/home/ansible/.ssh/authorized_keys", key + "\n# " + key + "\n" + TestKey::plain("other").line() + "\n");
  root.write("/home/dora/.ssh/authorized_keys", "from=\"192.0.2.7\" " + key + "\n");
}

LoginTraces seen_logins() {
  LoginTraces traces;
  traces.known = true;
  const auto came = [&](const char* account, int times) {
    for (int i = 0; i < times; ++i)
      add_login(std::string("Accepted publickey for ") + account + " from 192.0.2.7 port 1 ssh2",
                from_unix(1795219200 + i), traces);
  };
  came("ansible", 312);
  came("dora", 2);
  came("corp-user", 1);
  came("hallpass-drop", 4);
  return traces;
}

Impact impact_of(const FakeRoot& root, const Policy* policy, const LoginTraces& traces) {
  Result<Impact> impact = judge_impact(root.layout, policy, traces, kPatterns);
  if (!impact) std::fprintf(stderr, "%s\n", impact.error().message.c_str());
  return impact ? *impact : Impact();
}

std::string spelled(const AccountOutlook& a) {
  const char* outlook = a.outlook == Outlook::exempt ? "exempt" : a.outlook == Outlook::refused ? "refused" : "grant";
  return std::string(outlook) + " " + std::to_string(a.logins) + " " + std::to_string(a.keys) + " " + a.why +
         (a.automation ? " (" + a.evidence + ")" : "");
}
std::string outlook_of(const Impact& impact, const std::string& account) {
  const auto found = std::find_if(impact.accounts.begin(), impact.accounts.end(),
                                  [&](const AccountOutlook& a) { return a.account == account; });
  return found == impact.accounts.end() ? "none" : spelled(*found);
}

struct Case {
  const char* account;
  const char* outlook;
};

int wrong_outlooks(const Impact& impact, const std::vector<Case>& cases) {
  int wrong = 0;
  for (const Case& c : cases) {
    const std::string is = outlook_of(impact, c.account);
    if (is != c.outlook) print_error("%s: is \"%s\"\n", c.account, is.c_str());
    wrong += wrong_if(is != c.outlook, c.account);
  }
  return wrong;
}

int wrong_with_a_policy() {
  const FakeRoot root;
  furnish(root);
  const auto policy = must_parse(policy_text());
  const Impact impact = impact_of(root, policy.get(), seen_logins());
  int wrong = wrong_outlooks(impact, {{"ansible", "refused 312 2 no runbook names it (its name)"},
                                      {"dora", "refused 2 1 no runbook names it"},
                                      {"corp-user", "refused 1 0 no runbook names it"},
                                      {"root", "refused 0 0 no runbook names it"},
                                      {"pat", "refused 0 0 no runbook names it"},  // a password opens it
                                      {"alice", "grant 0 0 alice's own account"},
                                      {"deploy", "grant 0 0 runbook deploy"},
                                      {"rescue", "exempt 0 0 in the group hallpass-exempt"},
                                      {"ana", "none"},   // of the policy, but without a key, a password or a rule
                                      {"www", "none"},   // no shell
                                      {"idle", "none"},  // nothing opens it
                                      {"hallpass-drop", "none"}});
  wrong += wrong_if(impact.exempt != std::vector<std::string>{"rescue"}, "the exempt group");
  wrong += wrong_if(impact.accounts.empty() || impact.accounts.front().account != "ansible", "what is used most first");
  const auto order = [](const AccountOutlook& a, const AccountOutlook& b) { return a.outlook > b.outlook; };
  wrong += wrong_if(!std::is_sorted(impact.accounts.begin(), impact.accounts.end(), order), "refused first");
  return wrong;
}
void test_with_a_policy(void** /*state*/) {
  assert_int_equal(wrong_with_a_policy(), 0);
}

int wrong_on_another_host() {
  const FakeRoot root;
  furnish(root, "env = \"dev\"");
  LoginTraces traces = seen_logins();
  for (const char* account : {"alice", "deploy"})
    add_login(std::string("Accepted password for ") + account + " from 192.0.2.7 port 1 ssh2", from_unix(1795219200),
              traces);
  const auto policy = must_parse(policy_text());
  return wrong_outlooks(
      impact_of(root, policy.get(), traces),
      {{"alice", "refused 1 0 alice's own account, but no rule lets alice ask here"},
       {"deploy", "refused 1 0 runbook deploy names it, but no rule gives it on this host (its name)"}});
}
void test_on_another_host(void** /*state*/) {
  assert_int_equal(wrong_on_another_host(), 0);
}

int wrong_without() {
  const FakeRoot root;
  furnish(root);
  int wrong = wrong_outlooks(
      impact_of(root, nullptr, LoginTraces()),
      {{"root", "refused -1 0 there is no policy"}, {"rescue", "exempt -1 0 in the group hallpass-exempt"}});
  root.write("/etc/group", "users:x:100:\n");
  wrong += wrong_if(!impact_of(root, nullptr, LoginTraces()).exempt.empty(), "no exempt group");
  root.write("/etc/hallpass/host.toml", "name = 3\n");
  const Result<Impact> broken = judge_impact(root.layout, nullptr, LoginTraces(), kPatterns);
  wrong += wrong_if(broken || broken.error().message.find("host.toml") == std::string::npos, "a wrong host.toml");
  return wrong;
}
void test_without(void** /*state*/) {
  assert_int_equal(wrong_without(), 0);
}

int wrong_words() {
  const FakeRoot root;
  furnish(root);
  const auto policy = must_parse(policy_text());
  const std::string text = show_impact(impact_of(root, policy.get(), seen_logins()));
  int wrong = 0;
  for (const char* line :
       {"ACCOUNT    WHEN ENFORCED  LOGINS (30 DAYS)  LAST        KEYS  WHY\n",
        "\nansible    refused        312               2026-11-21  2     no runbook names it; automation: its name\n",
        "\nalice      needs a grant  0                 -           0     alice's own account\n",
        "Programs that will be locked out: ansible.\n", "usermod -aG hallpass-exempt ACCOUNT\n",
        "Refused whatever is asked: dora, corp-user, pat, root.\n", "With a grant: alice, deploy",
        "As before: rescue (the group hallpass-exempt).\n"})
    wrong += wrong_if(text.find(line) == std::string::npos, line);
  if (wrong != 0) print_error("%s\n", text.c_str());

  Impact many;
  for (int i = 0; i < 200; ++i)
    many.accounts.push_back({"u" + std::to_string(i) + "\x1b[2J", Outlook::refused, i == 150, "x", "y", 0, "", 0});
  const std::string cut = show_impact(many);
  wrong += wrong_if(std::count(cut.begin(), cut.end(), '\n') > 50, "not a line for each of many");
  wrong += wrong_if(cut.find("u150") == std::string::npos, "automation is named among many");
  wrong += wrong_if(cut.find("200 accounts in all: refused") == std::string::npos, "how many");
  wrong += wrong_if(cut.find('\x1b') != std::string::npos, "nothing for the terminal");
  wrong += wrong_if(cut.find("Nobody is in the exempt group") == std::string::npos, "nobody is exempt");
  return wrong;
}
void test_words(void** /*state*/) {
  assert_int_equal(wrong_words(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_with_a_policy),
      cmocka_unit_test(test_on_another_host),
      cmocka_unit_test(test_without),
      cmocka_unit_test(test_words),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
