// The agent from files to the snapshot, with a clock moved by hand.
#include "agent/agent.h"

#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

int wrong_life() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  int wrong = wrong_if(!h.start(), "starts");
  const Request r = h.fleet.request("alice", "login", kStart, 600);
  h.put(TestFleet::line("alice", r));
  const Waiting* w = h.store.waiting("alice", "alice");
  wrong +=
      wrong_if(h.admits(r) || w == nullptr || w->state != "pending" || w->runbooks != std::vector<std::string>{"login"},
               "pending");
  h.clock.pass(60);
  h.put(TestFleet::line("bob", TestFleet::decision(r, "bob", true, kStart + 60)));
  wrong += wrong_if(!h.admits(r) || h.agent->next_due() != from_unix(kStart + 660), "active, until its end");
  wrong += wrong_if(h.journal.count(Event::grant_pending) != 1 || h.journal.count(Event::grant_active) != 1,
                    "told once each");
  h.pass(599);
  wrong += wrong_if(!h.admits(r) || h.store.last.admissions.size() != 1, "the last second");
  h.pass(1);
  w = h.store.waiting("alice", "alice");
  wrong += wrong_if(h.admits(r) || !h.store.last.admissions.empty() || w == nullptr || w->state != "ended" ||
                        w->at != from_unix(kStart + 660),
                    "over, and said when");
  wrong += wrong_if(h.journal.count(Event::grant_ended) != 1, "told");
  // For good: neither the same files nor a clock set back revives it.
  h.clock.wall -= 86400;
  h.agent->clock_set();
  wrong += wrong_if(h.admits(r), "a clock set back");
  h.start();
  return wrong + wrong_if(h.admits(r), "nor after a restart");
}

int wrong_not_started() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  Request r = h.fleet.request("alice", "deploy", kStart, 600);
  r.not_before = from_unix(kStart + 300);
  h.put(TestFleet::line("alice", r));
  int wrong = wrong_if(h.admits(r) || h.store.last.admissions.size() != 1, "known ahead of its start");
  const int before = h.store.publishes;
  h.pass(299);
  wrong += wrong_if(h.admits(r) || h.store.publishes != before, "nothing changes");
  h.pass(1);
  return wrong + wrong_if(!h.admits(r), "starts to the second");
}

struct Ending {
  const char* name;
  Payload (*make)(const Request& r);
  const char* signer;
  GrantState state;
  bool ends;
};

const Ending kEndings[] = {
    {"a denial by one of the gate",
     [](const Request& r) -> Payload { return TestFleet::decision(r, "carol", false, kStart + 10); }, "carol",
     GrantState::denied, true},
    {"a revocation by an admin",
     [](const Request& r) -> Payload {
       Revocation v = TestFleet::revocation("ana", kStart + 10);
       v.request = TestFleet::id(r);
       return v;
     },
     "ana", GrantState::revoked, true},
    {"of the subject",
     [](const Request&) -> Payload {
       Revocation v = TestFleet::revocation("ana", kStart + 10);
       v.form = Revocation::Form::subject;
       v.subject = "alice";
       return v;
     },
     "ana", GrantState::revoked, true},
    {"of the subject, by a stranger to it",
     [](const Request&) -> Payload {
       Revocation v = TestFleet::revocation("bob", kStart + 10);
       v.form = Revocation::Form::subject;
       v.subject = "alice";
       return v;
     },
     "bob", GrantState::active, false},
    {"of the subject's key",
     [](const Request&) -> Payload {
       Revocation v = TestFleet::revocation("alice", kStart + 10);
       v.form = Revocation::Form::key;
       v.key = TestFleet::key("alice").fingerprint();
       return v;
     },
     "alice", GrantState::void_, true},
    {"of the approver's key",
     [](const Request&) -> Payload {
       Revocation v = TestFleet::revocation("ana", kStart + 10);
       v.form = Revocation::Form::key;
       v.key = TestFleet::key("bob").fingerprint();
       return v;
     },
     "ana", GrantState::pending, true},
};

int wrong_endings() {
  int wrong = 0;
  for (const Ending& e : kEndings) {
    for (const bool revocation_first : {false, true}) {
      TestHost h;
      h.fleet.put_policy(h.inbox());
      h.start();
      const Request r = h.fleet.request("alice", "login", kStart);
      const std::string end = TestFleet::line(e.signer, e.make(r));
      h.clock.pass(20);
      if (revocation_first) h.put(end, "end.grant");
      h.put(TestFleet::line("alice", r) + TestFleet::line("bob", TestFleet::decision(r, "bob", true, kStart + 5)));
      if (!revocation_first) {
        wrong += wrong_if(!h.admits(r), e.name);
        h.put(end, "end.grant");
      }
      const Grant* g = h.agent->docket().find(TestFleet::id(r));
      wrong += wrong_if(h.admits(r) == e.ends || g == nullptr || g->state != e.state, e.name);
      // Its file goes, the agent restarts: what ended stays so.
      unlink((h.inbox() + "/end.grant").c_str());
      h.start();
      wrong += wrong_if(h.admits(r) == e.ends, e.name);
    }
  }
  return wrong;
}

int wrong_keys() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  std::vector<std::string> got;
  for (const AccountKey& k : h.store.last.keys) got.push_back(k.account + ":" + k.subject + (k.personal ? "!" : ""));
  std::sort(got.begin(), got.end());
  int wrong = wrong_if(got != std::vector<std::string>{"alice:alice!", "deploy:alice", "deploy:bob", "deploy:carol"},
                       "whose keys may try");
  Revocation v = TestFleet::revocation("bob", kStart);
  v.form = Revocation::Form::key;
  v.key = TestFleet::key("bob").fingerprint();
  h.put(TestFleet::line("bob", v));
  return wrong +
         wrong_if(h.store.last.keys.size() != 3 || h.journal.count(Event::key_voided) != 1, "a voided one may not");
}

int wrong_policies() {
  TestHost h;
  h.fleet.version = 2;
  h.fleet.put_policy(h.inbox(), "policy-2.toml");
  h.start();
  int wrong = wrong_if(h.store.last.meta.policy_version != 2, "the first");
  const Request r = h.fleet.request("alice", "login", kStart);
  h.put(TestFleet::line("alice", r) + TestFleet::line("bob", TestFleet::decision(r, "bob", true, kStart)));
  wrong += wrong_if(!h.admits(r), "admits under it");
  // Three that this host missed; the last one has no bob in its gate.
  for (const std::int64_t v : {3, 4, 5}) {
    h.fleet.version = v;
    if (v == 5) h.fleet.leads = "\"carol\"";
    h.fleet.put_policy(h.inbox(), v == 5 ? "policy.toml" : "policy-" + std::to_string(v) + ".toml");
  }
  h.run();
  wrong +=
      wrong_if(h.store.last.meta.policy_version != 5 || h.journal.count(Event::policy_accepted) != 4, "walks in order");
  wrong += wrong_if(h.admits(r), "who left the gate fills no place");
  h.fleet.version = 4;
  h.fleet.put_policy(h.inbox());
  h.run();
  wrong += wrong_if(h.store.last.meta.policy_version != 5 || h.journal.count(Event::policy_older) != 1, "never lower");
  h.fleet.version = 5;
  h.fleet.valid_until = "2028-02-02T00:00:00Z";
  h.fleet.put_policy(h.inbox());
  h.run();
  wrong += wrong_if(h.store.last.meta.valid_until != *parse_time("2028-01-01T00:00:00Z") ||
                        h.journal.count(Event::policy_conflict) != 1,
                    "another of the same version");
  h.fleet.version = 6;
  write_text(h.inbox() + "/policy.toml", h.fleet.policy());
  h.put(h.fleet.sign(h.fleet.policy(), {"ana"}), "policy.toml.sig");
  wrong += wrong_if(h.store.last.meta.policy_version != 5 || h.journal.count(Event::policy_refused) != 1,
                    "one admin of two");
  h.put(h.fleet.sign(h.fleet.policy(), {"bob", "carol"}), "policy.toml.sig");
  wrong += wrong_if(h.store.last.meta.policy_version != 5 || !h.journal.says(Event::policy_refused, "no admin"),
                    "strangers");
  h.put(h.fleet.sign(h.fleet.policy(), {"ana", "ben"}, "other"), "policy.toml.sig");
  wrong += wrong_if(h.store.last.meta.policy_version != 5, "another fleet");
  // The directory is lost: the ledger has it.
  std::filesystem::remove_all(h.inbox());
  h.start();
  return wrong + wrong_if(h.store.last.meta.policy_version != 5 || h.store.last.keys.empty(), "without the directory");
}

int wrong_clock_forward() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  int wrong = wrong_if(!h.admits(r), "active");
  h.clock.synchronised = false;
  h.clock.wall += 86400;
  h.agent->clock_set();
  wrong += wrong_if(h.admits(r), "ended while the clock is a day ahead");
  h.clock.wall -= 86400;
  h.clock.pass(60);
  h.agent->clock_set();
  return wrong + wrong_if(!h.admits(r), "and not for good");
}

// A host whose clock nobody ever vouched for: what ended by the wall clock has ended.
int wrong_unvouched() {
  TestHost h;
  h.clock.synchronised = false;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart, 600);
  h.put(TestFleet::line("alice", r));
  int wrong = wrong_if(!h.admits(r), "active");
  h.pass(600);
  h.clock.wall -= 86400;
  h.agent->clock_set();
  wrong += wrong_if(h.admits(r), "a clock set back revives nothing");
  h.start();
  return wrong + wrong_if(h.admits(r), "nor after a restart");
}

// A policy without the person: her grant is void, and that is told by its name.
int wrong_dropped() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  int wrong = wrong_if(!h.admits(r), "active");
  h.fleet.version = 2;
  h.fleet.keys_of_alice = "alice's next";
  h.fleet.valid_until = "2027-02-01T00:00:00Z";
  h.fleet.put_policy(h.inbox());
  h.run();
  wrong += wrong_if(h.admits(r), "her key left");
  wrong += wrong_if(!h.journal.says(Event::grant_void, "of alice (deploy) is void"), "told");
  return wrong + wrong_if(h.journal.count(Event::policy_expiring) != 1, "and that the policy runs out soon");
}

int wrong_standing_sudo() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  int wrong = wrong_if(h.store.last.meta.standing_sudo_denied, "the site's own rules count unless host.toml says else");
  h.config.standing_sudo_denied = true;
  h.start();
  return wrong + wrong_if(!h.store.last.meta.standing_sudo_denied, "denied");
}

// The agent looks by itself at its start and once a minute; nothing is wrong where there is no sudo.
int wrong_sudo_defaults() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const auto state = [&] { return *h.agent->status().find("sudo")->find("defaults")->as_string(); };
  int wrong = wrong_if(state() != "absent" || !h.agent->problems().empty(), "no sudo");
  write_text(h.dir.path() + "/etc/sudoers", "Defaults env_reset\n");
  demand(chmod((h.dir.path() + "/etc/sudoers").c_str(), 0666) == 0);
  h.agent->minute();
  wrong += wrong_if(state() != "unusable" || h.agent->problems().size() != 1, "told to an operator");
  wrong += wrong_if(h.journal.count(Event::sudoers_unusable) != 1, "and in the journal");
  return wrong;
}

int wrong_strict() {
  TestHost h;
  h.config.strict_clock = true;
  h.clock.synchronised = false;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  int wrong = wrong_if(h.admits(r), "not before the clock is synchronised");
  h.clock.synchronised = true;
  h.clock.pass(60);
  h.agent->minute();
  wrong += wrong_if(!h.admits(r), "then at once");
  h.clock.synchronised = false;
  h.clock.pass(60);
  h.agent->minute();
  return wrong + wrong_if(!h.admits(r), "and for the rest of the boot");
}

int wrong_storage() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart), more = h.fleet.request("bob", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  h.store.fresh_fails = h.store.reserve_fails = true;
  h.put(TestFleet::line("bob", more));
  int wrong = wrong_if(!h.admits(r) || h.admits(more) || h.journal.count(Event::storage_failed) != 1,
                       "the old one stays, an alert");
  Revocation v = TestFleet::revocation("ana", kStart + 1);
  v.request = TestFleet::id(r);
  h.put(TestFleet::line("ana", v));
  wrong += wrong_if(h.admits(r) || h.journal.count(Event::snapshot_withdrawn) != 1, "a revocation takes effect");
  h.store.fresh_fails = h.store.reserve_fails = false;
  h.clock.pass(2);
  h.agent->retry();
  wrong +=
      wrong_if(h.admits(r) || !h.admits(more) || h.journal.count(Event::storage_recovered) != 1, "recovers by itself");
  return wrong + wrong_if(h.agent->retry_at().has_value(), "and is content");
}

// A damaged ledger: nothing new, nothing lost, and a way out that revives nothing.
int wrong_damaged() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  h.agent.reset();
  const std::string file = h.dir.path() + "/var/lib/hallpass/ledger/data.mdb";
  const auto size = std::filesystem::file_size(file);
  write_text(file, std::string(size, 'x'));
  int wrong = wrong_if(!h.start() || !h.agent->damaged() || h.journal.count(Event::ledger_damaged) != 1, "is told");
  wrong += wrong_if(!h.store.stands || !h.admits(r), "the snapshot stays");
  const Request later = h.fleet.request("bob", "deploy", kStart);
  h.put(TestFleet::line("bob", later));
  wrong += wrong_if(h.admits(later), "nothing new");
  h.clock.pass(10);
  wrong += wrong_if(!h.agent->reset_ledger() || h.agent->damaged(), "is given up");
  h.run();
  wrong += wrong_if(h.admits(r) || h.admits(later), "what was asked before is refused");
  const Request fresh = h.fleet.request("alice", "deploy", kStart + 20);
  h.clock.pass(10);
  h.put(TestFleet::line("alice", fresh));
  return wrong + wrong_if(!h.admits(fresh), "what is asked now counts");
}

void test_life(void**) {
  assert_int_equal(wrong_life(), 0);
}
void test_not_started(void**) {
  assert_int_equal(wrong_not_started(), 0);
}
void test_endings(void**) {
  assert_int_equal(wrong_endings(), 0);
}
void test_keys(void**) {
  assert_int_equal(wrong_keys(), 0);
}
void test_policies(void**) {
  assert_int_equal(wrong_policies(), 0);
}
void test_clock_forward(void**) {
  assert_int_equal(wrong_clock_forward(), 0);
}
void test_unvouched(void**) {
  assert_int_equal(wrong_unvouched(), 0);
}
void test_dropped(void**) {
  assert_int_equal(wrong_dropped(), 0);
}
void test_sudo(void**) {
  assert_int_equal(wrong_standing_sudo() + wrong_sudo_defaults(), 0);
}
void test_strict(void**) {
  assert_int_equal(wrong_strict(), 0);
}
void test_storage(void**) {
  assert_int_equal(wrong_storage(), 0);
}
void test_damaged(void**) {
  assert_int_equal(wrong_damaged(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_life),      cmocka_unit_test(test_not_started), cmocka_unit_test(test_endings),
      cmocka_unit_test(test_keys),      cmocka_unit_test(test_policies),    cmocka_unit_test(test_clock_forward),
      cmocka_unit_test(test_unvouched), cmocka_unit_test(test_dropped),     cmocka_unit_test(test_strict),
      cmocka_unit_test(test_sudo),      cmocka_unit_test(test_storage),     cmocka_unit_test(test_damaged)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
