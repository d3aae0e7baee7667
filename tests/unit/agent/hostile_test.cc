// What an enrolled but hostile person, a lost key or a bad disk must not achieve. Each case is a fault that once was.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "agent/agent.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

Revocation key_revocation(const char* by, long long at, const char* whose) {
  Revocation v = TestFleet::revocation(by, at);
  v.form = Revocation::Form::key;
  v.key = TestFleet::key(whose).fingerprint();
  return v;
}

bool lists_key_of(const TestHost& h, const char* subject) {
  const auto& keys = h.store.last.keys;
  return std::any_of(keys.begin(), keys.end(), [&](const AccountKey& k) { return k.subject == subject; });
}

void replace(std::string& text, const std::string& what, const std::string& with) {
  text.replace(text.find(what), what.size(), with);
}

void put_policy_text(TestHost& h, const std::string& text) {
  write_text(h.inbox() + "/policy.toml", text);
  write_text(h.inbox() + "/policy.toml.sig", h.fleet.sign(text));
  h.run();
}

void put_admins(TestHost& h, int version, const std::string& admins) {
  h.fleet.version = version;
  std::string text = h.fleet.policy();
  replace(text, R"(people = ["ana", "ben"])", "people = [" + admins + "]");
  put_policy_text(h, text);
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Breaks every statement that the ledger's file holds.
void damage_ledger(const TestHost& h) {
  const std::string path = h.dir.path() + "/var/lib/hallpass/ledger/data.mdb";
  std::string bytes = read_text(path);
  for (auto at = bytes.find("payloadType"); at != std::string::npos; at = bytes.find("payloadType", at + 1))
    bytes[at] = 'q';
  FILE* file = fopen(path.c_str(), "r+b");
  if (file == nullptr || fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || fclose(file) != 0) std::abort();
}

int wrong_old_key_revocation() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.put(TestFleet::line("ana", key_revocation("ana", kStart - 400 * 86400, "alice")), "key-revoke.grant");
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  return wrong_if(h.admits(r) || lists_key_of(h, "alice"), "a key revoked long ago, on a new host");
}

int wrong_voided_under_a_later_policy() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  h.put(TestFleet::line("carol", key_revocation("carol", kStart, "alice")));
  put_admins(h, 2, R"("ana", "ben", "carol")");
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  int wrong = wrong_if(h.admits(r), "carol became an admin");
  put_admins(h, 3, R"("ana", "ben")");
  wrong += wrong_if(h.admits(r), "and is none any more");
  h.start();
  return wrong + wrong_if(h.admits(r), "nor does a restart bring the key back");
}

int wrong_far_ahead() {
  TestHost h;
  h.config.max_grants = 10;
  h.fleet.put_policy(h.inbox());
  h.start();
  for (int i = 0; i < 10; ++i) {
    Request r = h.fleet.request("carol", "login", kStart);
    r.requested_at = from_unix(20'000'000'000);
    r.respond_by = r.requested_at + Seconds{60};
    h.put(TestFleet::line("carol", r));
  }
  const Request r = h.fleet.request("alice", "deploy", kStart);
  h.put(TestFleet::line("alice", r));
  return wrong_if(!h.admits(r), "requests of the year 2603 take no place");
}

int wrong_damage_at_run_time() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request first = h.fleet.request("alice", "deploy", kStart, 600),
                second = h.fleet.request("alice", "deploy", kStart, 900);
  h.put(TestFleet::line("alice", first));
  h.put(TestFleet::line("alice", second));
  damage_ledger(h);
  h.pass(600);
  h.pass(305);
  return wrong_if(!h.agent->damaged(), "noticed") + wrong_if(h.agent->next_due() != kNever, "nothing is due any more");
}

int wrong_junk_approvals() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "login", kStart);
  h.put(TestFleet::line("alice", r));
  std::string junk;
  for (int i = 0; i < 520; ++i) {
    Decision d = TestFleet::decision(r, "ana", true, kStart + i);
    d.comment = std::to_string(i);
    junk += TestFleet::line("ana", d);
  }
  h.put(junk);
  h.clock.pass(60);
  h.put(TestFleet::line("bob", TestFleet::decision(r, "bob", true, kStart + 60)));
  return wrong_if(!h.admits(r), "one person's many approvals leave room for another's");
}

int wrong_endings_of_nothing() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  for (int i = 0; i < 3; ++i) {
    std::string lines;
    for (int k = 0; k < 100; ++k) {
      const Request x = h.fleet.request("alice", "deploy", kStart + k + 1000 * i);
      lines += TestFleet::line("carol", TestFleet::decision(x, "carol", false, kStart));
    }
    h.put(lines);
  }
  return wrong_if(h.agent->docket().all().size() > 250, "denials of unknown requests are bounded by signer");
}

int wrong_mismatch_waits() {
  TestHost h;
  h.fleet.put_policy(h.inbox());
  h.start();
  std::string text = h.fleet.policy();
  const std::string alices = TestFleet::key("alice").line(), bobs = TestFleet::key("bob").line();
  replace(text, alices, "@@");
  replace(text, bobs, alices);
  replace(text, "@@", bobs);
  replace(text, "version = 1", "version = 2");
  const Request r = h.fleet.request("alice", "deploy", kStart);
  Revocation v = TestFleet::revocation("alice", kStart + 1);
  v.request = TestFleet::id(r);
  h.put(TestFleet::line("bob", v));  // with the key that version 2 gives to alice
  put_policy_text(h, text);
  h.put(TestFleet::line("bob", r));
  h.clock.pass(60);
  h.agent->minute();
  h.run();
  return wrong_if(h.admits(r), "a revocation by a key that moved counts with the policy that moves it");
}

int wrong_reset_rolls_nothing_back() {
  TestHost h;
  h.fleet.version = 5;
  h.fleet.put_policy(h.inbox());
  h.start();
  const Request r = h.fleet.request("alice", "deploy", kStart, 600);
  h.put(TestFleet::line("alice", r));
  damage_ledger(h);
  h.pass(600);
  int wrong = wrong_if(!h.agent->damaged() || !h.agent->reset_ledger(), "damaged, then given up");
  h.fleet.version = 3;
  h.fleet.put_policy(h.inbox());
  h.run();
  return wrong + wrong_if(h.store.last.meta.policy_version == 3, "an older policy stays out");
}

template <int (*F)()>
void none_wrong(void**) {
  assert_int_equal(F(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(none_wrong<wrong_old_key_revocation>),
      cmocka_unit_test(none_wrong<wrong_voided_under_a_later_policy>),
      cmocka_unit_test(none_wrong<wrong_far_ahead>),
      cmocka_unit_test(none_wrong<wrong_damage_at_run_time>),
      cmocka_unit_test(none_wrong<wrong_junk_approvals>),
      cmocka_unit_test(none_wrong<wrong_endings_of_nothing>),
      cmocka_unit_test(none_wrong<wrong_mismatch_waits>),
      cmocka_unit_test(none_wrong<wrong_reset_rolls_nothing_back>),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
