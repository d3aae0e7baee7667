// The agent reads the log: what it takes, what it refuses, and when it calls the log stale.
#include <fcntl.h>

#include "core/edge/files.h"
#include "tests/unit/agent/log_host.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

int wrong_followed() {
  LogHost h;
  const Request first = h.granted();
  h.publish();
  int wrong = wrong_if(!h.start(), "starts");
  wrong += wrong_if(!h.admits(first) || h.size() != 2, "a new host reads all of a young log");
  std::vector<Request> more;
  for (int i = 0; i < 300; ++i) more.push_back(h.granted());
  h.publish();
  wrong += wrong_if(!h.admits(more.back()) || !h.admits(more.front()) || h.size() != 602, "and what comes after");
  Revocation v = TestFleet::revocation("alice", h.clock.wall);
  v.request = TestFleet::id(first);
  h.log.add(TestFleet::line("alice", v));
  h.publish();
  wrong += wrong_if(h.admits(first), "a revocation ends");
  // Read once more after a restart, from the files or from nothing at all.
  wrong += wrong_if(!h.start() || h.admits(first) || !h.admits(more.back()) || h.size() != 603, "a restart goes on");
  std::filesystem::remove_all(h.mirror());
  wrong += wrong_if(!h.start() || h.admits(first) || !h.admits(more.back()) || h.size() != 603, "without a mirror too");
  return wrong;
}

int wrong_refused() {
  LogHost h;
  const Request first = h.granted();
  h.publish();
  if (!h.start()) return 1;
  const TestLog old = h.log;
  const Request second = h.granted();
  h.publish();
  int wrong = wrong_if(!h.admits(second), "taken");
  old.write(h.mirror(), h.clock.wall);
  h.run();
  wrong += wrong_if(h.journal.count(Event::log_rollback) != 1 || h.size() != 4, "an older head");
  TestLog other = old;
  const Request forged = h.fleet.request("alice", "login", h.clock.wall);
  other.add(TestFleet::line("alice", forged));
  other.add(TestFleet::line("bob", TestFleet::decision(forged, "bob", true, h.clock.wall)));
  other.write(h.mirror(), h.clock.wall);
  h.run();
  wrong += wrong_if(h.journal.count(Event::log_fork) != 1 || h.admits(forged), "another history of the same size");
  other.add("more");
  other.write(h.mirror(), h.clock.wall);
  h.run();
  wrong += wrong_if(h.journal.count(Event::log_fork) != 2 || h.admits(forged) || h.size() != 4, "and a longer one");
  wrong += wrong_if(h.agent->problems().empty(), "an operator sees it");
  return wrong;
}

int wrong_damaged() {
  LogHost h;
  const Request first = h.granted();
  h.publish();
  if (!h.start()) return 1;
  const Request second = h.granted();
  h.log.write(h.mirror(), h.clock.wall);
  const std::string bundle = h.mirror() + "/" + bundle_path(0, 4);
  std::string bytes = read_file(AT_FDCWD, bundle, kMaxBundleBytes).value();
  std::string changed = bytes;
  changed[changed.size() / 2] ^= 1;
  write_text(bundle, changed);
  h.run();
  int wrong = wrong_if(h.admits(second) || h.size() != 2, "a changed byte");
  wrong += wrong_if(!h.journal.says(Event::log_damaged, "tile/entries/000.p/4"), "is named");
  std::filesystem::remove(bundle);
  h.agent->minute();
  h.run();
  wrong += wrong_if(!h.journal.says(Event::log_damaged, "not there") || h.size() != 2, "a missing file");
  demand(symlink("/etc/passwd", bundle.c_str()) == 0);
  h.agent->minute();
  h.run();
  wrong += wrong_if(h.size() != 2 || !h.admits(first), "a link");
  std::filesystem::remove(bundle);
  write_text(bundle, bytes);
  h.agent->minute();
  h.run();
  return wrong + wrong_if(!h.admits(second) || !h.agent->log()->fault().empty(), "mended: taken without a new head");
}

int wrong_required() {
  LogHost h(true);
  h.publish();
  if (!h.start()) return 1;
  const Request r = h.granted();
  // Carried without proofs, then with them, while the mirror says nothing new.
  write_text(h.drop() + "/a.grant", h.log.entries[0] + "\n" + h.log.entries[1] + "\n");
  h.run();
  int wrong = wrong_if(h.admits(r), "signed, but not in the log");
  wrong += wrong_if(std::filesystem::exists(h.drop() + "/a.grant"), "taken all the same");
  for (std::uint64_t i = 0; i < 2; ++i) {
    LogProof proof{h.log.entries[i], i, {leaf_hash(as_bytes(h.log.entries[1 - i]))}, h.log.checkpoint(h.clock.wall)};
    write_text(h.drop() + "/" + std::to_string(i) + ".tlog-proof", format_proof(proof));
  }
  h.run();
  wrong += wrong_if(!h.admits(r), "proven");
  wrong += wrong_if(!h.start() || !h.admits(r), "for good");
  const Request other = h.granted();
  LogProof lie{h.log.entries[2], 0, {leaf_hash(as_bytes(h.log.entries[1]))}, h.log.checkpoint(h.clock.wall)};
  write_text(h.drop() + "/lie.tlog-proof", format_proof(lie));
  h.run();
  wrong += wrong_if(h.journal.count(Event::proof_refused) != 1 || h.admits(other), "a proof of something else");
  h.publish();
  wrong += wrong_if(!h.admits(other) || !h.admits(r), "the log itself");
  Revocation v = TestFleet::revocation("alice", h.clock.wall);
  v.request = TestFleet::id(r);
  write_text(h.drop() + "/v.grant", TestFleet::line("alice", v));
  h.run();
  return wrong + wrong_if(h.admits(r), "what ends access needs no log");
}

int wrong_stale() {
  LogHost h;
  const Request r = h.granted();
  h.publish();
  if (!h.start()) return 1;
  int wrong = 0;
  for (int i = 0; i < 14; ++i) h.minute();
  wrong += wrong_if(h.journal.count(Event::log_stale) != 0, "14 minutes are fresh");
  for (int i = 0; i < 3; ++i) h.minute();
  wrong += wrong_if(h.journal.count(Event::log_stale) != 1 || !h.admits(r), "told once; what is known goes on");
  h.publish();  // cosigned anew
  h.minute();
  wrong += wrong_if(h.journal.count(Event::log_fresh) != 1, "fresh again");
  h.clock.synchronised = false;
  h.minute();
  return wrong + wrong_if(h.journal.count(Event::log_stale) != 2, "a clock that nobody vouches for proves nothing");
}

int wrong_stale_denies() {
  LogHost h(false, true);
  const Request r = h.fleet.request("bob", "deploy", h.clock.wall, 3600);
  h.log.add(TestFleet::line("bob", r));
  h.publish();
  if (!h.start()) return 1;
  int wrong = wrong_if(!h.admits(r), "fresh");
  wrong += wrong_if(h.store.last.admissions.at(0).end != from_unix(kStart + 900), "readers see the limit");
  for (int i = 0; i < 10; ++i) {
    h.publish();
    h.minute();
  }
  wrong += wrong_if(!h.admits(r) || h.store.publishes > 5, "cosigned each minute: moves on, in steps");
  for (int i = 0; i < 16; ++i) h.minute();
  wrong += wrong_if(h.admits(r), "stale: denied");
  wrong += wrong_if(!h.start() || h.admits(r), "after a restart too");
  h.publish();
  h.minute();
  wrong += wrong_if(!h.admits(r), "fresh again: admitted again");
  // A clock set back by a day does not make yesterday's cosignature young again.
  const std::string yesterday = h.log.checkpoint(h.clock.wall);
  h.clock.pass(24 * 3600);
  h.agent->minute();
  h.run();
  const Request late = h.fleet.request("bob", "deploy", h.clock.wall, 3600);
  h.log.add(TestFleet::line("bob", late));
  h.log.write(h.mirror(), h.clock.wall - 24 * 3600);
  h.run();
  h.clock.wall -= 24 * 3600;
  h.clock.synchronised = false;
  h.agent->clock_set();
  h.run();
  return wrong + wrong_if(h.admits(late), "an old cosignature on a host with a wrong clock");
}

// A hub that has new hosts begin behind a live revocation.
int wrong_epoch_skips() {
  LogHost h;
  const Request r = h.granted();
  h.publish();
  if (!h.start()) return 1;
  Revocation v = TestFleet::revocation("alice", h.clock.wall);
  v.request = TestFleet::id(r);
  h.log.add(TestFleet::line("alice", v));
  h.log.add_epoch(0, h.clock.wall);
  h.publish();
  int wrong = wrong_if(h.journal.count(Event::log_epoch_wrong) != 0, "an honest one");
  h.log.add_epoch(3, h.clock.wall);
  h.publish();
  wrong += wrong_if(!h.journal.says(Event::log_epoch_wrong, "leaves out"), "is caught by a host that was there");
  wrong += wrong_if(h.admits(r), "and the revocation stands");
  h.log.add_epoch(3, h.clock.wall + 86400);
  h.publish();
  return wrong + wrong_if(!h.journal.says(Event::log_epoch_wrong, "not come yet"), "a date from the future");
}

// Statements by somebody whom only a later policy names.
int wrong_policy_later() {
  LogHost h;
  h.publish();
  if (!h.start()) return 1;
  TestFleet next = h.fleet;
  next.people.emplace_back("dave");
  next.leads += ", \"dave\"";
  next.version = 2;
  const Request r = next.request("dave", "deploy", h.clock.wall);
  h.log.add(TestFleet::line("dave", r));
  h.publish();
  int wrong = wrong_if(h.admits(r) || h.agent->log()->waiting() != 1, "waits");
  next.put_policy(h.mirror() + "/policies");
  h.run();
  wrong += wrong_if(!h.admits(r), "counts with the policy");
  LogHost again;
  again.log = h.log;
  again.publish();
  if (!again.start()) return 1;
  wrong += wrong_if(!again.start(), "restarted in between");
  next.put_policy(again.mirror() + "/policies");
  again.run();
  return wrong + wrong_if(!again.admits(r), "counts all the same");
}

int wrong_untrusted() {
  LogHost h;
  TestLog stranger = h.log;
  stranger.key_seed = "other";
  const Request r = h.fleet.request("bob", "deploy", h.clock.wall);
  stranger.add(TestFleet::line("bob", r));
  stranger.write(h.mirror(), h.clock.wall);
  if (!h.start()) return 1;
  int wrong = wrong_if(h.journal.count(Event::log_untrusted) != 1 || h.admits(r), "another log's key");
  TestLog unseen = h.log;
  unseen.witness_seed = "other";
  unseen.add(TestFleet::line("bob", r));
  unseen.write(h.mirror(), h.clock.wall);
  h.run();
  return wrong + wrong_if(h.journal.count(Event::log_untrusted) != 2 || h.admits(r), "no witness of ours");
}

// The fleet begins a new log, by the same name but with a new key: trust.toml says so.
int wrong_new_log() {
  LogHost h;
  const Request first = h.granted();
  h.publish();
  if (!h.start()) return 1;
  h.log.entries.clear();
  h.log.key_seed = "the next one";
  h.fleet.log = h.log.trust();
  const Request second = h.granted();
  h.publish();
  int wrong = wrong_if(!h.start() || !h.admits(second) || h.size() != 2, "the new one is followed");
  return wrong + wrong_if(!h.admits(first), "what was known goes on");
}

// A disk that takes nothing: nothing is remembered, and everything comes again.
int wrong_full_disk() {
  LogHost h;
  h.publish();
  if (!h.start()) return 1;
  h.store.fresh_fails = true;
  const Request r = h.granted();
  h.publish();
  int wrong = wrong_if(h.admits(r), "not published");
  h.store.fresh_fails = false;
  h.clock.pass(120);
  h.agent->retry();
  h.run();
  return wrong + wrong_if(!h.admits(r), "published when there is room");
}

#define HALLPASS_TEST(name)              \
  void test_##name(void**) {             \
    assert_int_equal(wrong_##name(), 0); \
  }
HALLPASS_TEST(followed)
HALLPASS_TEST(refused)
HALLPASS_TEST(damaged)
HALLPASS_TEST(required)
HALLPASS_TEST(stale)
HALLPASS_TEST(stale_denies)
HALLPASS_TEST(epoch_skips)
HALLPASS_TEST(policy_later)
HALLPASS_TEST(untrusted)
HALLPASS_TEST(full_disk)
HALLPASS_TEST(new_log)

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_followed),    cmocka_unit_test(test_refused),      cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_required),    cmocka_unit_test(test_stale),        cmocka_unit_test(test_stale_denies),
      cmocka_unit_test(test_epoch_skips), cmocka_unit_test(test_policy_later), cmocka_unit_test(test_untrusted),
      cmocka_unit_test(test_full_disk),   cmocka_unit_test(test_new_log),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
