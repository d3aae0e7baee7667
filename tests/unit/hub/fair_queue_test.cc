// Whose turn it is, and how budgets fill up again.
#include "hub/fair_queue.h"

#include <vector>

#include "hub/limits.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;       // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;  // NOLINT(google-build-using-namespace)

struct Trace {
  FairQueue queue;
  std::string order;
  void push(const char* person, std::uint64_t body, bool urgent, char mark) {
    queue.push(person, body, urgent, [this, mark] { order += mark; });
  }
  std::string run() {
    while (auto job = queue.pop()) (*job)();
    return order;
  }
};

int wrong_turns() {
  Trace people;
  for (int i = 0; i < 4; ++i) people.push("alice", 1, false, 'a');
  people.push("bob", 2, false, 'b');
  people.push("bob", 2, false, 'b');
  int wrong = wrong_if(people.run() != "ababaa", "people take turns");

  Trace bodies;
  for (int i = 0; i < 3; ++i) bodies.push("alice", 1, false, '1');
  for (int i = 0; i < 3; ++i) bodies.push("alice", 2, false, '2');
  wrong += wrong_if(bodies.run() != "121212", "so do bodies in one person's name");

  Trace urgent;
  for (int i = 0; i < 3; ++i) urgent.push("alice", 1, false, 'a');
  for (int i = 0; i < 6; ++i) urgent.push("bob", 2, true, 'R');
  wrong += wrong_if(urgent.run() != "RRRRaRRaa", "revocations first, but not for ever");
  wrong += wrong_if(urgent.queue.size() != 0 || urgent.queue.pop().has_value(), "empty at the end");

  Trace waiting;
  waiting.push("alice", 1, false, 'a');
  waiting.push("alice", 2, false, 'a');
  waiting.push("alice", 2, true, 'R');
  wrong += wrong_if(
      waiting.queue.waiting_for("alice") != 2 || waiting.queue.waiting_for("bob") != 0 || waiting.queue.size() != 3,
      "how much waits");
  return wrong;
}

int wrong_buckets() {
  const Moment start{};
  TokenBucket bucket(60, 3, start);
  int wrong = 0;
  for (int i = 0; i < 3; ++i) wrong += wrong_if(!bucket.take(start), "the burst");
  wrong += wrong_if(bucket.take(start), "after the burst");
  wrong += wrong_if(bucket.until_next(start) != Seconds{1}, "until the next");
  wrong += wrong_if(!bucket.take(start + Seconds{1}) || bucket.take(start + Seconds{1}), "one a second");
  wrong += wrong_if(!bucket.is_full(start + Seconds{5}), "full again");
  wrong += wrong_if(bucket.take(start), "a clock that stands still gives nothing");

  PersonBudgets budgets({.statements_burst = 1, .narrowing_burst = 1});
  wrong += wrong_if(budgets.charge("alice", false, start).has_value(), "the first");
  wrong += wrong_if(!budgets.charge("alice", false, start).has_value(), "the second");
  wrong += wrong_if(!budgets.has_any("alice", start) || !budgets.may_narrow("alice", start), "narrowing is left");
  wrong += wrong_if(budgets.charge("alice", true, start).has_value(), "narrowing");
  wrong += wrong_if(budgets.has_any("alice", start) || budgets.may_narrow("alice", start), "nothing is left");
  wrong += wrong_if(budgets.charge("bob", false, start).has_value(), "another person");
  budgets.forget_idle(start);
  wrong += wrong_if(budgets.size() != 2, "those in debt are remembered");
  budgets.forget_idle(start + Seconds{600});
  wrong += wrong_if(budgets.size() != 0, "those that are not are forgotten");
  return wrong;
}

void test_turns(void**) {
  assert_int_equal(wrong_turns(), 0);
}
void test_buckets(void**) {
  assert_int_equal(wrong_buckets(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_turns), cmocka_unit_test(test_buckets)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
