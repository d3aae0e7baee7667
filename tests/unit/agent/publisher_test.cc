#include "agent/publisher.h"

#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

SnapshotContent content(std::initializer_list<std::pair<const char*, long long>> admissions) {
  SnapshotContent c;
  for (const auto& [id, end] : admissions) {
    Admission a;
    a.account = a.subject = "alice";
    a.id = id;
    a.grant = sha256(id);
    a.end = from_unix(end);
    c.admissions.push_back(a);
  }
  return c;
}

struct Case {
  const char* name;
  std::initializer_list<std::pair<const char*, long long>> before, after;
  bool fresh_fails, reserve_fails, remove_fails;
  bool done, stands, marked;
  std::size_t admissions;  // in what stands
};

const Case kCases[] = {
    {"widens", {{"a", 200}}, {{"a", 200}, {"b", 200}}, false, false, false, true, true, false, 2},
    {"widens on a full disk: the old one stays",
     {{"a", 200}},
     {{"a", 200}, {"b", 200}},
     true,
     false,
     false,
     false,
     true,
     false,
     1},
    {"narrows on a full disk: from the space set aside",
     {{"a", 200}, {"b", 200}},
     {{"a", 200}},
     true,
     false,
     false,
     true,
     true,
     false,
     1},
    {"narrows and nothing can be written",
     {{"a", 200}, {"b", 200}},
     {{"a", 200}},
     true,
     true,
     false,
     false,
     false,
     true,
     0},
    {"narrows on a read-only disk", {{"a", 200}, {"b", 200}}, {{"a", 200}}, true, true, true, false, true, true, 2},
    {"an end that comes earlier narrows", {{"a", 200}}, {{"a", 150}}, true, true, false, false, false, true, 0},
    {"what ended by itself takes nothing away",
     {{"a", 99}, {"b", 200}},
     {{"b", 200}},
     true,
     true,
     false,
     false,
     true,
     false,
     2},
    {"one for another", {{"a", 200}}, {{"b", 200}}, true, false, false, true, true, false, 1},
};

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : kCases) {
    FakeStore store;
    FakeJournal journal;
    Publisher publisher(store, journal);
    const UnixTime now = from_unix(100);
    wrong += wrong_if(!publisher.publish(content(c.before), now), c.name);
    store.fresh_fails = c.fresh_fails;
    store.reserve_fails = c.reserve_fails;
    store.remove_fails = c.remove_fails;
    const bool done = static_cast<bool>(publisher.publish(content(c.after), now));
    wrong += wrong_if(done != c.done || store.stands != c.stands || store.marked != c.marked, c.name);
    wrong += wrong_if(store.stands && store.last.admissions.size() != c.admissions, c.name);
    wrong += wrong_if(
        publisher.withdrawn() != c.marked || journal.count(Event::snapshot_withdrawn) != (c.marked ? 1 : 0), c.name);
    // When the disk is well again, what should stand stands.
    store.fresh_fails = store.reserve_fails = store.remove_fails = false;
    wrong += wrong_if(!publisher.publish(content(c.after), now) || store.marked || publisher.withdrawn(), c.name);
    wrong += wrong_if(store.last.admissions.size() != c.after.size() || publisher.differs(content(c.after)), c.name);
  }
  return wrong;
}

int wrong_differences() {
  FakeStore store;
  FakeJournal journal;
  Publisher publisher(store, journal);
  SnapshotContent c = content({{"a", 200}});
  int wrong = wrong_if(!publisher.publish_if_different(c, from_unix(100)), "the first");
  c.meta.generation = 9;
  wrong += wrong_if(publisher.publish_if_different(c, from_unix(100)).has_value(), "the generation alone");
  c.meta.standing_sudo_denied = true;
  wrong += wrong_if(!publisher.publish_if_different(c, from_unix(100)), "the site's own sudo rules");
  return wrong + wrong_if(publisher.publish_if_different(c, from_unix(100)).has_value(), "once");
}

int wrong_starts() {
  FakeStore store;
  FakeJournal journal;
  store.stands = true;
  store.fresh_fails = store.reserve_fails = true;
  Publisher strange(store, journal);
  int wrong = wrong_if(static_cast<bool>(strange.publish(content({{"a", 200}}), from_unix(100))) || store.stands,
                       "what an unknown snapshot says is not believed when it cannot be replaced");
  FakeStore other;
  other.stands = true;
  other.fresh_fails = other.reserve_fails = true;
  Publisher known(other, journal);
  known.believe_standing(content({{"a", 200}, {"b", 200}}));
  wrong +=
      wrong_if(static_cast<bool>(known.publish(content({{"a", 200}, {"b", 200}}), from_unix(100))) || !other.stands,
               "a snapshot of the same generation stays");
  wrong += wrong_if(static_cast<bool>(known.publish(content({{"a", 200}}), from_unix(100))) || other.stands,
                    "until something in it must end");
  return wrong;
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_differences(void**) {
  assert_int_equal(wrong_differences(), 0);
}
void test_starts(void**) {
  assert_int_equal(wrong_starts(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_differences),
                              cmocka_unit_test(test_starts)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
