// Every step of judging (docs/architecture.md, "Judging"), good and bad.
#include "core/judge.h"

#include <functional>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace hallpass {
namespace {

using testing::kNoon;
using testing::Scene;
using testing::TestKey;

struct Case {
  const char* name;
  std::function<void(Scene&)> arrange;
  GrantState state;
  Step step;
  std::string said;  // must stand in the detail
};

int wrong_in(const std::vector<Case>& cases) {
  int wrong = 0;
  for (const Case& c : cases) {
    Scene scene;
    c.arrange(scene);
    const Judgement got = scene.judge_now();
    const bool good = got.state == c.state && got.step == c.step && got.detail.find(c.said) != std::string::npos;
    if (!good) {
      print_error("  got %s at %s: %s\n", std::string(to_string(got.state)).c_str(),
                  std::string(to_string(got.step)).c_str(), got.detail.c_str());
    }
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

constexpr auto kActive = GrantState::active;
constexpr auto kVoid = GrantState::void_;
constexpr auto kPending = GrantState::pending;
constexpr auto kEnded = GrantState::ended;

// A request that bob approves five minutes later: active at ten minutes past.
void approved(Scene& s) {
  s.ask();
  s.approve("bob", 300);
}

std::string plain_key(const char* name) {
  return TestKey::plain(name).fingerprint();
}

std::vector<Case> step_1() {
  return {
      {"a request and the approval that the gate wants", approved, kActive, Step::none, "until 2026-11-23T12:35:00Z"},
      {"no such request", [](Scene& s) { s.approve("bob", 300); }, kVoid, Step::signature, "no such request"},
      {"the signing key left the policy",
       [](Scene& s) {
         approved(s);
         s.edit("\"" + TestKey::plain("alice").line() + "\", ", "");
       },
       kVoid, Step::signature, "no longer"},
      {"the subject left the policy",
       [](Scene& s) {
         approved(s);
         s.edit("[people.alice]", "[people.alina]");
         s.edit("sre = [\"alice\", \"bob\"]", "sre = [\"bob\"]");
         s.edit("\"ana\", \"alice\"]", "\"ana\"]");
       },
       kVoid, Step::signature, "alice is not a person"},
      {"the signing key is another person's now",
       [](Scene& s) {
         approved(s);
         s.edit("\"" + TestKey::plain("alice").line() + "\", ", "");
         s.edit(TestKey::plain("erin").line(), TestKey::plain("alice").line());
       },
       kVoid, Step::signature, ""},
      {"a policy of another fleet",
       [](Scene& s) {
         approved(s);
         s.edit("acme-prod", "acme-test");
       },
       kVoid, Step::signature, "acme-prod"},
      {"the key voided by its owner",
       [](Scene& s) {
         approved(s);
         s.revoke_key(plain_key("alice"), "alice", 9);
       },
       kVoid, Step::signature, "voided"},
      {"the key voided by an admin, before the request was made or after",
       [](Scene& s) {
         approved(s);
         s.revoke_key(plain_key("alice"), "ben", -99999);
       },
       kVoid, Step::signature, ""},
      {"the key voided in the ledger's memory",
       [](Scene& s) {
         approved(s);
         s.voided = {plain_key("alice")};
       },
       kVoid, Step::signature, ""},
      {"somebody else cannot void it",
       [](Scene& s) {
         approved(s);
         s.revoke_key(plain_key("alice"), "chloe", 9);
       },
       kActive, Step::none, ""},
      {"a voided key can still void, narrowing is never lost",
       [](Scene& s) {
         approved(s);
         s.revoke_key(plain_key("alice"), "alice", 9);
         s.revoke_key(plain_key("alice"), "ben", 9);
         s.revoke_key(plain_key("ben"), "ana", 8);
       },
       kVoid, Step::signature, ""},
      {"signed with two keys of which one is voided",
       [](Scene& s) {
         approved(s);
         s.add(TestKey::security("alice"), s.request);
         s.revoke_key(plain_key("alice"), "alice", 9);
       },
       kActive, Step::none, ""},
      {"requested_at as far ahead as clocks may differ",
       [](Scene& s) {
         s.use_runbook("look");
         s.request.requested_at = kNoon + Seconds{720};
         s.ask();
       },
       kPending, Step::not_started, ""},
      {"requested_at one second more ahead: not yet, never void",
       [](Scene& s) {
         s.use_runbook("look");
         s.request.requested_at = kNoon + Seconds{721};
         s.ask();
       },
       kPending, Step::not_yet, "not come yet"},
  };
}

std::vector<Case> steps_2_and_3() {
  return {
      {"the runbook changed",
       [](Scene& s) {
         approved(s);
         s.edit("\"restart\"", "\"stop\"");
       },
       kVoid, Step::runbook, "not what it was"},
      {"the runbook's title changed, which nobody agreed to",
       [](Scene& s) {
         approved(s);
         s.edit("[runbooks.restart-web]\n", "[runbooks.restart-web]\ntitle = \"x\"\n");
       },
       kActive, Step::none, ""},
      {"the runbook is gone",
       [](Scene& s) {
         approved(s);
         s.edit("[runbooks.restart-web]", "[runbooks.restart-all]");
         s.edit("runbooks = [\"restart-web\"]", "runbooks = [\"restart-all\"]");
       },
       kVoid, Step::runbook, "no runbook restart-web"},
      {"another listed value",
       [](Scene& s) {
         s.request.parameters = {{"service", {"php-fpm", "nginx"}}};
         approved(s);
       },
       kActive, Step::none, ""},
      {"a value that is not listed",
       [](Scene& s) {
         s.request.parameters = {{"service", {"nginx", "sshd"}}};
         approved(s);
       },
       kVoid, Step::parameters, "sshd"},
      {"a parameter missing",
       [](Scene& s) {
         s.request.parameters = {};
         approved(s);
       },
       kVoid, Step::parameters, "service"},
      {"a parameter that the runbook has not",
       [](Scene& s) {
         s.request.parameters["unit"] = {"nginx"};
         approved(s);
       },
       kVoid, Step::parameters, "unit"},
      {"as long as the runbook lasts",
       [](Scene& s) {
         s.request.duration = Seconds{7200};
         approved(s);
       },
       kActive, Step::none, ""},
      {"a second longer than the runbook lasts",
       [](Scene& s) {
         s.request.duration = Seconds{7201};
         approved(s);
       },
       kVoid, Step::duration, "2h"},
      {"an approval that shortens does not cure asking for too much",
       [](Scene& s) {
         s.request.duration = Seconds{7201};
         s.ask();
         s.approve("bob", 300, 60);
       },
       kVoid, Step::duration, ""},
      {"as long as the rule allows",
       [](Scene& s) {
         approved(s);
         s.edit("count = 1 } ]", "count = 1 } ]\nmax_duration = \"30m\"");
       },
       kActive, Step::none, ""},
      {"longer than the rule allows",
       [](Scene& s) {
         approved(s);
         s.edit("count = 1 } ]", "count = 1 } ]\nmax_duration = \"29m\"");
       },
       kVoid, Step::duration, "29m"},
      {"respond_by after 24 hours",
       [](Scene& s) {
         s.request.respond_by = kNoon + kMaxRespondBy;
         approved(s);
       },
       kActive, Step::none, ""},
      {"respond_by later still",
       [](Scene& s) {
         s.request.respond_by = kNoon + kMaxRespondBy + Seconds{1};
         approved(s);
       },
       kVoid, Step::respond_by, ""},
      {"respond_by before it was asked",
       [](Scene& s) {
         s.use_runbook("look");
         s.request.respond_by = kNoon - Seconds{1};
         s.ask();
       },
       kVoid, Step::respond_by, ""},
      {"not_before in seven days",
       [](Scene& s) {
         s.request.not_before = kNoon + kMaxNotBefore;
         approved(s);
       },
       kPending, Step::not_started, ""},
      {"not_before later still",
       [](Scene& s) {
         s.request.not_before = kNoon + kMaxNotBefore + Seconds{1};
         approved(s);
       },
       kVoid, Step::not_before, ""},
  };
}

void demand_presence(Scene& s, const char* word) {
  s.edit("presence = \"none\"", std::string("presence = \"") + word + "\"");
}

std::vector<Case> step_4() {
  return {
      {"the requester is in no rule",
       [](Scene& s) {
         s.request.subject = "erin";
         s.ask();
         s.approve("bob", 300);
       },
       kVoid, Step::requester, "erin"},
      {"the requester left the group",
       [](Scene& s) {
         approved(s);
         s.edit("sre = [\"alice\", \"bob\"]", "sre = [\"bob\"]");
       },
       kVoid, Step::requester, ""},
      {"the rule is for other hosts",
       [](Scene& s) {
         approved(s);
         s.host->labels["env"] = "staging";
       },
       kVoid, Step::target, "the rule"},
      {"the request is for another host",
       [](Scene& s) {
         approved(s);
         s.host->name = "web-4";
       },
       kVoid, Step::target, "the request"},
      {"no host: left open",
       [](Scene& s) {
         approved(s);
         s.host.reset();
       },
       kActive, Step::none, ""},
      {"a plain key proves no touch",
       [](Scene& s) {
         approved(s);
         demand_presence(s, "touch");
       },
       kVoid, Step::presence, "touch"},
      {"a touched security key, on both sides",
       [](Scene& s) {
         s.add(TestKey::security("alice"), s.request);
         s.add(TestKey::security("bob"), s.decision("bob", 300));
         demand_presence(s, "touch");
       },
       kActive, Step::none, ""},
      {"touched where verified is asked",
       [](Scene& s) {
         s.add(TestKey::security("alice"), s.request);
         demand_presence(s, "verified");
       },
       kVoid, Step::presence, "verified"},
      {"verified",
       [](Scene& s) {
         s.add(TestKey::security("alice"), s.request, testing::kVerified);
         s.add(TestKey::security("bob"), s.decision("bob", 300), testing::kVerified);
         demand_presence(s, "verified");
       },
       kActive, Step::none, ""},
      {"the rule's own presence, not the policy's",
       [](Scene& s) {
         approved(s);
         demand_presence(s, "verified");
         s.edit("revokers", "presence = \"none\"\nrevokers");
       },
       kActive, Step::none, ""},
      {"the touch of one signature is enough where two keys signed the request",
       [](Scene& s) {
         s.ask();
         s.add(TestKey::security("alice"), s.request);
         s.add(TestKey::security("bob"), s.decision("bob", 300));
         demand_presence(s, "touch");
       },
       kActive, Step::none, ""},
  };
}

std::vector<Case> step_5() {
  const auto waits = [](const char* name, std::function<void(Scene&)> arrange) {
    return Case{name, std::move(arrange), kPending, Step::gates, "waits for 1 approval of leads"};
  };
  return {
      waits("nobody decided", [](Scene& s) { s.ask(); }),
      waits("respond_by is now",
            [](Scene& s) {
              s.ask();
              s.now = 8 * 3600;
            }),
      {"respond_by has passed",
       [](Scene& s) {
         s.ask();
         s.now = 8 * 3600 + 1;
       },
       kEnded, Step::gates, "not approved in time"},
      {"decided in the second of the request",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 0);
       },
       kActive, Step::none, ""},
      waits("decided before the request",
            [](Scene& s) {
              s.ask();
              s.approve("bob", -1);
            }),
      {"decided in the last second",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 8 * 3600);
         s.now = 8 * 3600 + 60;
       },
       kActive, Step::none, ""},
      {"decided too late",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 8 * 3600 + 1);
         s.now = 8 * 3600 + 60;
       },
       kEnded, Step::gates, ""},
      {"decided as far ahead as clocks may differ",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 720);
       },
       kPending, Step::not_started, ""},
      waits("decided further ahead",
            [](Scene& s) {
              s.ask();
              s.approve("bob", 721);
            }),
      waits("the subject, who is in the gate's group",
            [](Scene& s) {
              s.ask();
              s.approve("alice", 300);
            }),
      waits("the subject, who is an admin as well",
            [](Scene& s) {
              s.ask();
              s.approve("alice", 300);
              s.edit("people = [\"ana\", \"ben\"]", "people = [\"ana\", \"ben\", \"alice\"]");
            }),
      waits("an admin whom no gate names",
            [](Scene& s) {
              s.ask();
              s.approve("ben", 300);
            }),
      waits("a service that no gate names",
            [](Scene& s) {
              s.ask();
              s.approve("bot", 300);
            }),
      {"a service that the gate names, without a touch where people must",
       [](Scene& s) {
         s.add(TestKey::security("alice"), s.request);
         s.approve("bot", 300);
         s.edit("from = [\"leads\"]", "from = [\"leads\", \"bot\"]");
         demand_presence(s, "touch");
       },
       kActive, Step::none, ""},
      waits("a plain key where a touch is asked",
            [](Scene& s) {
              s.add(TestKey::security("alice"), s.request);
              s.approve("bob", 300);
              demand_presence(s, "touch");
            }),
      waits("the approver's key left the policy",
            [](Scene& s) {
              approved(s);
              s.edit("\"" + TestKey::plain("bob").line() + "\", ", "");
            }),
      waits("the approver left the group",
            [](Scene& s) {
              approved(s);
              s.edit("leads = [\"bob\", \"ana\", \"alice\"]", "leads = [\"ana\", \"alice\"]");
            }),
      waits("the approver's key was voided later",
            [](Scene& s) {
              approved(s);
              s.revoke_key(plain_key("bob"), "bob", 550);
            }),
      waits("more time than was asked",
            [](Scene& s) {
              s.ask();
              s.approve("bob", 300, 1801);
            }),
      {"just the time that was asked",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 300, 1800);
       },
       kActive, Step::none, ""},
      waits("approved for another host",
            [](Scene& s) {
              s.ask();
              Decision d = s.decision("bob", 300);
              d.targets = {Selector::parse("host=web-4").value()};
              s.add(TestKey::plain("bob"), d);
            }),
      {"approved for this host among others",
       [](Scene& s) {
         s.ask();
         Decision d = s.decision("bob", 300);
         d.targets = {Selector::parse("host=web-4").value(), Selector::parse("role=web").value()};
         s.add(TestKey::plain("bob"), d);
       },
       kActive, Step::none, ""},
      {"targets of an approval cannot widen the request's",
       [](Scene& s) {
         s.ask();
         Decision d = s.decision("bob", 300);
         d.targets = {Selector::parse("env=prod").value()};
         s.add(TestKey::plain("bob"), d);
         s.host->name = "web-4";
       },
       kVoid, Step::target, ""},
      waits("an approval of another request",
            [](Scene& s) {
              s.ask();
              Decision d = s.decision("bob", 300);
              d.request.bytes[0] ^= 1U;
              s.add(TestKey::plain("bob"), d);
            }),
  };
}

std::vector<Case> step_5_matching() {
  const auto gates = [](Scene& s, const char* text) { s.edit("{ from = [\"leads\"], count = 1 }", text); };
  return {
      {"two are asked, one came",
       [=](Scene& s) {
         approved(s);
         gates(s, "{ from = [\"leads\"], count = 2 }");
       },
       kPending, Step::gates, "waits for 1 approval of leads"},
      {"one person twice is one person",
       [=](Scene& s) {
         approved(s);
         s.approve("bob", 310);
         s.add(TestKey::security("bob"), s.decision("bob", 305));
         gates(s, "{ from = [\"leads\"], count = 2 }");
       },
       kPending, Step::gates, ""},
      {"two are asked, two came",
       [=](Scene& s) {
         approved(s);
         s.approve("ana", 310);
         gates(s, "{ from = [\"leads\"], count = 2 }");
       },
       kActive, Step::none, ""},
      {"one person in two gates fills one place",
       [=](Scene& s) {
         approved(s);
         gates(s, "{ from = [\"leads\"] }, { from = [\"bob\", \"chloe\"] }");
       },
       kPending, Step::gates, "waits for 1 approval of bob or chloe"},
      {"greedy would seat bob among the leads and find chloe's gate empty",
       [=](Scene& s) {
         approved(s);
         s.approve("ana", 310);
         gates(s, "{ from = [\"leads\"] }, { from = [\"bob\", \"chloe\"] }");
       },
       kActive, Step::none, ""},
      {"both gates open",
       [=](Scene& s) {
         s.ask();
         gates(s, "{ from = [\"leads\"], count = 2 }, { from = [\"chloe\"] }");
       },
       kPending, Step::gates, "waits for 2 approvals of leads and 1 approval of chloe"},
  };
}

std::vector<Case> step_6() {
  const auto gone = [](const char* name, GrantState state, const char* said, std::function<void(Scene&)> act) {
    return Case{name,
                [act = std::move(act)](Scene& s) {
                  approved(s);
                  act(s);
                },
                state,
                state == GrantState::denied    ? Step::denied
                : state == GrantState::revoked ? Step::revoked
                                               : Step::none,
                said};
  };
  constexpr auto denied = GrantState::denied;
  constexpr auto revoked = GrantState::revoked;
  return {
      gone("denied by the subject", denied, "denied by alice", [](Scene& s) { s.deny("alice", 400); }),
      gone("denied by an admin", denied, "by ben", [](Scene& s) { s.deny("ben", 400); }),
      gone("denied by the rule's revoker", denied, "by chloe", [](Scene& s) { s.deny("chloe", 400); }),
      gone("denied by a member of the gate", denied, "by ana", [](Scene& s) { s.deny("ana", 400); }),
      gone("denied by the one who approved", denied, "by bob", [](Scene& s) { s.deny("bob", 299); }),
      gone("denied by somebody else", kActive, "", [](Scene& s) { s.deny("erin", 400); }),
      gone("denied by a member of another rule's gate for this runbook", denied, "by dave",
           [](Scene& s) {
             s.deny("dave", 400);
             s.add_rule("gates = [ { from = [\"dave\"] } ]", "[\"env=staging\"]");
           }),
      gone("denied by a service that a gate names", denied, "by bot",
           [](Scene& s) {
             s.deny("bot", 400);
             s.edit("from = [\"leads\"]", "from = [\"leads\", \"bot\"]");
           }),
      gone("denied by a service that no gate names", kActive, "", [](Scene& s) { s.deny("bot", 400); }),
      gone("denied with an untouched key where a touch is asked", denied, "by ana",
           [](Scene& s) {
             s.statements.clear();
             s.add(TestKey::security("alice"), s.request);
             s.deny("ana", 400);
             demand_presence(s, "touch");
           }),
      gone("denied with a key voided later", denied, "by ana",
           [](Scene& s) {
             s.deny("ana", 400);
             s.revoke_key(plain_key("ana"), "ana", 500);
           }),
      gone("a denial of another host's part denies the whole", denied, "by ana",
           [](Scene& s) {
             Decision d = s.decision("ana", 400, false);
             d.targets = {Selector::parse("host=web-4").value()};
             s.add(TestKey::plain("ana"), d);
           }),
      gone("a denial that is dated ahead counts at once", denied, "by ana", [](Scene& s) { s.deny("ana", 99999); }),
      gone("the earliest is named", denied, "by ana",
           [](Scene& s) {
             s.revoke("bob", 450);
             s.deny("chloe", 420);
             s.deny("ana", 410);
           }),
      gone("revoked by the subject", revoked, "revoked by alice", [](Scene& s) { s.revoke("alice", 400); }),
      gone("revoked by an admin", revoked, "by ana", [](Scene& s) { s.revoke("ana", 400); }),
      gone("revoked by the rule's revoker", revoked, "by chloe", [](Scene& s) { s.revoke("chloe", 400); }),
      gone("revoked by a member of the gate", revoked, "by bob", [](Scene& s) { s.revoke("bob", 400); }),
      gone("revoked by somebody else", kActive, "", [](Scene& s) { s.revoke("erin", 400); }),
      gone("all grants of the subject revoked by an admin", revoked, "by ben",
           [](Scene& s) { s.revoke_subject("alice", "ben", 400); }),
      gone("all grants revoked by the subject", revoked, "by alice",
           [](Scene& s) { s.revoke_subject("alice", "alice", 400); }),
      gone("all grants revoked by an approver, who may end one at a time only", kActive, "",
           [](Scene& s) { s.revoke_subject("alice", "bob", 400); }),
      gone("another subject's grants revoked", kActive, "", [](Scene& s) { s.revoke_subject("erin", "ben", 400); }),
      gone("all grants revoked in the second of the request, which is later than before it", kActive, "",
           [](Scene& s) { s.revoke_subject("alice", "ben", 0); }),
      gone("all grants revoked a second after", revoked, "by ben",
           [](Scene& s) { s.revoke_subject("alice", "ben", 1); }),
      {"a request denied while it waits",
       [](Scene& s) {
         s.ask();
         s.deny("bob", 300);
         s.approve("ana", 400);
       },
       denied, Step::denied, "denied by bob"},
      {"a comment is told",
       [](Scene& s) {
         s.ask();
         Decision d = s.decision("bob", 300, false);
         d.comment = "not during the freeze";
         s.add(TestKey::plain("bob"), d);
       },
       denied, Step::denied, "denied by bob: not during the freeze"},
      {"the revoker of one rule does not end what another admits",
       [](Scene& s) {
         approved(s);
         s.deny("chloe", 400);
         s.add_rule("gates = [ { from = [\"leads\"] } ]");
       },
       kActive, Step::none, ""},
  };
}

void step_1_signature(void**) {
  const int wrong = wrong_in(step_1());
  assert_int_equal(wrong, 0);
}
void steps_2_and_3_limits(void**) {
  const int wrong = wrong_in(steps_2_and_3());
  assert_int_equal(wrong, 0);
}
void step_4_rule(void**) {
  const int wrong = wrong_in(step_4());
  assert_int_equal(wrong, 0);
}
void step_5_gates(void**) {
  const int wrong = wrong_in(step_5()) + wrong_in(step_5_matching());
  assert_int_equal(wrong, 0);
}
void step_6_endings(void**) {
  const int wrong = wrong_in(step_6());
  assert_int_equal(wrong, 0);
}

int wrong_rights() {
  Scene s;
  const Policy& p = testing::signing_policy();
  int wrong = 0;
  wrong += wrong_if(may_end("alice", s.request, p) != "subject", "the subject may end it");
  wrong += wrong_if(may_end("ben", s.request, p) != "admin", "an admin may end it");
  wrong += wrong_if(may_end("chloe", s.request, p) != "revoker", "a revoker may end it");
  wrong += wrong_if(may_end("bob", s.request, p) != "approver", "an approver may end it");
  wrong += wrong_if(!may_end("erin", s.request, p).empty(), "others may not");
  wrong += wrong_if(!may_end("", s.request, p).empty(), "nobody may not");
  return wrong;
}

void rights(void**) {
  assert_int_equal(wrong_rights(), 0);
}

// A passkey's origin is looked up again in the policy that judges.
int wrong_origins() {
  const TestKey passkey = TestKey::browser("https://hallpass.example");
  Scene s;
  s.edit("[admins]", "webauthn_origins = [\"https://hallpass.example\"]\n[admins]");
  s.edit(TestKey::security("bob").line(), passkey.line());
  const std::shared_ptr<const Policy> with_origin = testing::parsed(s.policy_text);
  s.ask();
  s.statements.push_back(testing::make_statement(passkey, s.decision("bob", 300), "acme-prod", *with_origin));
  int wrong = wrong_if(s.judge_now().state != GrantState::active, "an approval from the origin that the policy names");
  s.edit("webauthn_origins = [\"https://hallpass.example\"]\n", "");
  wrong += wrong_if(s.judge_now().step != Step::gates, "an approval from an origin that it names no longer");
  return wrong;
}

void origins(void**) {
  assert_int_equal(wrong_origins(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::step_1_signature), cmocka_unit_test(hallpass::steps_2_and_3_limits),
      cmocka_unit_test(hallpass::step_4_rule),      cmocka_unit_test(hallpass::step_5_gates),
      cmocka_unit_test(hallpass::step_6_endings),   cmocka_unit_test(hallpass::rights),
      cmocka_unit_test(hallpass::origins),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
