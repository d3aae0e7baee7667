#include "core/matching.h"

#include <algorithm>
#include <random>

#include "tests/unit/cmocka.h"
#include "tests/unit/support/seed.h"

namespace hallpass {
namespace {

using Names = std::vector<std::string>;

struct Case {
  const char* name;
  std::vector<Places> gates;
  Names people;
  int open;
  std::vector<Names> filled_by;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"no gate is filled by nobody", {}, {"bob"}, 0, {}},
      {"one of two", {{{"ana", "bob"}, 1}}, {"bob"}, 0, {{"bob"}}},
      {"the first comes first", {{{"ana", "bob"}, 1}}, {"bob", "ana"}, 0, {{"bob"}}},
      {"a stranger fills nothing", {{{"ana"}, 1}}, {"mallory"}, 1, {{}}},
      {"one person fills one place", {{{"bob"}, 1}, {{"bob"}, 1}}, {"bob"}, 1, {{"bob"}, {}}},
      {"a name that comes twice is one person", {{{"bob"}, 2}}, {"bob", "bob"}, 1, {{"bob"}}},
      {"greedy would fail: bob stands in the wide gate first, and must make room",
       {{{"ana", "bob"}, 1}, {{"bob", "chloe"}, 1}},
       {"bob", "ana"},
       0,
       {{"ana"}, {"bob"}}},
      {"greedy would fail: a chain of three",
       {{{"a", "b"}, 1}, {{"b", "c"}, 1}, {{"c", "a"}, 1}},
       {"a", "b", "c"},
       0,
       {{"b"}, {"c"}, {"a"}}},
      {"greedy would fail: two moves to let the last one in",
       {{{"a", "x"}, 1}, {{"a", "b"}, 1}, {{"b"}, 1}},
       {"a", "b", "x"},
       0,
       {{"x"}, {"a"}, {"b"}}},
      {"two places, three people: the first two", {{{"a", "b", "c"}, 2}}, {"c", "a", "b"}, 0, {{"c", "a"}}},
      {"a useless early person is passed over", {{{"a", "b"}, 1}, {{"z"}, 1}}, {"a", "b", "z"}, 0, {{"a"}, {"z"}}},
      {"more asked than there are", {{{"a", "b"}, 3}}, {"a", "b"}, 1, {{"a", "b"}}},
  };
  return all;
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : cases()) {
    const Assignment got = assign_places(c.gates, c.people);
    const auto filled = fill_places(c.gates, c.people);
    const bool good = got.open == c.open && got.filled_by == c.filled_by && open_places(c.gates, c.people) == c.open &&
                      filled.has_value() == (c.open == 0) && (!filled || *filled == c.filled_by);
    if (good) continue;
    print_error("matching: %s\n", c.name);
    ++wrong;
  }
  return wrong;
}

void tables(void**) {
  assert_int_equal(wrong_cases(), 0);
}

// An independent answer: tries every way to seat the people one by one, and notes the best by number of seats, then by
// who sits.
struct BruteForce {
  const std::vector<Places>& gates;
  const Names& people;
  std::vector<int> room;
  std::vector<bool> seated;
  std::size_t best_size = 0;
  std::vector<bool> best;

  void run() {
    for (const Places& gate : gates) room.push_back(gate.count);
    seated.assign(people.size(), false);
    best = seated;
    seat(0, 0);
  }
  void seat(std::size_t person, std::size_t size) {
    if (person == people.size()) {
      // vector<bool> orders false before true: greater is earlier people.
      if (size > best_size || (size == best_size && seated > best)) best = seated;
      best_size = std::max(best_size, size);
      return;
    }
    for (std::size_t g = 0; g < gates.size(); ++g) {
      if (room[g] == 0 || gates[g].members.count(people[person]) == 0) continue;
      --room[g];
      seated[person] = true;
      seat(person + 1, size + 1);
      seated[person] = false;
      ++room[g];
    }
    seat(person + 1, size);
  }
};

// Everyone placed may stand there, once, and no gate holds more than it has places.
bool is_sound(const std::vector<Places>& gates, const Assignment& got) {
  std::set<std::string> used;
  for (std::size_t g = 0; g < gates.size(); ++g) {
    if (static_cast<int>(got.filled_by[g].size()) > gates[g].count) return false;
    for (const std::string& name : got.filled_by[g]) {
      if (gates[g].members.count(name) == 0 || !used.insert(name).second) return false;
    }
  }
  return true;
}

bool agrees(const std::vector<Places>& gates, const Names& people) {
  int places = 0;
  for (const Places& gate : gates) places += gate.count;
  BruteForce reference{gates, people, {}, {}, 0, {}};
  reference.run();
  Names expected;
  for (std::size_t i = 0; i < people.size(); ++i) {
    if (reference.best[i]) expected.push_back(people[i]);
  }
  const Assignment got = assign_places(gates, people);
  Names used;
  for (const Names& names : got.filled_by) used.insert(used.end(), names.begin(), names.end());
  std::sort(used.begin(), used.end());
  std::sort(expected.begin(), expected.end());
  return is_sound(gates, got) && got.open == places - static_cast<int>(reference.best_size) && used == expected;
}

int disagreements(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const Names all{"a", "b", "c", "d", "e", "f"};
  int wrong = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<Places> gates(1 + below(3));
    for (Places& gate : gates) {
      gate.count = static_cast<int>(1 + below(2));
      for (const std::string& name : all) {
        if (below(2) == 0) gate.members.insert(name);
      }
    }
    Names people = all;
    std::shuffle(people.begin(), people.end(), random);
    people.resize(below(7));
    if (!agrees(gates, people)) ++wrong;
  }
  return wrong;
}

void agrees_with_brute_force(void**) {
  assert_int_equal(disagreements(testing::test_seed()), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::tables),
      cmocka_unit_test(hallpass::agrees_with_brute_force),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
