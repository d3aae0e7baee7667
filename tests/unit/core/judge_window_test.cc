// When a grant is active: step 7 of judging, several rules, and the policy's own end.
#include <functional>

#include "core/judge.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace hallpass {
namespace {

using testing::kNoon;
using testing::Scene;
using testing::TestKey;

constexpr long long kNone = -1;

struct Case {
  const char* name;
  std::function<void(Scene&)> arrange;
  long long start;  // seconds after kNoon, kNone: no window
  long long end;
  int rule;
};

long long after_noon(UnixTime t) {
  return (t - kNoon).count();
}

bool has_window(const Judgement& j, const Case& c) {
  if (c.start == kNone) return !j.window;
  return j.window && after_noon(j.window->start) == c.start && after_noon(j.window->end) == c.end;
}

// The state follows from the window alone, to the second.
bool follows_window(const Scene& s, const Case& c) {
  if (c.start == kNone) return true;
  const auto state_at = [&](long long at) { return s.judge_at(at).state; };
  // Approvals more than 120 s ahead do not count yet, so the grant is pending then for another reason.
  return state_at(c.start - 1) == GrantState::pending && state_at(c.start) == GrantState::active &&
         state_at(c.end - 1) == GrantState::active && state_at(c.end) == GrantState::ended &&
         state_at(c.end + 999999) == GrantState::ended;
}

int wrong_in(const std::vector<Case>& cases) {
  int wrong = 0;
  for (const Case& c : cases) {
    Scene scene;
    scene.now = 3 * 86400;
    c.arrange(scene);
    const Judgement got = scene.judge_now();
    const bool good = has_window(got, c) && got.rule == c.rule && follows_window(scene, c);
    if (!good && got.window) {
      print_error("  got %lld to %lld, rule %d, %s\n", after_noon(got.window->start), after_noon(got.window->end),
                  got.rule, got.detail.c_str());
    }
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

void two_gates(Scene& s) {
  s.edit("{ from = [\"leads\"], count = 1 }", "{ from = [\"leads\"] }, { from = [\"chloe\", \"dave\"] }");
}

std::vector<Case> one_rule() {
  return {
      {"without gates from the request on",
       [](Scene& s) {
         s.use_runbook("look");
         s.ask();
       },
       0, 1800, 2},
      {"from the approval on",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 3000);
       },
       3000, 4800, 1},
      {"the earliest of one person's approvals",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 3000);
         s.approve("bob", 2000);
       },
       2000, 3800, 1},
      {"approvals of one second by one person: the shortest",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 2000);
         s.approve("bob", 2000, 60);
         s.approve("bob", 2000, 61);
       },
       2000, 2060, 1},
      {"the earliest even when it is shorter",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 3000);
         s.approve("bob", 2000, 60);
       },
       2000, 2060, 1},
      {"the deciding approval is the last of those needed",
       [](Scene& s) {
         two_gates(s);
         s.ask();
         s.approve("dave", 4000);
         s.approve("bob", 3000);
       },
       4000, 5800, 1},
      {"the shortest approved by those that fill",
       [](Scene& s) {
         two_gates(s);
         s.ask();
         s.approve("bob", 3000, 600);
         s.approve("dave", 4000, 900);
       },
       4000, 4600, 1},
      {"one more approval changes nothing, longer or shorter",
       [](Scene& s) {
         two_gates(s);
         s.ask();
         s.approve("bob", 3000, 600);
         s.approve("dave", 4000, 900);
         s.approve("chloe", 4001, 60);
         s.approve("ana", 4002);
       },
       4000, 4600, 1},
      {"an approval that fills nothing shortens nothing",
       [](Scene& s) {
         two_gates(s);
         s.ask();
         s.approve("bob", 3000);
         s.approve("ana", 3500, 60);
         s.approve("dave", 4000);
       },
       4000, 5800, 1},
      {"approvals of the same second: by name",
       [](Scene& s) {
         s.ask();
         s.approve("bob", 3000, 60);
         s.approve("ana", 3000, 120);
       },
       3000, 3120, 1},
      {"not before not_before",
       [](Scene& s) {
         s.request.not_before = kNoon + Seconds{7000};
         s.ask();
         s.approve("bob", 3000);
       },
       7000, 8800, 1},
      {"not_before in the past of the approval",
       [](Scene& s) {
         s.request.not_before = kNoon - Seconds{7000};
         s.ask();
         s.approve("bob", 3000);
       },
       3000, 4800, 1},
      {"without gates not before not_before",
       [](Scene& s) {
         s.use_runbook("look");
         s.request.not_before = kNoon + Seconds{7000};
         s.ask();
       },
       7000, 8800, 2},
  };
}

// Monday noon UTC is 13:00 in Berlin.
std::vector<Case> hours() {
  const auto with_hours = [](const char* name, const char* hours, long long start, long long end, int rule = 1) {
    return Case{name,
                [=](Scene& s) {
                  s.edit("revokers", "hours = [" + std::string(hours) + "]\nrevokers");
                  s.ask();
                  s.approve("bob", 3000);
                },
                start, end, rule};
  };
  return {
      with_hours("within the hours", R"("Mon-Fri 07:00-19:00 Europe/Berlin")", 3000, 4800),
      with_hours("the hours cut the end", R"("Mon 13:00-14:00 Europe/Berlin")", 3000, 3600),
      with_hours("the hours begin at the start", R"("Mon 13:50-19:00 Europe/Berlin")", 3000, 4800),
      with_hours("the hours begin a minute late", R"("Mon 13:51-19:00 Europe/Berlin")", kNone, 0, 0),
      with_hours("the hours end at the start", R"("Mon 07:00-13:50 Europe/Berlin")", kNone, 0, 0),
      with_hours("another day", R"("Tue-Sun 00:00-24:00 Europe/Berlin")", kNone, 0, 0),
      with_hours("the second of two spans", R"("Tue 00:00-24:00 UTC", "Mon 12:00-13:00 UTC")", 3000, 3600),
      with_hours("spans that follow each other", R"("Mon 12:00-13:00 UTC", "Mon 14:00-15:00 Europe/Berlin")", 3000,
                 4800),
      with_hours("a zone that this host does not know", R"("Mon-Sun 00:00-24:00 Europe/Paris")", kNone, 0, 0),
  };
}

std::vector<Case> several_rules() {
  return {
      {"the window that starts first decides, whichever rule comes first",
       [](Scene& s) {
         s.add_rule("gates = [ { from = [\"dave\"] } ]");
         s.ask();
         s.approve("bob", 3000);
         s.approve("dave", 2000, 600);
       },
       2000, 2600, 3},
      {"an approval for another rule neither reopens nor lengthens",
       [](Scene& s) {
         s.add_rule("gates = [ { from = [\"dave\"] } ]");
         s.ask();
         s.approve("bob", 3000, 600);
         s.approve("dave", 3100);
         s.approve("dave", 7000);
       },
       3000, 3600, 1},
      {"of those that start together the one that ends last",
       [](Scene& s) {
         s.add_rule("gates = [ { from = [\"dave\"] } ]");
         s.ask();
         s.approve("bob", 3000, 600);
         s.approve("dave", 3000, 900);
       },
       3000, 3900, 3},
      {"of equal ones the first in the file",
       [](Scene& s) {
         s.add_rule("gates = [ { from = [\"dave\"] } ]");
         s.ask();
         s.approve("bob", 3000);
         s.approve("dave", 3000);
       },
       3000, 4800, 1},
      {"a rule outside its hours leaves the decision to another",
       [](Scene& s) {
         s.add_rule("hours = [\"Tue 00:00-24:00 UTC\"]");
         s.ask();
         s.approve("bob", 3000);
       },
       3000, 4800, 1},
      {"self-service in the hours comes before any approval",
       [](Scene& s) {
         s.add_rule("hours = [\"Mon 07:00-19:00 UTC\"]");
         s.ask();
         s.approve("bob", 3000);
       },
       0, 1800, 3},
      {"a rule that allows less than was asked leaves the decision to another",
       [](Scene& s) {
         s.add_rule("max_duration = \"10m\"");
         s.ask();
         s.approve("bob", 3000);
       },
       3000, 4800, 1},
  };
}

void windows_of_one_rule(void**) {
  const int wrong = wrong_in(one_rule());
  assert_int_equal(wrong, 0);
}
void windows_within_hours(void**) {
  const int wrong = wrong_in(hours());
  assert_int_equal(wrong, 0);
}
void windows_of_several_rules(void**) {
  const int wrong = wrong_in(several_rules());
  assert_int_equal(wrong, 0);
}

int wrong_hours_step() {
  Scene s;
  s.edit("revokers", "hours = [\"Tue 07:00-19:00 UTC\"]\nrevokers");
  s.ask();
  const Judgement waiting = s.judge_now();
  s.approve("bob", 300);
  const Judgement filled = s.judge_now();
  int wrong = wrong_if(waiting.step != Step::gates, "hours are asked at the start, not while it waits");
  wrong += wrong_if(filled.state != GrantState::void_ || filled.step != Step::hours, "filled outside the hours: void");
  wrong += wrong_if(filled.detail.find("Tue 07:00-19:00 UTC") == std::string::npos, "the hours are told");
  return wrong;
}

void hours_step(void**) {
  assert_int_equal(wrong_hours_step(), 0);
}

// The policy is valid until thirteen o'clock.
int wrong_policy_end() {
  Scene s;
  s.ask();
  s.approve("bob", 3000);
  s.edit("2027-06-30T00:00:00Z", "2026-11-23T13:00:00Z");
  const Judgement before = s.judge_at(3599);
  const Judgement at = s.judge_at(3600);
  const Judgement after = s.judge_at(4800);
  Scene late;
  late.ask();
  late.edit("2027-06-30T00:00:00Z", "2026-11-23T13:00:00Z");
  const Judgement waiting = late.judge_at(3000);
  const Judgement waits_in_vain = late.judge_at(3600);
  late.approve("bob", 3600);
  const Judgement starts_too_late = late.judge_at(3599);
  int wrong = 0;
  wrong += wrong_if(before.state != GrantState::active || after_noon(before.window->end) != 3600, "the end is cut");
  wrong += wrong_if(before.rules.front().window->end != kNoon + Seconds{4800}, "the rule's own window is not");
  wrong += wrong_if(at.state != GrantState::void_ || at.step != Step::policy_expired, "nothing is active past it");
  wrong += wrong_if(after.state != GrantState::ended, "what would be over anyway has ended");
  wrong += wrong_if(waiting.state != GrantState::pending, "it may wait while the policy is valid");
  wrong += wrong_if(waits_in_vain.step != Step::policy_expired, "and not after");
  wrong += wrong_if(starts_too_late.step != Step::policy_expired, "a window that starts too late");
  return wrong;
}

void policy_end(void**) {
  assert_int_equal(wrong_policy_end(), 0);
}

int wrong_facts() {
  Scene s;
  two_gates(s);
  s.add_rule("gates = [ { from = [\"erin\"], count = 1 } ]\nalert = true");
  s.ask();
  s.approve("dave", 100);
  const Judgement waiting = s.judge_at(200);
  s.approve("bob", 300);
  const Judgement active = s.judge_at(600);
  s.revoke("ana", 900);
  const Judgement revoked = s.judge_at(600);
  Scene viewer;
  viewer.use_runbook("look");
  viewer.ask();
  int wrong = 0;
  wrong += wrong_if(active.request != s.digest() || active.subject != "alice", "which grant");
  wrong += wrong_if(active.runbook != "restart-web" || active.account != "alice", "which account");
  wrong += wrong_if(viewer.judge_now().account != "viewer", "a shared account");
  wrong += wrong_if(active.approvers != std::vector<std::string>{"bob", "dave"}, "who counted");
  wrong += wrong_if(waiting.approvers != std::vector<std::string>{"dave"}, "who counts so far");
  wrong += wrong_if(waiting.detail != "waits for 1 approval of leads", "what is open");
  wrong +=
      wrong_if(active.commands.size() != 1 || active.commands[0].arguments.back() != "nginx", "commands filled in");
  wrong += wrong_if(active.rules.size() != 2 || active.rules[1].step != Step::gates, "every rule answers");
  wrong += wrong_if(active.rules[0].gates[1].filled_by != std::vector<std::string>{"dave"}, "who stands in which gate");
  wrong += wrong_if(active.alert || !active.rules[1].alert, "the deciding rule's alert");
  wrong += wrong_if(revoked.ended_by != "ana" || revoked.state != GrantState::revoked, "who ended it");
  wrong += wrong_if(Judgement().state != GrantState::void_, "no answer is never a yes");
  return wrong;
}

void facts(void**) {
  assert_int_equal(wrong_facts(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::windows_of_one_rule),
      cmocka_unit_test(hallpass::windows_within_hours),
      cmocka_unit_test(hallpass::windows_of_several_rules),
      cmocka_unit_test(hallpass::hours_step),
      cmocka_unit_test(hallpass::policy_end),
      cmocka_unit_test(hallpass::facts),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
