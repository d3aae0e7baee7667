// A hub does not start on a log that disagrees with itself: each disagreement by its name, and nothing is touched.
#include "hub/log_check.h"

#include <sys/stat.h>

#include "tests/unit/cmocka.h"
#include "tests/unit/hub/log_world.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kFirst = 300, kPolicyAt = 300, kEpochAt = 301, kSize = 322;

// 300 entries, a policy, an epoch, 20 entries more; published with a cosignature from kNow.
// `old_state`, `old_checkpoint`: as they were at 300.
struct Kept {
  std::string old_state, old_checkpoint;
};
Kept fill(const LogWorld& world) {
  world.make();
  const auto store = must(world.open());
  must(store->append(some_entries(kFirst)));
  must(store->publish(world.cosigned(store->head(), kNow)));
  Kept kept{read_text(world.state + "/committed"), read_text(world.log + "/checkpoint")};
  const PolicyFiles policy = policy_files(1);
  must(store->put_policy(sha256(policy.toml), policy.toml, policy.sig));
  must(store->append({policy.sig}));
  must(store->append({format_epoch(store->epochs().next(kNow, {}), world.log_signer())}));
  must(store->append(some_entries(20, "later")));
  must(store->publish(world.cosigned(store->head(), kNow)));
  must(store->put_hints());
  must(store->head().checkpoint.size == kSize && store->epochs().newest()->index == kEpochAt);
  return kept;
}

using Change = void (*)(LogWorld&, const Kept&);
struct Case {
  const char* name;
  const char* refusal;  // nullptr: starts
  Change change;
};

void flip(const std::string& path, std::size_t at) {
  std::string text = read_text(path);
  must(at < text.size());
  text[at] = static_cast<char>(text[at] ^ 1);
  write_text(path, text);
}
void gone(const std::string& path) {
  must(std::filesystem::remove_all(path) > 0);
}
std::string policy_path(const char* suffix) {
  return "/policy/" + hex_encode(sha256(policy_files(1).toml).bytes) + suffix;
}
Digest other_root() {
  return sha256(std::string_view("another history"));
}
void append_alone(const LogWorld& world, const std::string& entry) {
  const auto store = must(world.open());
  must(!store->append({entry}).has_value());  // it is in, and the log stops
}

const Case kCases[] = {
    {"a sound log", nullptr, [](LogWorld&, const Kept&) {}},
    {"no directories", "not_initialised", [](LogWorld& w, const Kept&) { gone(w.log), gone(w.state); }},
    {"no log in them", "not_initialised",
     [](LogWorld& w, const Kept&) { gone(w.log + "/checkpoint"), gone(w.state + "/committed"); }},
    {"the committed head is gone", "committed_missing", [](LogWorld& w, const Kept&) { gone(w.state + "/committed"); }},
    {"the committed head has a bit flipped", "committed_damaged",
     [](LogWorld& w, const Kept&) { flip(w.state + "/committed", 20); }},
    {"the committed head is cut", "committed_damaged",
     [](LogWorld& w, const Kept&) {
       const std::string path = w.state + "/committed";
       write_text(path, read_text(path).substr(0, 60));
     }},
    {"another log's key", "other_key",
     [](LogWorld& w, const Kept&) {
       write_text(w.log_key, NoteSigner::generate("log.test/acme", NoteKeyType::ed25519).text());
       must(chmod(w.log_key.c_str(), 0600) == 0);
     }},
    {"state/ is an old copy", "published_newer",
     [](LogWorld& w, const Kept& kept) { write_text(w.state + "/committed", kept.old_state); }},
    {"an older checkpoint is published again", nullptr,
     [](LogWorld& w, const Kept& kept) { write_text(w.log + "/checkpoint", kept.old_checkpoint); }},
    {"no checkpoint: it is published again", nullptr, [](LogWorld& w, const Kept&) { gone(w.log + "/checkpoint"); }},
    {"a checkpoint of the same size with another root", "published_fork",
     [](LogWorld& w, const Kept&) { write_text(w.log + "/checkpoint", w.signed_note(kSize, other_root())); }},
    {"an older checkpoint with another root", "published_fork",
     [](LogWorld& w, const Kept&) { write_text(w.log + "/checkpoint", w.signed_note(280, other_root())); }},
    {"the checkpoint is empty", "published_damaged",
     [](LogWorld& w, const Kept&) { write_text(w.log + "/checkpoint", ""); }},
    {"the checkpoint has a bit flipped", "published_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + "/checkpoint", 20); }},
    {"the checkpoint lacks the log's signature", "published_damaged",
     [](LogWorld& w, const Kept&) {
       const auto head = parse_checkpoint("log.test/acme\n" + std::to_string(kSize) + "\n" +
                                          base64_encode(other_root().bytes) + "\n");
       const std::string text = format_checkpoint(*head);
       write_text(w.log + "/checkpoint", with_signature(text, w.witness_signer().sign_line(text, kNow)));
     }},
    {"no last bundle", "file_missing", [](LogWorld& w, const Kept&) { gone(w.log + "/tile/entries/001.p"); }},
    {"no first bundle", "file_missing", [](LogWorld& w, const Kept&) { gone(w.log + "/tile/entries/000"); }},
    {"no full tile", "file_missing", [](LogWorld& w, const Kept&) { gone(w.log + "/tile/0/000"); }},
    {"no last tile", "file_missing", [](LogWorld& w, const Kept&) { gone(w.log + "/tile/0/001.p/66"); }},
    {"no tile of level 1", "file_missing", [](LogWorld& w, const Kept&) { gone(w.log + "/tile/1/000.p"); }},
    {"the last tile is cut", "tile_damaged",
     [](LogWorld& w, const Kept&) {
       const std::string path = w.log + "/tile/0/001.p/66";
       write_text(path, read_text(path).substr(0, 65 * 32));
     }},
    {"a full tile has a bit flipped", "tile_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + "/tile/0/000", 77); }},
    {"the tile of level 1 has a bit flipped", "tile_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + "/tile/1/000.p/1", 31); }},
    {"a tile is a directory", "tile_damaged",
     [](LogWorld& w, const Kept&) {
       gone(w.log + "/tile/1/000.p/1");
       must(mkdir((w.log + "/tile/1/000.p/1").c_str(), 0755) == 0);
     }},
    {"an entry of the last bundle has a bit flipped", "bundle_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + "/tile/entries/001.p/66", 5); }},
    {"an entry of the first bundle has a bit flipped", "bundle_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + "/tile/entries/000", 5); }},
    {"a length in the last bundle is wrong", "bundle_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + "/tile/entries/001.p/66", 1); }},
    {"the log signed a root that the files do not have", "root_differs",
     [](LogWorld& w, const Kept&) {
       gone(w.log + "/checkpoint");
       write_text(w.state + "/committed", w.signed_note(kSize, other_root()));
     }},
    {"the clock is two minutes behind", nullptr, [](LogWorld& w, const Kept&) { w.now = kNow - Seconds{120}; }},
    {"the clock is behind our last cosignature", "clock_behind",
     [](LogWorld& w, const Kept&) { w.now = kNow - Seconds{121}; }},
    {"the clock is behind the newest epoch", "clock_behind",
     [](LogWorld& w, const Kept&) {
       gone(w.log + "/checkpoint");
       w.now = kNow - Seconds{121};
     }},
    {"no hint: all is read", nullptr, [](LogWorld& w, const Kept&) { gone(w.log + "/epoch"); }},
    {"a hint that nobody can read: all is read", nullptr,
     [](LogWorld& w, const Kept&) { write_text(w.log + "/epoch", "{"); }},
    {"the hint begins behind what an epoch says", "epoch_wrong",
     [](LogWorld& w, const Kept&) {
       write_text(w.log + "/epoch", format_epoch_hint({kEpochAt, 200, kPolicyAt}));
     }},
    {"the hint names an entry that is no epoch", "epoch_wrong",
     [](LogWorld& w, const Kept&) {
       write_text(w.log + "/epoch", format_epoch_hint({310, 0, kPolicyAt}));
     }},
    {"an epoch by another key is in the log", "epoch_wrong",
     [](LogWorld& w, const Kept&) {
       const NoteSigner other = NoteSigner::generate("log.test/acme", NoteKeyType::ed25519);
       append_alone(w, format_epoch({"acme-prod", "log.test/acme", 0, kPolicyAt, kNow}, other));
     }},
    {"an epoch that reaches into the future is in the log", "epoch_wrong",
     [](LogWorld& w, const Kept&) {
       append_alone(w, format_epoch({"acme-prod", "log.test/acme", 9999, kPolicyAt, kNow}, w.log_signer()));
     }},
    {"the epoch's hint is newer than the log", "rolled_back",
     [](LogWorld& w, const Kept&) {
       write_text(w.log + "/epoch", format_epoch_hint({kSize, 0, kPolicyAt}));
     }},
    {"the list of policies is newer than the log", "rolled_back",
     [](LogWorld& w, const Kept&) {
       write_text(w.log + "/policies", format_policy_hints({{1, sha256(policy_files(1).toml), kSize}}));
     }},
    {"no list of policies: it is made from the entries", nullptr,
     [](LogWorld& w, const Kept&) { gone(w.log + "/policies"); }},
    {"the list of policies cannot be read", "policy_damaged",
     [](LogWorld& w, const Kept&) { write_text(w.log + "/policies", "[{]"); }},
    {"the list names another entry", "policy_damaged",
     [](LogWorld& w, const Kept&) {
       write_text(w.log + "/policies", format_policy_hints({{1, sha256(policy_files(1).toml), 5}}));
     }},
    {"a policy's text is gone", "policy_damaged", [](LogWorld& w, const Kept&) { gone(w.log + policy_path(".toml")); }},
    {"a policy's text was changed", "policy_damaged",
     [](LogWorld& w, const Kept&) { flip(w.log + policy_path(".toml"), 3); }},
    {"a policy's signatures are gone", "policy_damaged",
     [](LogWorld& w, const Kept&) { gone(w.log + policy_path(".sig")); }},
    {"a policy has the signatures of another", "policy_damaged",
     [](LogWorld& w, const Kept&) { write_text(w.log + policy_path(".sig"), policy_files(2).sig); }},
};

int wrong_case(const Case& c) {
  LogWorld world;
  const Kept kept = fill(world);
  c.change(world, kept);
  const auto before = tree_of(world.dir.path());
  std::uint64_t told = 0;
  const auto opened = world.open([&](std::uint64_t index, std::string_view) { told += index >= kFirst ? 1 : 0; });
  int wrong = wrong_if(tree_of(world.dir.path()) != before, "nothing is changed by looking");
  if (c.refusal == nullptr) {
    wrong += wrong_if(!opened || told != kSize - kFirst, opened ? "its entries" : opened.error().message.c_str());
  } else {
    const std::string begins = std::string(c.refusal) + ": ";
    wrong += wrong_if(opened || opened.error().message.rfind(begins, 0) != 0,
                      opened ? "it starts" : opened.error().message.c_str());
  }
  return wrong_if(wrong != 0, c.name);
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : kCases) wrong += wrong_case(c);
  return wrong;
}

int wrong_lock() {
  LogWorld world;
  fill(world);
  int wrong = 0;
  {
    const auto first = must(world.open());
    const auto second = world.open();
    wrong += wrong_if(second || second.error().message.rfind("locked: ", 0) != 0, "one log has one writer");
  }
  return wrong + wrong_if(!world.open(), "until it ends");
}

void test_start(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_lock(void**) {
  assert_int_equal(wrong_lock(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_start), cmocka_unit_test(test_lock)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
