#include "agent/ledger.h"

#include <fcntl.h>

#include "agent/ledger_records.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

Ledger::Options options(const TempDir& dir) {
  Ledger::Options o;
  o.directory = dir.path() + "/ledger";
  o.first_size = 1U << 20;
  return o;
}

Statement signed_request(const TestFleet& fleet, const std::string& reason = "r") {
  std::vector<Diagnostic> ignored;
  Request r = fleet.request("alice", "login", kStart);
  r.reason = reason;
  return make_statement(TestFleet::key("alice"), r, "acme", *parse_policy(fleet.policy(), ignored));
}

int wrong_reopened() {
  const TempDir dir;
  const TestFleet fleet;
  const Statement s = signed_request(fleet);
  const Digest other = sha256("another");
  {
    auto ledger = Ledger::open(options(dir)).value().release();
    LedgerChange change;
    change.add(s);
    change.end(other, Terminal{GrantState::denied, Step::denied, from_unix(7), from_unix(5), "bob", "alice", "alice",
                               "login", "no"});
    change.accept(3, {"toml\ntext", "sig"});
    change.void_key("SHA256:x");
    LedgerState state;
    state.policy_version = 3;
    state.generation = 9;
    state.clock.floor.wall = from_unix(1234);
    state.clock.floor.boot_id.fill('b');
    change.set(state);
    const bool kept = static_cast<bool>(ledger->commit(change));
    delete ledger;
    if (!kept) return wrong_if(true, "commit");
  }
  auto ledger = std::move(*Ledger::open(options(dir)));
  const auto t = ledger->terminal(other);
  const auto p = ledger->policy(3);
  const LedgerState state = ledger->state();
  int wrong = wrong_if(!ledger->knows(s.payload_digest(), s.key().fingerprint()), "knows the statement");
  wrong += wrong_if(ledger->knows(other, s.key().fingerprint()), "and no other");
  wrong += wrong_if(ledger->statements_of(s.payload_digest()) != std::vector{s.envelope()}, "gives it back");
  wrong += wrong_if(ledger->groups() != std::vector{s.payload_digest()}, "by its request");
  wrong +=
      wrong_if(!t || t->state != GrantState::denied || t->by != "bob" || t->at != from_unix(7), "how a grant ended");
  wrong += wrong_if(!p || p->toml != "toml\ntext" || p->sig != "sig", "the policy");
  wrong += wrong_if(ledger->voided_keys() != std::set<std::string>{"SHA256:x"}, "voided keys");
  wrong += wrong_if(state.policy_version != 3 || state.generation != 9 || state.clock.floor.wall != from_unix(1234) ||
                        state.clock.floor.boot_id[35] != 'b',
                    "the state");
  wrong += wrong_if(!ledger->damage().empty() || !ledger->shortage().empty(), "sound, with its space set aside");
  wrong += wrong_if(check_ledger(options(dir).directory).has_value(), "and the check says so");
  const auto second = Ledger::open(options(dir));
  wrong += wrong_if(second.has_value() || second.error().code != Errc::mismatch, "one process only");
  LedgerChange forget;
  forget.forget(s.payload_digest(), ledger->statement_keys_of(s.payload_digest()));
  wrong += wrong_if(!ledger->commit(forget) || !ledger->groups().empty(), "forgets");
  return wrong;
}

// The quarter that widening may not use takes denials when everything else is full.
int wrong_full() {
  const TempDir dir;
  const TestFleet fleet;
  Ledger::Options o = options(dir);
  o.largest = o.first_size;  // as on a full disk: it cannot grow
  const auto ledger = std::move(*Ledger::open(o));
  int wrong = 0, added = 0;
  for (; added < 5000; ++added) {
    LedgerChange change;
    change.add(signed_request(fleet, std::string(300, 'x') + std::to_string(added)));
    if (!ledger->commit(change)) break;
  }
  wrong += wrong_if(added < 100 || added == 5000, "fills up");
  for (int i = 0; i < 50; ++i) {
    LedgerChange change;
    change.end(sha256(std::to_string(i)),
               Terminal{GrantState::revoked, Step::revoked, {}, {}, "ana", "a", "a", "r", "d"});
    wrong += wrong_if(!ledger->commit(change), "a revocation on a full ledger");
  }
  return wrong;
}

// Any damaged byte of a record is noticed, none is believed, and nothing crashes this process.
int wrong_damaged() {
  int wrong = 0, noticed = 0;
  for (int at = 0; at < 24; ++at) {
    const TempDir dir;
    {
      const auto ledger = std::move(*Ledger::open(options(dir)));
      LedgerChange change;
      change.end(sha256("x"), Terminal{GrantState::revoked, Step::revoked, {}, {}, "ana", "a", "a", "r", "d"});
      for (int i = 0; i < 40; ++i) change.add(signed_request(TestFleet{}, std::to_string(i)));
      wrong += wrong_if(!ledger->commit(change), "commit");
    }
    const std::string file = options(dir).directory + "/data.mdb";
    const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);
    char page[4096];
    const off_t where = 4096 * (2 + at);
    demand(pread(fd, page, sizeof page, where) == sizeof page);
    for (std::size_t i = 1000; i < 3000; i += 7) page[i] = static_cast<char>(page[i] ^ 0x55);
    demand(pwrite(fd, page, sizeof page, where) == sizeof page);
    close(fd);
    if (check_ledger(options(dir).directory)) ++noticed;
  }
  return wrong + wrong_if(noticed < 8, "damage is noticed");
}

int wrong_garbage() {
  int wrong = 0;
  for (const char* content : {"not an LMDB file", "\x00\x00"}) {
    const TempDir dir;
    demand(mkdir(options(dir).directory.c_str(), 0700) == 0);
    write_text(options(dir).directory + "/data.mdb", std::string(9000, content[0]));
    wrong += wrong_if(!check_ledger(options(dir).directory), "garbage is noticed");
  }
  return wrong;
}

int wrong_sealed() {
  const std::string sealed = ledger_records::seal(ledger_records::kGrants, "key", "value");
  int wrong = wrong_if(ledger_records::unseal(ledger_records::kGrants, "key", sealed) != "value", "unseals");
  wrong += wrong_if(ledger_records::unseal(ledger_records::kState, "key", sealed).has_value(), "another database");
  wrong += wrong_if(ledger_records::unseal(ledger_records::kGrants, "kez", sealed).has_value(), "another key");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string bad = sealed;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    wrong += wrong_if(ledger_records::unseal(ledger_records::kGrants, "key", bad).has_value(), "a flipped bit");
  }
  return wrong;
}

void test_reopened(void**) {
  assert_int_equal(wrong_reopened(), 0);
}
void test_full(void**) {
  assert_int_equal(wrong_full(), 0);
}
void test_damaged(void**) {
  assert_int_equal(wrong_damaged(), 0);
}
void test_garbage(void**) {
  assert_int_equal(wrong_garbage(), 0);
}
void test_sealed(void**) {
  assert_int_equal(wrong_sealed(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_reopened), cmocka_unit_test(test_full),
                              cmocka_unit_test(test_damaged), cmocka_unit_test(test_garbage),
                              cmocka_unit_test(test_sealed)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
