#include "core/explain.h"

#include <functional>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace hallpass {
namespace {

using testing::kNoon;
using testing::Scene;
using testing::TestKey;

std::string clock_time(UnixTime t) {
  return format_time(t).substr(11, 5);
}

struct Case {
  const char* name;
  std::function<void(Scene&)> arrange;
  std::string summary;
  std::string help;  // the last line; ID stands for the grant's id
};

std::vector<Case> cases() {
  return {
      {"waiting", [](Scene& s) { s.ask(); }, "pending: waits for 1 approval of leads",
       "ana or bob can run: hallpass approve ID"},
      {"waiting where a touch is asked",
       [](Scene& s) {
         s.add(TestKey::security("alice"), s.request);
         s.edit("presence = \"none\"", "presence = \"touch\"");
       },
       "pending: waits for 1 approval of leads",
       "ana or bob can run: hallpass approve ID, signed with a touch on a FIDO key"},
      {"waiting for a second one: who approved already is not asked again",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 300);
         s.edit("count = 1", "count = 2");
       },
       "pending: waits for 1 approval of leads", "ana can run: hallpass approve ID"},
      {"waiting: somebody of a full gate helps where another can move",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 300);
         s.edit("{ from = [\"leads\"], count = 1 }", "{ from = [\"leads\"] }, { from = [\"bob\", \"chloe\"] }");
       },
       "pending: waits for 1 approval of bob or chloe", "ana or chloe can run: hallpass approve ID"},
      {"waiting for nobody who exists",
       [](Scene& s) {
         s.ask();
         s.edit("{ from = [\"leads\"], count = 1 }", "{ from = [\"bot\"] }");
       },
       "pending: waits for 1 approval of bot",
       "no person can fill what is open under rule 1: an admin must change its gates"},
      {"active",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 300);
       },
       "active until 12:35 (25m left), by rule 1; approved by bob", "to end it early: hallpass revoke ID"},
      {"filled but not started",
       [](Scene& s) {
         s.request.not_before = kNoon + Seconds{7800};
         s.ask();
         s.approve("bob", 300);
       },
       "pending: starts at 14:10 (in 2h), until 14:40, by rule 1; approved by bob",
       "to end it early: hallpass revoke ID"},
      {"over",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 300);
         s.now = 2400;
       },
       "ended at 12:35 (5m ago), by rule 1; approved by bob",
       "alice can ask again: hallpass request restart-web --param service=VALUE"},
      {"not approved in time",
       [](Scene& s) {
         s.ask();
         s.now = 99999;
       },
       "ended: was not approved in time: lacked 1 approval of leads",
       "alice can ask again: hallpass request restart-web --param service=VALUE"},
      {"denied",
       [](Scene& s) {
         s.ask();
         s.deny("bob", 300);
       },
       "denied by bob",
       "this cannot be undone; talk to bob, then alice can ask again: hallpass request restart-web --param "
       "service=VALUE"},
      {"revoked",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 300);
         s.revoke("ana", 400);
       },
       "revoked by ana",
       "this cannot be undone; talk to ana, then alice can ask again: hallpass request restart-web --param "
       "service=VALUE"},
      {"the runbook changed",
       [](Scene& s) {
         s.ask();
         s.edit("\"restart\"", "\"stop\"");
       },
       "void: the runbook restart-web is not what it was when this was asked for",
       "alice can ask again: hallpass request restart-web --param service=VALUE"},
      {"nobody's request", [](Scene&) {}, "void: no such request is known here",
       "bring the grant file that holds the request"},
      {"no rule for the requester",
       [](Scene& s) {
         s.request.subject = "erin";
         s.ask();
       },
       "void: no rule lets erin ask for restart-web", "those who may ask for restart-web: sre"},
      {"the policy is out of date",
       [](Scene& s) {
         s.ask();
         s.edit("2027-06-30T00:00:00Z", "2026-11-23T12:00:00Z");
       },
       "void: the policy is valid until 2026-11-23T12:00:00Z only",
       "the admins must sign a newer policy: hallpass policy sign (2 of ana and ben)"},
  };
}

std::string with_id(std::string text, const std::string& id) {
  const std::size_t at = text.find("ID");
  return at == std::string::npos ? text : text.replace(at, 2, id);
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : cases()) {
    Scene s;
    c.arrange(s);
    const Judgement j = s.judge_now();
    const UnixTime now = kNoon + Seconds{s.now};
    const std::string summary = summarize(j, now, clock_time);
    const std::vector<std::string> lines = explain(j, *testing::parsed(s.policy_text), now, clock_time);
    const bool good = summary == c.summary && lines.back() == with_id(c.help, grant_id(j.request));
    if (!good) print_error("  %s\n  %s\n", summary.c_str(), lines.back().c_str());
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

void summaries_and_help(void**) {
  assert_int_equal(wrong_cases(), 0);
}

std::string lines_of(const Scene& s) {
  const Judgement j = s.judge_now();
  std::string text;
  for (const std::string& line : explain(j, *testing::parsed(s.policy_text), kNoon + Seconds{s.now}, clock_time)) {
    text += line + "\n";
  }
  return text;
}

int wrong_steps() {
  Scene waiting;
  waiting.add_rule("max_duration = \"10m\"");
  waiting.ask();
  const std::string id = grant_id(waiting.digest());
  const std::string first_line = std::to_string(waiting.judge_now().rules.size());
  const std::string text = lines_of(waiting);
  const auto line_of = [&](int number) {
    return std::to_string(testing::parsed(waiting.policy_text)->rules[static_cast<std::size_t>(number - 1)].line);
  };
  const std::string expected = id + ": alice asks for restart-web on the account alice\n" +
                               "pending: waits for 1 approval of leads\n" + "rule 1 (line " + line_of(1) +
                               " of the policy): pending\n" +
                               "  yes  the request is signed with a key of alice\n"
                               "  yes  the runbook restart-web is the one that was asked for\n"
                               "  yes  parameters, duration and times are within the limits\n"
                               "  yes  the rule lets alice ask for this, here\n"
                               "  wait waits for 1 approval of leads\n"
                               "       so far 0 of 1 from leads\n" +
                               "rule 3 (line " + line_of(3) + " of the policy): void\n" +
                               "  yes  the request is signed with a key of alice\n"
                               "  yes  the runbook restart-web is the one that was asked for\n"
                               "  no   asks for 30m, and this rule allows 10m at most\n"
                               "ana or bob can run: hallpass approve " +
                               id + "\n";
  int wrong = wrong_if(text != expected || first_line != "2", text.c_str());
  Scene active;
  active.ask();
  active.approve("bob", 300);
  const std::string active_text = lines_of(active);
  for (const char* part : {"  yes  1 of 1 from leads: bob\n", "  yes  nobody denied or revoked it\n",
                           "  yes  until 12:35 (25m left)\n", "rule 1 (line "}) {
    wrong += wrong_if(active_text.find(part) == std::string::npos, part);
  }
  Scene denied;
  denied.ask();
  denied.deny("bob", 300);
  wrong += wrong_if(lines_of(denied).find("  no   0 of 1 from leads\n  no   denied by bob\n") == std::string::npos,
                    "a denied request's open gate is not called filled");
  return wrong;
}

void steps(void**) {
  assert_int_equal(wrong_steps(), 0);
}

int wrong_json() {
  Scene s;
  s.ask();
  s.approve("bob", 300);
  const Judgement j = s.judge_now();
  const std::string expected =
      R"({"grant":")" + grant_id(j.request) + R"(","request":")" + format_digest(j.request) +
      R"(","state":"active","step":"none","detail":"until 2026-11-23T12:35:00Z","subject":"alice","account":"alice",)"
      R"("runbook":"restart-web","window":{"start":"2026-11-23T12:05:00Z","end":"2026-11-23T12:35:00Z"},"rule":1,)"
      R"("alert":false,"approvers":["bob"],"ended_by":"","commands":["as root: /usr/bin/systemctl restart nginx"],)"
      R"("rules":[{"rule":1,"state":"active","step":"none","detail":"until 2026-11-23T12:35:00Z",)"
      R"("window":{"start":"2026-11-23T12:05:00Z","end":"2026-11-23T12:35:00Z"},)"
      R"("gates":[{"from":["leads"],"count":1,"filled_by":["bob"]}],"alert":false}]})";
  const std::string got = to_json(to_json_value(j));
  const std::string unknown = to_json(to_json_value(Scene().judge_now()));
  return wrong_if(got != expected, got.c_str()) +
         wrong_if(unknown.find(R"("window":null)") == std::string::npos, "no window is null");
}

void json(void**) {
  assert_int_equal(wrong_json(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::summaries_and_help),
      cmocka_unit_test(hallpass::steps),
      cmocka_unit_test(hallpass::json),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
