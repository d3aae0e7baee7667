#include "core/policy.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"

namespace {

using namespace hallpass;
using namespace hallpass::testing;

struct Change {
  const char* name;
  const char* from;
  const char* to;
  const char* expected;  // lines with '\n'; {bob} and [bob] stand for a security key and a plain key of that name
};
const Change kChanges[] = {
    {"nothing", "", "", ""},
    {"only the text", "threshold = 2", "threshold = 2  # of three", ""},
    {"version", "version     = 7", "version = 8", "~ version: 7 -> 8\n"},
    {"validity", "2027-06-30", "2027-07-31", "~ valid_until: 2027-06-30T00:00:00Z -> 2027-07-31T00:00:00Z\n"},
    {"presence, and with it each rule's", "presence    = \"touch\"", "presence = \"none\"",
     "~ presence: touch -> none\n~ rule 1: presence: touch -> none\n~ rule 2: presence: touch -> none\n"},
    {"an origin", "version     = 7", "version = 7\nwebauthn_origins = [\"https://a.example\"]",
     "+ webauthn origin: https://a.example\n"},
    {"an admin", R"("ana", "ben", "chloe")", R"("ana", "ben", "bob")", "- admin: chloe\n+ admin: bob\n"},
    {"threshold", "threshold = 2", "threshold = 3", "~ admins' threshold: 2 -> 3\n"},
    {"a person", "[people.bob]", "[people.dave]\nkeys = [\"KEY:dave laptop\"]\n[people.bob]",
     "+ person dave, account dave\n+ key of dave: ssh-ed25519 [dave] (laptop)\n"},
    {"an account", "account = \"alice\"", "account = \"al\"", "~ person alice: account: alice -> al\n"},
    {"a key more", "[\"SKEY:bob\"]", "[\"SKEY:bob\", \"KEY:bobs\"]", "+ key of bob: ssh-ed25519 [bobs]\n"},
    {"another key", "[\"SKEY:bob\"]", "[\"KEY:bobs\"]", "KEYS"},
    {"a key's comment", "SKEY:bob\"", "SKEY:bob new\"",
     "~ key of bob: sk-ssh-ed25519@openssh.com {bob} -> sk-ssh-ed25519@openssh.com {bob} (new)\n"},
    {"a service", "[groups]", "[services.ci]\nkeys = [\"KEY:ci\"]\n[groups]",
     "+ service ci\n+ key of ci: ssh-ed25519 [ci]\n"},
    {"a group member", R"(sre-leads = ["bob", "ana"])", R"(sre-leads = ["bob", "chloe"])",
     "- group sre-leads: ana\n+ group sre-leads: chloe\n"},
    {"a group", "[groups]", "[groups]\nops = [\"ben\", \"ana\"]", "+ group ops: ana, ben\n"},
    {"a title", "Restart a web service", "Restart it",
     "~ runbook restart-web: title: \"Restart a web service\" -> \"Restart it\"\n"},
    {"durations", "default_duration = \"30m\"\nmax_duration     = \"2h\"",
     "default_duration = \"10m\"\nmax_duration = \"3h\"",
     "~ runbook restart-web: default_duration: 30m -> 10m\n~ runbook restart-web: max_duration: 2h -> 3h\n"},
    {"a shared account", "account          = \"deploy\"", "account = \"release\"",
     "~ runbook deploy: account: deploy -> release\n"},
    {"a choice", R"(["nginx", "php8.2-fpm"])", R"(["nginx", "mysql"])",
     "- runbook restart-web: parameter service: php8.2-fpm\n+ runbook restart-web: parameter service: mysql\n"},
    {"a parameter", "{ service", "{ mode = [\"a\", \"b\"], service", "+ runbook restart-web: parameter mode: a, b\n"},
    {"a command's argument", "{restart,reload}", "{restart,stop}",
     "- runbook restart-web: command as root: /usr/bin/systemctl {restart,reload} ${service}\n"
     "+ runbook restart-web: command as root: /usr/bin/systemctl {restart,stop} ${service}\n"},
    {"subcommands", ", subcommands = \"deny\"", "",
     "- runbook restart-web: command as root: /usr/bin/journalctl -u ${service} -n <int:1..10000> [may start no other "
     "program]\n"
     "+ runbook restart-web: command as root: /usr/bin/journalctl -u ${service} -n <int:1..10000>\n"},
    {"sudo where was none", "max_duration     = \"4h\"",
     "max_duration = \"4h\"\nshared_sudo = true\nsudo = [ { as = \"root\", run = \"any\" } ]",
     "~ runbook deploy: shared_sudo: false -> true\n+ runbook deploy: command as root: any command, so everything\n"},
    {"a runbook", "[runbooks.deploy]",
     "[runbooks.extra]\nmax_duration = \"1h\"\nsudo = [ { as = \"root\", run = [\"/bin/ls\"] } ]\n[runbooks.deploy]",
     "+ runbook extra: account self, max_duration 1h, default_duration 30m\n+ runbook extra: command as root: "
     "/bin/ls\n"},
    {"a rule in front leaves the others alone", "[[rules]]",
     "[[rules]]\nrunbooks = [\"deploy\"]\nrequesters = [\"ana\"]\ntargets = [\"host=x\"]\n[[rules]]",
     "+ rule 1: runbooks deploy; requesters ana; targets \"host=x\"; hours any; gates none; revokers none; "
     "max_duration the runbook's; presence "
     "touch; alert false\n"},
    {"hours", "hours      = [\"Mon-Fri 07:00-19:00 Europe/Berlin\"]", "",
     "~ rule 1: hours: Mon-Fri 07:00-19:00 Europe/Berlin -> any\n"},
    {"targets", "env=prod,role=web", "env=prod", "~ rule 1: targets: \"env=prod,role=web\" -> \"env=prod\"\n"},
    {"requesters", "requesters = [\"sre\"]", "requesters = [\"sre\", \"ana\"]",
     "~ rule 1: requesters: sre -> sre, ana\n"},
    {"a rule's runbooks", "runbooks   = [\"restart-web\", \"deploy\"]", "runbooks = [\"deploy\"]",
     "~ rule 2: runbooks: restart-web, deploy -> deploy\n"},
    {"gates", "{ from = [\"sre-leads\"], count = 1 }, ", "",
     "~ rule 2: gates: 1 of sre-leads and 1 of oncall-bot -> 1 of oncall-bot\n"},
    {"revokers", "revokers   = [\"security\"]", "revokers = [\"ben\"]", "~ rule 2: revokers: ben, chloe -> ben\n"},
    {"a rule's max_duration", "max_duration = \"1h\"\ngates", "gates", "~ rule 2: max_duration: 1h -> the runbook's\n"},
    {"a rule's presence", "presence   = \"verified\"", "", "~ rule 3: presence: verified -> touch\n"},
    {"an alert", "alert      = true", "", "~ rule 3: alert: true -> false\n"},
};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string expected_text(std::string text) {
  if (text == "KEYS") {  // removed and added keys come in the order of their fingerprints
    const std::string gone = TestKey::security("bob").fingerprint();
    const std::string fresh = TestKey::plain("bobs").fingerprint();
    const std::string a = "- key of bob: sk-ssh-ed25519@openssh.com " + gone + "\n";
    const std::string b = "+ key of bob: ssh-ed25519 " + fresh + "\n";
    return gone < fresh ? a + b : b + a;
  }
  text = replace_all(text, "{bob}", TestKey::security("bob").fingerprint());
  for (const char* name : {"dave", "bobs", "ci"}) {
    text = replace_all(text, "[" + std::string(name) + "]", TestKey::plain(name).fingerprint());
  }
  return text;
}

// The way back shows the same with + and - exchanged: nothing is seen in one direction only.
int wrong_changes() {
  const auto before = must_parse(policy_text());
  int wrong = 0;
  for (const Change& c : kChanges) {
    const auto after = must_parse(policy_text(c.from, c.to));
    const std::string got = joined(describe_changes(*before, *after));
    wrong += wrong_if(got != expected_text(c.expected), c.name);
    if (got != expected_text(c.expected)) std::fprintf(stderr, "  got:\n%s", got.c_str());
    const auto back = describe_changes(*after, *before);
    wrong += wrong_if(back.size() != describe_changes(*before, *after).size(), c.name);
  }
  return wrong;
}

void test_changes(void**) {
  assert_int_equal(wrong_changes(), 0);
}

// Whatever changes a digest shows, also where every line reads the same.
int wrong_order() {
  const auto before = must_parse(policy_text());
  std::string text = policy_text();
  const std::size_t first = text.find("  { as = \"root\", run = [\"/usr/bin/systemctl\"");
  const std::size_t second = text.find("  { as = \"root\", run = [\"/usr/bin/journalctl\"");
  const std::string line = text.substr(first, second - first);
  text.erase(first, line.size());
  text.insert(text.find("]\n\n[runbooks.deploy]"), line);
  const std::string got = joined(describe_changes(*before, *must_parse(text)));
  return wrong_if(got != "~ runbook restart-web: commands in another order (live grants become void)\n", got.c_str());
}

void test_order(void**) {
  assert_int_equal(wrong_order(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_changes), cmocka_unit_test(test_order)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
