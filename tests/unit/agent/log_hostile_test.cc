// The agent and a log that holds what nobody expects: floods, endings of what is over, files that go away.
#include <fcntl.h>

#include "tests/unit/agent/log_host.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

// A new host reads two weeks of a log in which one admin denied hundreds of requests, all over by now.
int wrong_old_endings() {
  LogHost h;
  std::vector<Request> old;
  for (int i = 0; i < 250; ++i) {
    old.push_back(h.fleet.request("alice", "login", h.clock.wall));
    h.log.add(TestFleet::line("alice", old.back()));
    h.log.add(TestFleet::line("ana", TestFleet::decision(old.back(), "ana", false, h.clock.wall)));
  }
  h.clock.pass(10 * 24 * 3600);
  const Request r = h.granted();
  h.publish();
  if (!h.start()) return 1;
  int wrong = wrong_if(!h.admits(r), "what lives is read");
  wrong += wrong_if(h.size() != h.log.entries.size() || !h.agent->log()->seen_at(), "and the position remembered");
  // One whose request comes to count with a later policy is not forgotten for the flood's sake.
  TestFleet next = h.fleet;
  next.people.emplace_back("dave");
  next.leads += ", \"dave\"";
  next.version = 2;
  const Request late = next.request("dave", "deploy", h.clock.wall),
                live = next.request("dave", "deploy", h.clock.wall);
  h.log.add(TestFleet::line("dave", live));
  h.log.add(TestFleet::line("dave", late));
  h.log.add(TestFleet::line("ana", TestFleet::decision(late, "ana", false, h.clock.wall)));
  h.publish();
  next.put_policy(h.mirror() + "/policies");
  h.run();
  return wrong + wrong_if(!h.admits(live) || h.admits(late), "a denial before its request counts");
}

// Somebody who revokes himself again and again.
int wrong_flood_of_revocations() {
  LogHost h;
  const Request r = h.fleet.request("bob", "deploy", h.clock.wall);
  h.log.add(TestFleet::line("bob", r));
  for (int i = 0; i < 10100; ++i) {
    Revocation v = TestFleet::revocation("alice", h.clock.wall + i);
    v.form = Revocation::Form::subject;
    v.subject = "alice";
    h.log.add(TestFleet::line("alice", v));
  }
  h.publish();
  if (!h.start()) return 1;
  int wrong = wrong_if(!h.admits(r), "admitted");
  Revocation v = TestFleet::revocation("ana", h.clock.wall + 5);
  v.form = Revocation::Form::subject;
  v.subject = "bob";
  h.log.add(TestFleet::line("ana", v));
  h.publish();
  wrong += wrong_if(h.admits(r), "an admin's revocation of another counts");
  wrong += wrong_if(!h.start() || h.admits(r), "after a restart too");
  h.clock.pass(20);
  const Request own = h.fleet.request("alice", "deploy", h.clock.wall);
  h.log.add(TestFleet::line("alice", own));
  h.publish();
  return wrong + wrong_if(h.admits(own), "and the newest of the flood");
}

// A host that denies when stale restarts while the log is quiet: its last head is fresh, the one kept with the position
// is not.
int wrong_restart_of_quiet() {
  LogHost h(false, true);
  const Request r = h.fleet.request("bob", "deploy", h.clock.wall, 3600);
  h.log.add(TestFleet::line("bob", r));
  h.publish();
  if (!h.start()) return 1;
  for (int i = 0; i < 25; ++i) {
    h.publish();
    h.minute();
  }
  h.publish();
  int wrong = wrong_if(!h.admits(r), "fresh");
  const int before = h.store.publishes;
  bool ever_denied = false;
  h.store.on_publish = [&] { ever_denied = ever_denied || h.store.admitted(from_unix(h.clock.wall)).empty(); };
  wrong += wrong_if(!h.start() || !h.admits(r), "after the restart");
  h.store.on_publish = nullptr;
  return wrong + wrong_if(ever_denied || h.store.publishes > before + 1, "nothing stale was published in between");
}

// What waits for a policy while the mirror's files are away for a moment.
int wrong_files_away() {
  LogHost h;
  const Request r = h.granted();
  h.publish();
  if (!h.start()) return 1;
  TestFleet next = h.fleet;
  next.people.emplace_back("dave");
  next.leads += ", \"dave\"";
  next.version = 2;
  Revocation v = TestFleet::revocation("dave", h.clock.wall);
  v.request = TestFleet::id(r);
  h.log.add(TestFleet::line("dave", v));
  h.publish();
  int wrong = wrong_if(!h.admits(r) || h.agent->log()->waiting() != 1, "waits");
  std::filesystem::rename(h.mirror() + "/tile", h.mirror() + "/away");
  wrong += wrong_if(!h.start() || !h.admits(r), "a restart without files");
  next.put_policy(h.mirror() + "/policies");
  h.run();
  std::filesystem::rename(h.mirror() + "/away", h.mirror() + "/tile");
  h.minute();
  wrong += wrong_if(h.admits(r), "read when they are back");
  return wrong;
}

// One person's valid requests, and approvals of requests that nobody made, leave room for another's.
int wrong_share() {
  TestHost h;
  h.config.max_grants = 1200;  // of which one person may take 1000
  h.fleet.put_policy(h.inbox());
  if (!h.start()) return 1;
  std::string lines;
  for (int i = 0; i < 1010; ++i) lines += TestFleet::line("alice", h.fleet.request("alice", "deploy", h.clock.wall));
  h.put(lines);
  int wrong = wrong_if(h.agent->docket().all().size() != 1000, "a thousand, and no more");
  const Request r = h.fleet.request("bob", "deploy", h.clock.wall);
  h.put(TestFleet::line("bob", r));
  wrong += wrong_if(!h.admits(r), "room for another");
  wrong += wrong_if(!h.start(), "restarts");
  h.put(TestFleet::line("alice", h.fleet.request("alice", "deploy", h.clock.wall)));
  return wrong + wrong_if(h.agent->docket().all().size() != 1001, "counted after a restart too");
}

#define HALLPASS_TEST(name)              \
  void test_##name(void**) {             \
    assert_int_equal(wrong_##name(), 0); \
  }
HALLPASS_TEST(old_endings)
HALLPASS_TEST(flood_of_revocations)
HALLPASS_TEST(restart_of_quiet)
HALLPASS_TEST(files_away)
HALLPASS_TEST(share)

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_old_endings),
      cmocka_unit_test(test_flood_of_revocations),
      cmocka_unit_test(test_restart_of_quiet),
      cmocka_unit_test(test_files_away),
      cmocka_unit_test(test_share),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
