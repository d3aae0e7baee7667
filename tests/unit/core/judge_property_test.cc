// What must hold whatever statements there are: random sets of them, under policies with overlapping gates.
#include <algorithm>
#include <random>

#include "core/explain.h"
#include "core/judge.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"
#include "tests/unit/support/seed.h"

namespace hallpass {
namespace {

using testing::kNoon;
using testing::Scene;
using testing::TestKey;

constexpr int kRounds = 10000;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }
  bool one_in(unsigned n) { return below(n) == 0; }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

// Everything that may be known, signed once; each round judges a random part of it.
struct World {
  Digest request;
  std::vector<Statement> requests;  // the same request, by both keys of alice
  std::vector<Statement> others;
  std::vector<std::shared_ptr<const Policy>> policies;
  ZoneTable zones = Scene().zones;
};

void add_decisions(Scene& s, Random& random) {
  static const char* const kDeciders[] = {"bob", "ana", "ben", "chloe", "dave", "erin", "alice", "bot"};
  for (int i = 0; i < 160; ++i) {
    // Few distinct times, so that many fall together.
    const char* by = kDeciders[random.below(8)];
    Decision d = s.decision(by, static_cast<long long>(random.below(25)) * 300 - 300, !random.one_in(16));
    if (random.one_in(3)) d.duration = Seconds{300 * (1 + random.below(7))};
    if (random.one_in(6)) d.targets = {Selector::parse(random.one_in(2) ? "host=web-3" : "host=web-4").value()};
    if (random.one_in(12)) d.request.bytes[5] ^= 1U;
    const bool security = random.one_in(2) && std::string(by) != "bot";
    s.add(security ? TestKey::security(by) : TestKey::plain(by), d,
          random.one_in(3) ? testing::kVerified : testing::kTouched);
  }
}

World make_world(Random& random) {
  Scene s;
  World world;
  world.requests = {s.add(TestKey::plain("alice"), s.request), s.add(TestKey::security("alice"), s.request)};
  world.request = s.digest();
  s.statements.clear();
  add_decisions(s, random);
  s.revoke("erin", 500);
  s.revoke("chloe", 900);
  s.revoke_subject("alice", "ben", 2);
  s.revoke_subject("alice", "bob", 2);
  for (const char* name : {"bob", "ana", "alice", "dave"}) s.revoke_key(TestKey::plain(name).fingerprint(), name, 100);
  s.revoke_key(TestKey::security("ana").fingerprint(), "ben", 100);
  s.revoke_key(TestKey::security("dave").fingerprint(), "erin", 100);
  world.others = s.statements;
  for (const char* gates :
       {"{ from = [\"leads\"] }", "{ from = [\"leads\"], count = 2 }",
        "{ from = [\"leads\"] }, { from = [\"bob\", \"dave\"] }",
        "{ from = [\"bob\", \"dave\"] }, { from = [\"dave\", \"erin\"] }, { from = [\"erin\", \"bob\", \"bot\"] }"}) {
    Scene one;
    one.edit("{ from = [\"leads\"], count = 1 }", gates);
    world.policies.push_back(testing::parsed(one.policy_text));
    one.add_rule("gates = [ { from = [\"chloe\", \"dave\"] }, { from = [\"dave\", \"bob\"] } ]\npresence = \"touch\"");
    one.add_rule(
        "gates = [ { from = [\"erin\"] } ]\nhours = [\"Mon 12:00-12:40 UTC\", \"Mon 13:50-14:00 Europe/Berlin\"]");
    world.policies.push_back(testing::parsed(one.policy_text));
  }
  return world;
}

// A set of statements, where and when it is judged.
struct Setting {
  std::vector<Statement> statements;
  const Policy* policy = nullptr;
  HostIdentity host{"web-3", {{"env", "prod"}}};
  bool with_host = true;
  UnixTime now;

  Judgement judge_in(const World& world) const {
    return judge(world.request, statements, *policy, with_host ? &host : nullptr, now, world.zones);
  }
};

Setting pick(const World& world, Random& random) {
  Setting setting;
  setting.policy = world.policies[random.below(static_cast<unsigned>(world.policies.size()))].get();
  setting.with_host = !random.one_in(4);
  setting.now = kNoon + Seconds{random.below(12000)};
  if (!random.one_in(50)) setting.statements.push_back(world.requests[random.below(2)]);
  if (random.one_in(2)) setting.statements.push_back(world.requests[random.below(2)]);
  for (unsigned n = random.below(14); n > 0; --n) {
    setting.statements.push_back(world.others[random.below(static_cast<unsigned>(world.others.size()))]);
  }
  return setting;
}

std::string everything(const Judgement& j) {
  std::string text = to_json(to_json_value(j));
  for (const RuleResult& rule : j.rules) {
    for (const GateResult& gate : rule.gates) {
      for (const std::string& name : gate.filled_by) text += " " + name;
    }
  }
  return text;
}

// Shuffled, and some of them twice.
void stir(std::vector<Statement>& statements, Random& random) {
  const std::size_t count = statements.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Statement copy = statements[i];
    if (random.one_in(3)) statements.push_back(copy);
  }
  std::shuffle(statements.begin(), statements.end(), random.engine());
}

int order_mattered(unsigned seed) {
  Random random(seed);
  const World world = make_world(random);
  int wrong = 0;
  int states[6] = {};
  for (int round = 0; round < kRounds; ++round) {
    Setting setting = pick(world, random);
    const Judgement first = setting.judge_in(world);
    const std::string expected = everything(first);
    ++states[static_cast<int>(first.state)];
    stir(setting.statements, random);
    wrong += wrong_if(everything(setting.judge_in(world)) != expected, expected.c_str());
  }
  for (const int count : states)
    wrong += wrong_if(count < kRounds / 1000, "a state that hardly came up: the test is blind there");
  return wrong;
}

void order_and_repetition(void**) {
  assert_int_equal(order_mattered(testing::test_seed()), 0);
}

bool has_its_window(const Judgement& j) {
  return j.step == Step::none || j.step == Step::not_started || j.step == Step::over;
}

// Any number of approvals made after a window's start leave it as it is, wherever the gates of other rules then stand.
int windows_moved(unsigned seed) {
  Random random(seed);
  const World world = make_world(random);
  int wrong = 0;
  int tried = 0;
  for (int round = 0; round < kRounds; ++round) {
    Setting setting = pick(world, random);
    const Judgement before = setting.judge_in(world);
    if (!has_its_window(before)) continue;
    for (const Statement& s : world.others) {
      const Decision* d = s.decision();
      if (d != nullptr && d->approve && d->decided_at > before.window->start && random.one_in(2))
        setting.statements.push_back(s);
    }
    ++tried;
    const Judgement after = setting.judge_in(world);
    wrong += wrong_if(after.window != before.window || after.state != before.state || after.rule != before.rule,
                      everything(before).c_str());
  }
  return wrong + wrong_if(tried < kRounds / 20, "too few grants with a window");
}

void later_approvals(void**) {
  assert_int_equal(windows_moved(testing::test_seed()), 0);
}

// What is not about this grant changes nothing; neither does time, but for the state.
int unrelated_mattered(unsigned seed) {
  Random random(seed);
  const World world = make_world(random);
  int wrong = 0;
  for (int round = 0; round < kRounds / 4; ++round) {
    Setting setting = pick(world, random);
    const std::string expected = everything(setting.judge_in(world));
    for (const Statement& s : world.others) {
      const bool unrelated = s.decision() != nullptr && s.decision()->request != world.request;
      if (unrelated) setting.statements.push_back(s);
    }
    wrong += wrong_if(everything(setting.judge_in(world)) != expected, expected.c_str());
  }
  return wrong;
}

void unrelated_statements(void**) {
  assert_int_equal(unrelated_mattered(testing::test_seed()), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::order_and_repetition),
      cmocka_unit_test(hallpass::later_approvals),
      cmocka_unit_test(hallpass::unrelated_statements),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
