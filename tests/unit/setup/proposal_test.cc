// What is proposed, appended to the policy, must parse and let the people in: that is asked of the policy itself.
#include "agent/setup/proposal.h"

#include <algorithm>

#include "agent/content.h"
#include "agent/ctl/observed_view.h"
#include "agent/setup/automation.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

const HostIdentity kHost{"web-3", {{"env", "prod"}}};

RefusedLogins login(const char* person, const char* account, const char* why = "no_grant") {
  RefusedLogins r;
  r.person = person;
  r.account = account;
  r.why = why;
  return r;
}
RefusedLogins stranger(const char* key, const char* account, const char* comment = "") {
  RefusedLogins r = login("", account, "unknown_key");
  r.key = TestKey::plain(key).line();
  r.comment = comment;
  return r;
}
RefusedLogins program(const char* account, const char* evidence) {
  RefusedLogins r = stranger("robot", account);
  r.automation = evidence;
  return r;
}

struct Case {
  const char* name;
  std::vector<RefusedLogins> seen;
  std::vector<std::pair<std::string, std::string>> may;  // account and person, afterwards
  std::vector<const char*> lines;                        // in what is to be appended
  std::vector<const char*> notes;
  bool appends = true;
};

std::vector<Case> cases() {
  return {
      {"a grant is all that is missing",
       {login("alice", "alice")},
       {{"alice", "alice"}},
       {},
       {"alice may log in to alice after: hallpass request break-glass --target host=web-3 --reason \"...\""},
       false},
      {"a person without a rule, her own account",
       {login("chloe", "chloe")},
       {{"chloe", "chloe"}},
       {"[runbooks.login]", "account = \"self\"", "requesters = [\"chloe\"]", "targets = [\"host=web-3\"]"},
       {"chloe may log in to chloe after: hallpass request login"}},
      {"a shared account that a runbook names",
       {login("chloe", "deploy")},
       {{"deploy", "chloe"}},
       {"runbooks = [\"deploy\"]"},
       {"after: hallpass request deploy"}},
      {"an account that no runbook names",
       {login("alice", "app", "unknown_key")},
       {{"app", "alice"}},
       {"[runbooks.use-app]", "account = \"app\"", "title = \"Log in as app\""},
       {"request use-app"}},
      {"two people lack one rule",
       {login("alice", "app"), login("chloe", "app")},
       {{"app", "alice"}, {"app", "chloe"}},
       {"requesters = [\"alice\", \"chloe\"]"},
       {}},
      {"root", {login("alice", "root", "unknown_key")}, {{"root", "alice"}}, {"[runbooks.use-root]"}, {}},
      {"somebody new on his own account",
       {stranger("dora", "dora", "dora@laptop")},
       {{"dora", "dora"}},
       {"[people.dora]\nkeys = [\"ssh-ed25519 ", " dora@laptop\"]", "[runbooks.login]"},
       {"dora may log in to dora"}},
      {"somebody new on a shared account",
       {stranger("dora", "deploy", "Dora@laptop")},
       {{"deploy", "dora"}},
       {"[people.dora]\nkeys", "runbooks = [\"deploy\"]"},
       {}},
      {"one key on two accounts",
       {stranger("dora", "dora"), stranger("dora", "deploy")},
       {{"dora", "dora"}, {"deploy", "dora"}},
       {"[people.dora]"},
       {}},
      {"two keys on one account",
       {stranger("dora", "app", "dora@a"), stranger("emil", "app", "emil@b")},
       {{"app", "dora"}, {"app", "emil"}},
       {"[people.dora]", "[people.emil]", "account = \"app\""},
       {}},
      {"a name that is taken",
       {stranger("dora", "sre", "sre")},
       {{"sre", "person1"}},
       {"[people.person1]\naccount = \"sre\""},
       {}},
      {"a comment that no name can be made of",
       {stranger("dora", "deploy", "\xc3\x96zg\xc3\xbcr")},
       {{"deploy", "person1"}},
       {"[people.person1]"},
       {}},
      {"a comment that must not be shown",
       {stranger("dora", "dora", "\xe2\x80\xae")},
       {{"dora", "dora"}},
       {"[people.dora]"},
       {}},
      {"a second key of somebody known",
       {stranger("dora", "alice")},
       {},
       {},
       {"'s own account, is alice's, add it to keys in [people.alice]: \"ssh-ed25519 "},
       false},
      {"on a colleague's own account",
       {login("bob", "alice", "unknown_key")},
       {},
       {},
       {"bob logs in to the own account of alice"},
       false},
      {"a program",
       {program("ansible", "its name")},
       {},
       {},
       {"A program logs in to ansible (its name). It cannot ask for a grant", "usermod -aG hallpass-exempt ansible"},
       false},
      {"somebody who never has a terminal", {program("dora", kNoTerminal)}, {{"dora", "dora"}}, {"[people.dora]"}, {}},
      {"an account that no policy can name", {login("alice", "CORP")}, {}, {}, {"No runbook can name CORP: "}, false},
      {"a key of a kind that is not listed",
       {[] {
         RefusedLogins r = stranger("dora", "dora");
         r.key = "ssh-dss AAAA";
         return r;
       }()},
       {},
       {},
       {"A key that logs in to dora cannot be listed: "},
       false},
      {"without a key",
       {login("", "deploy", "key_needed")},
       {},
       {},
       {"Somebody logs in to deploy without a key"},
       false},
      {"several people's", {login("", "deploy", "keys_of_several_people")}, {}, {}, {"one person's are needed"}, false},
      {"the host's own trouble",
       {login("alice", "alice", "no_logind_session")},
       {},
       {},
       {"for a reason of this host (no_logind_session): hallpass host check"},
       false},
      {"somebody who left",
       {login("zed", "zed")},
       {},
       {},
       {"zed, who logs in to zed, is not in the policy any more"},
       false},
  };
}

int wrong_case(const Case& c) {
  const auto policy = must_parse(policy_text());
  Observations seen;
  seen.refused = c.seen;
  const Proposal p = propose(seen, *policy, kHost);
  int wrong = wrong_if(c.appends == p.toml.empty(), "whether there is something to append");
  std::vector<Diagnostic> found;
  const auto after = parse_policy(policy->text + p.toml, found);
  if (after == nullptr) return wrong + wrong_if(true, all_diagnostics(found).c_str());
  const Access access = access_of(*after, kHost);
  for (const auto& place : c.may)
    wrong += wrong_if(access.count(place) == 0, (place.first + " of " + place.second).c_str());
  for (const char* line : c.lines) wrong += wrong_if(p.toml.find(line) == std::string::npos, line);
  std::string notes;
  for (const std::string& note : p.notes) notes += note + "\n";
  for (const char* note : c.notes) wrong += wrong_if(notes.find(note) == std::string::npos, note);
  // Nobody gets what he was not seen to use, and nobody gets in without somebody's word.
  for (const auto& [place, runbooks] : access) {
    if (access_of(*policy, kHost).count(place) != 0) continue;
    const bool meant = std::find(c.may.begin(), c.may.end(), place) != c.may.end();
    wrong += wrong_if(!meant, (place.first + " to " + place.second + " as well").c_str());
  }
  for (std::size_t i = policy->rules.size(); i < after->rules.size(); ++i)
    wrong += wrong_if(after->rules[i].gates.empty(), "a rule without a gate");
  if (wrong != 0) print_error("%s\n%s", p.toml.c_str(), notes.c_str());
  return wrong;
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : cases()) wrong += wrong_if(wrong_case(c) != 0, c.name);
  return wrong;
}
void test_cases(void** /*state*/) {
  assert_int_equal(wrong_cases(), 0);
}

// With one admin who is the only other person, and with nobody else at all.
int wrong_gates() {
  constexpr char kSmall[] =
      "format = 1\nfleet = \"f\"\nversion = 1\nvalid_until = 2027-06-30T00:00:00Z\npresence = \"none\"\n"
      "[admins]\npeople = [\"ana\"]\nthreshold = 1\n[people.ana]\nkeys = [\"KEY:ana\"]\n[people.dora]\nkeys = "
      "[\"KEY:dora\"]\n"
      "[runbooks.quick]\nmax_duration = \"1h\"\n[[rules]]\nrunbooks = [\"quick\"]\nrequesters = [\"ana\"]\ntargets = "
      "[\"env=dev\"]\n";
  const auto policy = must_parse(with_keys(kSmall));
  Observations seen;
  seen.refused = {login("dora", "dora")};
  const Proposal doras = propose(seen, *policy, kHost);
  int wrong = wrong_if(doras.toml.find("from = [\"ana\"], count = 1") == std::string::npos, "the admin agrees");
  wrong += wrong_if(doras.toml.find("[runbooks.") != std::string::npos, "a runbook that exists serves");
  seen.refused = {login("ana", "ana")};
  const Proposal anas = propose(seen, *policy, kHost);
  wrong += wrong_if(anas.toml.find("gates") != std::string::npos, "nobody agrees with himself");
  wrong += wrong_if(anas.toml.find("# Nobody else could agree") == std::string::npos, "and it is said");
  must_parse(policy->text + doras.toml);
  must_parse(policy->text + anas.toml);
  return wrong;
}
void test_gates(void** /*state*/) {
  assert_int_equal(wrong_gates(), 0);
}

int wrong_many() {
  const auto policy = must_parse(policy_text());
  Observations seen;
  for (int i = 0; i < 120; ++i) {
    const std::string name = "u" + std::to_string(i);
    seen.refused.push_back(stranger(name.c_str(), name.c_str()));
  }
  const Proposal p = propose(seen, *policy, kHost);
  must_parse(policy->text + p.toml);
  std::string notes;
  for (const std::string& note : p.notes) notes += note + "\n";
  return wrong_if(notes.find("There are more than 100 changes") == std::string::npos, "it is said that there are more");
}
void test_many(void** /*state*/) {
  assert_int_equal(wrong_many(), 0);
}

// --- for people and for programs

Observed observed() {
  Observed o;
  o.host = "web-3";
  o.now = from_unix(1795219200);
  o.has_policy = true;
  o.seen.since = o.now - Seconds{86400};
  return o;
}

int wrong_words() {
  Observed o = observed();
  int wrong = wrong_if(observed_lines(o).find("Nothing was observed yet") == std::string::npos, "nothing yet");
  o.seen.admitted.add(o.now);
  wrong += wrong_if(observed_lines(o).find("Ready to enforce") == std::string::npos, "ready");
  o.seen.all = false;
  wrong += wrong_if(observed_lines(o).find("the oldest are not counted") == std::string::npos, "not whole");
  o.seen.refused = {stranger("dora", "dora\x1b[2J"), program("ansible", "its name"), login("alice", "alice"),
                    login("chloe", "chloe")};
  for (RefusedLogins& r : o.seen.refused) r.times.add(o.now);
  StandingSudo sudo{"alice", "alice", "root", "/usr/bin/id", {}, {}};
  sudo.times.add(o.now);
  o.seen.sudo = {sudo};
  o.seen.ended = {{"alice", "alice", "its grant ended", {}}};
  o.seen.ended[0].times.add(o.now);
  o.proposal = propose(o.seen, *must_parse(policy_text()), kHost);
  const std::string text = observed_lines(o);
  for (const char* line :
       {"Observed on web-3 from 2026-11-20 00:00 to 2026-11-21 00:00 UTC: 1 logins with a grant, 4 that enforcing "
        "would",
        "PERSON      ACCOUNT", "a program?  ansible", "alice       alice",
        "unknown_key SHA256:", "{ as = \"root\", run = [\"/usr/bin/id\"] }", "its grant ended",
        "1      2026-11-21 00:00  2026-11-21 00:00\n", "What to do:\n", "To be appended to the policy"})
    wrong += wrong_if(text.find(line) == std::string::npos, line);
  wrong += wrong_if(text.find("Ready") != std::string::npos || text.find('\x1b') != std::string::npos,
                    "what must not stand there");
  if (wrong != 0) print_error("%s\n", text.c_str());
  o.has_policy = false;
  return wrong + wrong_if(observed_lines(o).find("No policy is in force") == std::string::npos, "without a policy");
}
void test_words(void** /*state*/) {
  assert_int_equal(wrong_words(), 0);
}

int wrong_json() {
  Observed o = observed();
  o.seen.refused = {program("ansible", "its name")};
  o.seen.refused[0].times.add(o.now);
  o.seen.admitted_by[{"bob", "deploy"}].add(o.now);
  const std::string json = to_json(observed_json(o));
  int wrong = 0;
  for (const char* part :
       {R"("since":"2026-11-20T00:00:00Z")", R"("ready":false)", R"("whole":true)",
        R"("admitted":[{"person":"bob","account":"deploy","count":1,"first":"2026-11-21T00:00:00Z")",
        R"({"person":null,"key":"SHA256:)", R"("from":null,"why":"unknown_key","automation":"its name","count":1,)"})
    wrong += wrong_if(json.find(part) == std::string::npos, part);
  if (wrong != 0) print_error("%s\n", json.c_str());
  return wrong;
}
void test_json(void** /*state*/) {
  assert_int_equal(wrong_json(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_cases), cmocka_unit_test(test_gates), cmocka_unit_test(test_many),
      cmocka_unit_test(test_words), cmocka_unit_test(test_json),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
