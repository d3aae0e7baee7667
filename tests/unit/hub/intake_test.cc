// What goes into the log, what is refused and by which code, and what one person may ask for.
#include "hub/intake.h"

#include <functional>

#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;      // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

constexpr Moment kStart{};

// A hub's memory; the statements of a scene are put to it in their order.
struct World {
  explicit World(PersonLimits limits = {}) : intake(registry, limits) {
    registry.set_policy({parsed(scene.policy_text), scene.zones, 0}, now());
  }
  UnixTime now() const { return kNoon + Seconds{scene.now}; }
  Verdict put(const Statement& s) {
    const Verdict verdict = intake.examine(s, now(), kStart + Seconds{scene.now});
    if (verdict.taking == Taking::taken) registry.add(s, next++, now());
    return verdict;
  }
  // Of all statements of the scene from the `first` on: the last one's.
  Verdict put_all(std::size_t first = 0) {
    Verdict last;
    for (std::size_t i = first; i < scene.statements.size(); ++i) last = put(scene.statements[i]);
    return last;
  }

  Scene scene;
  Registry registry;
  Intake intake;
  std::uint64_t next = 1;
};

struct Case {
  const char* name;
  std::function<void(Scene&)> arrange;  // the last statement is the one that is asked about
  const char* expected;                 // "taken", "known" or the code of a refusal
};

void ask(Scene& s) {
  s.ask();
}

Decision too_wide(Scene& s) {
  Decision d = s.decision("bob", 60);
  d.duration = s.request.duration + Seconds{1};
  return d;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"a request", ask, "taken"},
      {"the same request again", [](Scene& s) { s.ask(), s.ask(); }, "known"},
      {"the same request, signed with another key of hers",
       [](Scene& s) {
         s.ask();
         s.add(TestKey::security("alice"), s.request);
       },
       "taken"},
      {"an approval", [](Scene& s) { s.ask(), s.approve("bob", 60); }, "taken"},
      {"an approval without its request", [](Scene& s) { s.approve("bob", 60); }, "unknown_request"},
      {"a denial without its request", [](Scene& s) { s.deny("bob", 60); }, "unknown_request"},
      {"a revocation without its request", [](Scene& s) { s.revoke("ana", 60); }, "unknown_request"},
      {"her own approval", [](Scene& s) { s.ask(), s.approve("alice", 60); }, "not_allowed"},
      {"an approval by one in no gate", [](Scene& s) { s.ask(), s.approve("dave", 60); }, "not_allowed"},
      {"a denial by one in no gate", [](Scene& s) { s.ask(), s.deny("dave", 60); }, "not_allowed"},
      {"a denial by a gate's member", [](Scene& s) { s.ask(), s.deny("bob", 60); }, "taken"},
      {"her own denial", [](Scene& s) { s.ask(), s.deny("alice", 60); }, "taken"},
      {"a revocation by one without the right", [](Scene& s) { s.ask(), s.revoke("dave", 60); }, "not_allowed"},
      {"a revocation by a revoker of the rule", [](Scene& s) { s.ask(), s.revoke("chloe", 60); }, "taken"},
      {"the same person's second revocation", [](Scene& s) { s.ask(), s.revoke("chloe", 60), s.revoke("chloe", 61); },
       "known"},
      {"another's second revocation", [](Scene& s) { s.ask(), s.revoke("chloe", 60), s.revoke("ana", 61); }, "taken"},
      {"an approval after a denial", [](Scene& s) { s.ask(), s.deny("ana", 60), s.approve("bob", 61); }, "closed"},
      {"an approval from before the request", [](Scene& s) { s.ask(), s.approve("bob", -1); }, "clock_behind"},
      {"an approval at the very second of the request", [](Scene& s) { s.ask(), s.approve("bob", 0); }, "taken"},
      {"an approval after respond_by",
       [](Scene& s) {
         s.request.respond_by = kNoon + Seconds{300};
         s.ask(), s.approve("bob", 301);
       },
       "too_late"},
      {"an approval of more than was asked", [](Scene& s) { s.ask(), s.add(TestKey::plain("bob"), too_wide(s)); },
       "wider"},
      {"121 seconds ahead",
       [](Scene& s) {
         s.request.requested_at = kNoon + Seconds{600 + 121};
         s.ask();
       },
       "clock_ahead"},
      {"120 seconds ahead",
       [](Scene& s) {
         s.request.requested_at = kNoon + Seconds{600 + 120};
         s.ask();
       },
       "taken"},
      {"a decision ahead", [](Scene& s) { s.ask(), s.approve("bob", 600 + 121); }, "clock_ahead"},
      {"a revocation ahead", [](Scene& s) { s.ask(), s.revoke("ana", 600 + 121); }, "clock_ahead"},
      {"a request that is over",
       [](Scene& s) {
         s.now = 8 * 3600 + 1800;
         s.ask();
       },
       "over"},
      {"a request in its last second",
       [](Scene& s) {
         s.now = 8 * 3600 + 1800 - 1;
         s.ask();
       },
       "taken"},
      {"a request for what the policy does not have",
       [](Scene& s) {
         s.request.parameters["service"] = {"sshd"};
         s.ask();
       },
       "void"},
      {"a request by one who may not",
       [](Scene& s) {
         s.request.subject = "dave";
         s.ask();
       },
       "void"},
      {"everything of alice, by herself", [](Scene& s) { s.revoke_subject("alice", "alice", 60); }, "taken"},
      {"everything of alice, by an admin", [](Scene& s) { s.revoke_subject("alice", "ana", 60); }, "taken"},
      {"everything of alice, by bob", [](Scene& s) { s.revoke_subject("alice", "bob", 60); }, "not_allowed"},
      {"everything of alice, twice by the same",
       [](Scene& s) { s.revoke_subject("alice", "ana", 60), s.revoke_subject("alice", "ana", 59); }, "known"},
      {"everything of alice, once more and later",
       [](Scene& s) { s.revoke_subject("alice", "ana", 60), s.revoke_subject("alice", "ana", 61); }, "taken"},
      {"what alice asked for sixteen days ago", [](Scene& s) { s.revoke_subject("alice", "ana", 600 - 16 * 86400); },
       "over"},
      {"her own key", [](Scene& s) { s.revoke_key(TestKey::plain("alice").fingerprint(), "alice", 60); }, "taken"},
      {"another's key", [](Scene& s) { s.revoke_key(TestKey::plain("alice").fingerprint(), "bob", 60); },
       "not_allowed"},
      {"another's key, by an admin", [](Scene& s) { s.revoke_key(TestKey::plain("alice").fingerprint(), "ben", 60); },
       "taken"},
      {"nobody's key, by an admin", [](Scene& s) { s.revoke_key(TestKey::plain("gone").fingerprint(), "ben", 60); },
       "taken"},
      {"a request with a key that was revoked",
       [](Scene& s) { s.revoke_key(TestKey::plain("alice").fingerprint(), "alice", 60), s.ask(); }, "void"},
  };
  return all;
}

std::string outcome(const Verdict& verdict) {
  if (verdict.taking == Taking::taken) return "taken";
  return verdict.taking == Taking::known ? "known" : verdict.refusal.code;
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : cases()) {
    World world;
    c.arrange(world.scene);
    const Verdict verdict = world.put_all();
    const std::string got = outcome(verdict);
    if (got != c.expected) print_error("  %s: %s\n", got.c_str(), verdict.refusal.message.c_str());
    wrong += wrong_if(got != c.expected, c.name);
    wrong += wrong_if(
        verdict.taking == Taking::refused && (verdict.refusal.message.empty() || verdict.refusal.http_status < 400),
        c.name);
  }
  return wrong;
}

int wrong_clocks() {
  World world;
  world.scene.request.requested_at = world.now() + Seconds{300};
  world.scene.ask();
  const Verdict verdict = world.put_all();
  int wrong = wrong_if(verdict.refusal.message.find("2026-11-23T12:15:00Z") == std::string::npos ||
                           verdict.refusal.message.find("2026-11-23T12:10:00Z") == std::string::npos,
                       "both times are in the message");
  const struct {
    int ahead;
    const char* words;  // nullptr: no warning
  } rows[] = {{0, nullptr},   {10, nullptr},        {11, "11 s ahead"}, {120, "120 s ahead"},
              {-10, nullptr}, {-11, "11 s behind"}, {-120, "behind"},   {-121, nullptr}};
  for (const auto& row : rows) {
    Scene scene;
    scene.request.requested_at = kNoon + Seconds{row.ahead};
    scene.ask();
    const std::string warning = clock_warning(scene.statements.back(), kNoon);
    const bool right = row.words == nullptr ? warning.empty() : warning.find(row.words) != std::string::npos;
    wrong += wrong_if(!right, row.words == nullptr ? "no warning" : row.words);
  }
  return wrong;
}

// alice asks `count` times, each for something else.
std::map<std::string, int> flood(World& world, int count, const char* subject = "alice") {
  std::map<std::string, int> outcomes;
  for (int i = 0; i < count; ++i) {
    world.scene.request.subject = subject;
    world.scene.request.reason = "number " + std::to_string(i);
    world.scene.ask();
    ++outcomes[outcome(world.put(world.scene.statements.back()))];
  }
  return outcomes;
}

int wrong_caps() {
  World many_live({.statements_burst = 1000, .live_requests = 10});
  auto outcomes = flood(many_live, 15);
  int wrong = wrong_if(outcomes["taken"] != 10 || outcomes["too_many_live"] != 5, "live requests");
  outcomes = flood(many_live, 3, "bob");
  wrong += wrong_if(outcomes["taken"] != 3, "another person's live requests");
  // One less lives, one more may come.
  many_live.scene.request.subject = "alice";
  many_live.scene.request.reason = "number 0";
  many_live.scene.revoke("alice", 60);
  wrong += wrong_if(outcome(many_live.put(many_live.scene.statements.back())) != "taken", "revoking makes room");
  many_live.scene.request.reason = "one more";
  many_live.scene.ask();
  wrong += wrong_if(outcome(many_live.put(many_live.scene.statements.back())) != "taken", "in the room that was made");

  World fast({.statements_per_minute = 60, .statements_burst = 20, .live_requests = 1000});
  outcomes = flood(fast, 50);
  wrong += wrong_if(outcomes["taken"] != 20 || outcomes["too_many"] != 30, "a burst");
  fast.scene.request.reason = "number 3";
  fast.scene.revoke("alice", 60);
  wrong += wrong_if(outcome(fast.put(fast.scene.statements.back())) != "taken", "narrowing has a budget of its own");
  fast.scene.now += 5;
  outcomes = flood(fast, 50);
  wrong += wrong_if(outcomes["taken"] + outcomes["known"] != 25 || outcomes["known"] != 20, "it fills up again");
  return wrong;
}

int wrong_repetitions() {
  World world;
  world.scene.ask();
  for (int i = 0; i < 12; ++i) world.scene.approve("bob", 60 + i, 600 + i);
  std::map<std::string, int> outcomes;
  for (const Statement& s : world.scene.statements) ++outcomes[outcome(world.put(s))];
  return wrong_if(outcomes["taken"] != 1 + 8 || outcomes["too_many"] != 4, "one person says eight times enough");
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_clocks(void**) {
  assert_int_equal(wrong_clocks(), 0);
}
void test_caps(void**) {
  assert_int_equal(wrong_caps(), 0);
}
void test_repetitions(void**) {
  assert_int_equal(wrong_repetitions(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_cases),
      cmocka_unit_test(test_clocks),
      cmocka_unit_test(test_caps),
      cmocka_unit_test(test_repetitions),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
