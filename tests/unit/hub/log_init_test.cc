#include "hub/log_init.h"

#include <sys/stat.h>

#include <filesystem>

#include "core/log/log_trust.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/hub/log_world.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

int wrong_new() {
  const LogWorld w;
  const std::string text = must(init_log(w.init()));
  const NoteKey log = w.log_signer().verifier(), witness = w.witness_signer().verifier();
  int wrong = wrong_if(log.name != "log.test/acme" || witness.name != "log.test/acme/witness", "names");
  wrong += wrong_if(text.find("key       = \"" + log.text()) == std::string::npos ||
                        text.find("witnesses = [\"" + witness.text()) == std::string::npos,
                    "the [log] section");
  wrong += wrong_if(mode_of(w.log_key) != 0600 || mode_of(w.witness_key) != 0600, "keys are private");
  wrong += wrong_if(mode_of(w.log) != 0755 || mode_of(w.state) != 0700, "directories");
  const auto store = w.open();
  return wrong + wrong_if(!store || (*store)->head().checkpoint.size != 0, "a log that a hub starts on");
}

// What it prints goes into trust.toml as it is.
int wrong_section() {
  const LogWorld w;
  const std::string text = must(init_log(w.init()));
  const std::string toml =
      "fleet = \"acme-prod\"\n[admins]\nthreshold = 1\n[admins.people]\nana = [\"ssh-ed25519 "
      "AAAAC3NzaC1lZDI1NTE5AAAAIKHEuJGkYz5aYg6p3ZtPqCvWTEgrFPcNWVnbRz9n1Vmk\"]\n" +
      text.substr(text.find("[log]"));
  std::vector<Diagnostic> out;
  const auto trust = parse_trust(toml, out);
  for (const Diagnostic& d : out) print_error("%s\n", d.message.c_str());
  return wrong_if(!trust || !trust->log || trust->log->quorum != 1 || trust->log->witnesses.size() != 1, "it reads");
}

int wrong_existing() {
  int wrong = 0;
  for (const char* left : {"/state/committed", "/log/checkpoint", "/log/tile/0/000.p/1"}) {
    const LogWorld w;
    w.make();
    {
      const auto store = must(w.open());
      must(store->append({"a"}));
    }
    for (const char* other : {"/state/committed", "/log/checkpoint"}) {
      if (other != std::string_view(left)) std::filesystem::remove(w.dir.path() + other);
    }
    if (left != std::string_view("/log/tile/0/000.p/1")) std::filesystem::remove_all(w.log + "/tile");
    const auto before = tree_of(w.dir.path());
    const auto again = init_log(w.init());
    wrong += wrong_if(again || again.error().code != Errc::mismatch || tree_of(w.dir.path()) != before, left);
  }
  return wrong;
}

int wrong_keys() {
  const LogWorld w;
  w.make();
  const std::string log = read_text(w.log_key);
  std::filesystem::remove_all(w.log);
  std::filesystem::remove_all(w.state);
  LogInit init = w.init();
  init.origin = "log.test/other";
  int wrong = wrong_if(init_log(init).has_value(), "a key of another name");
  init.origin = "";
  wrong += wrong_if(!init_log(init) || read_text(w.log_key) != log, "keys that are there stay");
  must(chmod(w.log_key.c_str(), 0640) == 0);
  const auto shared = load_note_key(w.log_key, NoteKeyType::ed25519);
  wrong += wrong_if(shared || shared.error().code != Errc::untrusted, "a key that others can read");
  const auto swapped = load_note_key(w.witness_key, NoteKeyType::ed25519);
  wrong += wrong_if(swapped || swapped.error().code != Errc::unsupported, "the witness's in the log's place");
  wrong += wrong_if(load_note_key(w.log_key + ".none", NoteKeyType::ed25519).has_value(), "none");
  const LogWorld fresh;
  LogInit nameless = fresh.init();
  nameless.origin = "";
  wrong += wrong_if(init_log(nameless).has_value() || std::filesystem::exists(fresh.log_key), "a log without a name");
  LogInit spaced = fresh.init();
  spaced.origin = "two words";
  return wrong +
         wrong_if(init_log(spaced).has_value() || std::filesystem::exists(fresh.log_key), "a name with a space");
}

#define TEST(name, function)         \
  void name(void**) {                \
    assert_int_equal(function(), 0); \
  }
TEST(test_new, wrong_new)
TEST(test_section, wrong_section)
TEST(test_existing, wrong_existing)
TEST(test_keys, wrong_keys)

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_new), cmocka_unit_test(test_section),
                              cmocka_unit_test(test_existing), cmocka_unit_test(test_keys)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
