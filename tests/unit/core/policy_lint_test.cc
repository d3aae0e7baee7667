#include <cstdio>

#include "core/policy.h"
#include "core/policy_risks.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"

namespace {

using namespace hallpass;
using namespace hallpass::testing;

const UnixTime kNow = *parse_time("2027-01-01T00:00:00Z");

struct Advice {
  const char* name;
  const char* from;
  const char* to;
  const char* line;  // a finding that must be there, and was not there before the change
};
#define SYSTEMCTL R"({ as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },)"
const Advice kAdvice[] = {
    {"30 days left", "2027-06-30", "2027-01-31",
     ":4: warning: valid_until = 2027-01-31T00:00:00Z is 30 days away; then nothing is admitted; set it to a later "
     "date and sign the policy again"},
    {"over", "2027-06-30", "2027-01-01",
     ":4: warning: valid_until = 2027-01-01T00:00:00Z has passed: nothing is admitted; set it to a later date and sign "
     "the policy again"},
    {"threshold 1", "threshold = 2", "threshold = 1",
     ":9: warning: with threshold = 1 a single stolen key can write the policy; write threshold = 2 or more"},
    {"threshold of all", "threshold = 2", "threshold = 3",
     ":9: warning: all 3 admins must sign, so one lost key stops every change; add an admin"},
    {"login as root", "account          = \"deploy\"", "account = \"root\"",
     ":44: warning: [runbooks.deploy] lets people log in as root; write account = \"self\" and give the commands by "
     "sudo"},
    {"any", SYSTEMCTL, R"({ as = "root", run = "any" },)",
     ":39: warning: sudo entry 1 of [runbooks.restart-web] allows any command, so everything that root may do; name "
     "the commands that are needed, or keep it for emergencies"},
    {"edit", SYSTEMCTL, R"({ as = "root", edit = ["/etc/motd"] },)",
     ":39: warning: sudo entry 1 of [runbooks.restart-web] lets files be edited as root, which in most places is as "
     "much as a shell; give a command that makes the one change that is needed"},
    {"**", SYSTEMCTL, R"({ as = "root", run = ["/bin/ls", "**"], unbounded = true },)",
     ":39: warning: sudo entry 1 of [runbooks.restart-web] ends in **: any further arguments are let through, options "
     "too; write the arguments out"},
    {"a path with **", SYSTEMCTL, R"({ as = "root", run = ["/bin/cat", "-n", "<path:/srv/**>"] },)",
     ":39: warning: sudo entry 1 of [runbooks.restart-web]: <path:/srv/**> is every file below that directory, at any "
     "depth, also those of tomorrow; name one directory, as in <path:/srv/conf/>, or the files"},
    {"less", SYSTEMCTL, R"({ as = "root", run = ["/usr/bin/less", "/var/log/syslog"] },)",
     ":39: warning: sudo entry 1 of [runbooks.restart-web]: less starts a shell (!) and an editor (v); write "
     "subcommands = \"deny\", or \"check\""},
    {"journalctl by parameter", R"(, subcommands = "deny")", "",
     ":40: warning: sudo entry 2 of [runbooks.restart-web]: journalctl shows long output in a pager, which can start a "
     "shell; add \"--no-pager\" to its arguments, or write subcommands = \"deny\""},
    {"plain key cannot ask", "[\"SKEY:bob\"]", "[\"KEY:bob\"]",
     ":51: warning: bob cannot ask under rule 1: presence = \"touch\" needs a security key; add a security key of "
     "theirs (ssh-keygen -t ed25519-sk)"},
    {"plain key cannot approve", "[\"SKEY:bob\"]", "[\"KEY:bob\"]",
     ":57: warning: bob cannot approve in gate 1 of rule 2: presence = \"touch\" needs a security key; add a security "
     "key of theirs (ssh-keygen -t ed25519-sk)"},
    {"a gate of plain keys", R"(sre-leads = ["bob", "ana"])", R"(sre-leads = ["ben"])",
     ":57: warning: gate 1 of rule 2 cannot be filled: presence = \"touch\" needs security keys, and ben have none; "
     "add a security key of theirs (ssh-keygen -t ed25519-sk)"},
    {"a gate that its own member cannot pass", R"(sre-leads = ["bob", "ana"])", R"(sre-leads = ["bob"])",
     ":57: warning: when bob asks under rule 2, too few others are left to fill its gates; name more people in from"},
    {"max_duration without effect", "max_duration = \"1h\"\ngates", "max_duration = \"5h\"\ngates",
     ":57: warning: max_duration \"5h\" of rule 2 is longer than its runbooks allow; remove it, or write \"4h\" or "
     "less"},
    {"everything, and nobody hears of it", "alert      = true", "",
     ":65: warning: rule 3 gives everything, asks nobody and tells nobody; write alert = true, or add a gate"},
    {"group unused", "[groups]", "[groups]\nops = [\"ana\"]",
     ":28: warning: group ops is used by no rule; remove it, or name it in a rule"},
    {"group empty", "[groups]", "[groups]\nops = []", ":28: warning: group ops has no members; add some, or remove it"},
    {"runbook unused", "[runbooks.deploy]", "[runbooks.x]\nmax_duration = \"1h\"\n[runbooks.deploy]",
     ":43: warning: runbook x is used by no rule; remove it, or name it in a rule"},
    {"service unused", "[services.oncall-bot]", "[services.x]\nkeys = [\"KEY:x\"]\n[services.oncall-bot]",
     ":24: warning: service x is used by no rule; remove it, or name it in a gate"},
    {"person unused", "[people.bob]", "[people.x]\nkeys = [\"KEY:x\"]\n[people.bob]",
     ":21: warning: person x is used by no rule; remove them, or add them to a group that a rule names"},
};

std::string advice_on(const std::string& text) {
  return "\n" + replace_all(all_diagnostics(lint_policy(*must_parse(text), kNow)), "policy.toml", "");
}

int wrong_advice() {
  const std::string before = advice_on(policy_text());
  int wrong = 0;
  // The fixture has exactly one thing to warn of.
  wrong += wrong_if(before !=
                        "\n:49: warning: sudo entry 1 of [runbooks.break-glass] gives a shell, so everything that root "
                        "may do; name the commands that are "
                        "needed, or keep it for emergencies\n",
                    before.c_str());
  for (const Advice& c : kAdvice) {
    const std::string got = advice_on(policy_text(c.from, c.to));
    const std::string line = "\n" + std::string(c.line) + "\n";
    const bool bad = got.find(line) == std::string::npos || before.find(line) != std::string::npos;
    wrong += wrong_if(bad, c.name);
    if (bad) std::fprintf(stderr, "  got: %s", got.c_str());
  }
  const std::string later = advice_on(policy_text("2027-06-30", "2027-02-01"));
  wrong += wrong_if(later.find("valid_until") != std::string::npos, "31 days left");
  return wrong;
}

void test_advice(void**) {
  assert_int_equal(wrong_advice(), 0);
}

struct RiskCase {
  const char* path;
  std::vector<std::string> arguments;
  bool risky;
  Subcommands subcommands = Subcommands::allow;
};
const RiskCase kRisks[] = {
    {"/usr/bin/less", {"/x"}, true},
    {"/usr/bin/less", {"/x"}, false, Subcommands::deny},
    {"/usr/bin/less", {"/x"}, false, Subcommands::check},
    {"/usr/bin/vi", {"/x"}, true, Subcommands::deny},
    {"/usr/bin/vim.basic", {"/x"}, true},
    {"/bin/bash", {}, true, Subcommands::deny},
    {"/usr/bin/python3.11", {}, true},
    {"/usr/bin/python3.11", {"/opt/a.py"}, false},
    {"/usr/bin/python3.11", {"/opt/*.py"}, true},
    {"/usr/bin/find", {"/var", "*"}, true},
    {"/usr/bin/find", {"/var", "-name", "x"}, false},
    {"/usr/bin/find", {"<path:/var/>"}, true},
    {"/usr/bin/tar", {"cf", "/backup.tar", "<int:1..5>"}, false},
    {"/usr/bin/tar", {"**"}, true},
    {"/usr/bin/git", {"pull"}, true},
    {"/usr/bin/awk", {"**"}, true},
    {"/usr/bin/docker", {"restart", "*"}, true},
    {"/usr/bin/docker", {"restart", "{a,b}"}, false},
    {"/usr/bin/systemctl", {"restart", "*"}, false},
    {"/usr/bin/systemctl", {"{restart,edit}", "x"}, true},
    {"/usr/bin/systemctl", {"e*", "x"}, true, Subcommands::deny},
    {"/usr/bin/systemctl", {"status", "x"}, true},
    {"/usr/bin/systemctl", {"status", "--no-pager", "x"}, false},
    {"/usr/bin/systemctl", {"status", "x"}, false, Subcommands::deny},
    {"/usr/bin/systemctl", {}, true},
    {"/usr/bin/journalctl", {"-u", "x"}, true},
    {"/usr/bin/journalctl", {"--no-pager"}, false},
    {"/usr/bin/timeout", {"<int:1..60>", "/usr/bin/strace", "-c"}, false},
    {"/usr/bin/timeout", {"5", "/bin/bash"}, true},
    {"/usr/bin/timeout", {"5", "/bin/bash"}, true, Subcommands::deny},
    {"/usr/bin/env", {"A=b", "less", "/x"}, true},
    {"/usr/bin/env", {"A=b", "less", "/x"}, false, Subcommands::deny},
    {"/usr/sbin/nginx", {"-t"}, false},
    {"/usr/sbin/nginx", {"-t", "-c", "*"}, true},
    {"/usr/sbin/ip", {"route"}, false},
    {"/usr/sbin/ip", {"**"}, true},
    {"/usr/bin/certbot", {"renew", "**"}, true},
    {"/usr/bin/id", {"*"}, false},
    {"/usr/bin/lessecho", {}, false},
};

int wrong_risks() {
  int wrong = 0;
  for (const RiskCase& c : kRisks) {
    Command command;
    command.executables = {"/bin/true", c.path};
    command.arguments = c.arguments;
    command.subcommands = c.subcommands;
    std::string name = c.path;
    for (const std::string& argument : c.arguments) name += " " + argument;
    const auto risk = risk_of(command);
    wrong += wrong_if(risk.has_value() != c.risky || (risk && (risk->why.empty() || risk->cure.empty())), name.c_str());
  }
  return wrong;
}

void test_risks(void**) {
  assert_int_equal(wrong_risks(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_advice), cmocka_unit_test(test_risks)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
