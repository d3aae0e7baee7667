#include "core/log/epoch.h"

#include <fstream>

#include "core/dsse.h"
#include "core/policy_trust.h"
#include "core/statement.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"

namespace {

using hallpass::Digest;
using hallpass::EntryKind;
using hallpass::Envelope;
using hallpass::Epoch;
using hallpass::EpochHint;
using hallpass::Errc;
using hallpass::from_unix;
using hallpass::NoteKeyType;
using hallpass::NoteSigner;
using hallpass::PolicyHint;

NoteSigner log_key() {
  return hallpass::testing::vector_signer("log", "log.example.org", NoteKeyType::ed25519);
}
int refused(Errc code) {
  return -1 - static_cast<int>(code);
}

// An envelope with any payload, signed as an epoch is.
std::string sealed(const std::string& payload, const std::string& type, const std::string& keyid, int signatures = 1) {
  Envelope envelope;
  envelope.payload_type = type;
  envelope.payload.assign(payload.begin(), payload.end());
  const auto message = hallpass::pre_authentication_encoding(type, envelope.payload);
  for (int i = 0; i < signatures; ++i) envelope.signatures.push_back({keyid, log_key().sign_raw(message)});
  return hallpass::format_envelope(envelope);
}

struct EpochCase {
  const char* name;
  std::string entry;
  int expected;
};

int wrong_epochs() {
  const Epoch epoch{"acme", "log.example.org", 1024, 7, from_unix(1760000000)};
  const std::string type(hallpass::kEpochPayloadType), name = "log.example.org";
  const std::string good = format_epoch(epoch, log_key());
  const std::string payload =
      R"({"hallpass":"epoch/1","fleet":"acme","log":"log.example.org","live_from":1024,"policy":7,"at":"2025-10-09T08:53:20Z"})";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = payload;
    changed.replace(changed.find(from), from.size(), to);
    return sealed(changed, type, name);
  };
  const NoteSigner impostor = hallpass::testing::vector_signer("w1", name, NoteKeyType::ed25519);
  const EpochCase cases[] = {
      {"good", good, 0},
      {"the same by hand", sealed(payload, type, name), 0},
      {"signed by another", format_epoch(epoch, impostor), refused(Errc::bad_signature)},
      {"another keyid", sealed(payload, type, "log.example.com"), refused(Errc::bad_signature)},
      {"two signatures", sealed(payload, type, name, 2), refused(Errc::malformed)},
      {"another payload type", sealed(payload, "application/json", name), refused(Errc::malformed)},
      {"a space in the envelope", " " + good, refused(Errc::malformed)},
      {"a newline behind it", good + "\n", refused(Errc::malformed)},
      {"another fleet", with("acme", "acme2"), refused(Errc::mismatch)},
      {"another log", with("log.example.org", "log.example.com"), refused(Errc::mismatch)},
      {"version 2", with("epoch/1", "epoch/2"), refused(Errc::malformed)},
      {"a member more", with("\"policy\"", "\"more\":1,\"policy\""), refused(Errc::malformed)},
      {"a member less", with("\"policy\":7,", ""), refused(Errc::malformed)},
      {"a member twice", with("\"policy\":7", "\"policy\":7,\"policy\":7"), refused(Errc::malformed)},
      {"a negative index", with("1024", "-1"), refused(Errc::malformed)},
      {"an index as text", with("1024", "\"1024\""), refused(Errc::malformed)},
      {"an index beyond all logs", with("1024", "281474976710657"), refused(Errc::malformed)},
      {"a time that is none", with("2025-10-09T08:53:20Z", "2025-10-09 08:53:20"), refused(Errc::malformed)},
      {"no JSON", sealed("epoch", type, name), refused(Errc::malformed)},
      {"nothing", "", refused(Errc::malformed)},
  };
  int wrong = wrong_if(good != sealed(payload, type, name), "spelled as documented");
  for (const EpochCase& c : cases) {
    const auto opened = hallpass::open_epoch(c.entry, "acme", log_key().verifier());
    wrong += wrong_if((opened ? 0 : refused(opened.error().code)) != c.expected, c.name);
    if (opened) wrong += wrong_if(!(*opened == epoch), "the same epoch");
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    wrong += wrong_if(hallpass::open_epoch(changed, "acme", log_key().verifier()).has_value(), "a changed byte");
  }
  return wrong;
}
void test_epochs(void**) {
  assert_int_equal(wrong_epochs(), 0);
}

int wrong_kinds() {
  using hallpass::entry_kind;
  const auto kind_of = [](std::string_view type) { return entry_kind(sealed("{}", std::string(type), "k")); };
  int wrong = wrong_if(kind_of(hallpass::kEpochPayloadType) != EntryKind::epoch, "an epoch");
  wrong += wrong_if(kind_of(hallpass::kPolicyPayloadType) != EntryKind::policy, "a policy");
  for (const auto kind :
       {hallpass::StatementKind::request, hallpass::StatementKind::decision, hallpass::StatementKind::revocation}) {
    wrong += wrong_if(kind_of(hallpass::payload_type(kind)) != EntryKind::statement, "a statement");
  }
  wrong += wrong_if(kind_of("application/json") != EntryKind::unknown, "another type");
  const std::string epoch = sealed("{}", std::string(hallpass::kEpochPayloadType), "k");
  wrong += wrong_if(entry_kind(" " + epoch) != EntryKind::unknown, "another spelling");
  wrong += wrong_if(entry_kind("") != EntryKind::unknown || entry_kind(R"({"payload":")") != EntryKind::unknown, "cut");
  return wrong;
}
void test_kinds(void**) {
  assert_int_equal(wrong_kinds(), 0);
}

int wrong_hints() {
  const std::string text = hallpass::format_epoch_hint({5120, 1024, 7});
  const auto hint = hallpass::parse_epoch_hint(text);
  int wrong = wrong_if(text != "{\"index\":5120,\"live_from\":1024,\"policy\":7}\n", "an epoch's hint");
  wrong += wrong_if(!hint || hint->index != 5120 || hint->live_from != 1024 || hint->policy != 7, "read again");
  const char* bad[] = {"",
                       "{}",
                       "[]",
                       "{\"index\":5120,\"live_from\":1024}",
                       "{\"index\":5120,\"live_from\":1024,\"policy\":7,\"more\":1}",
                       "{\"index\":5120,\"live_from\":-1,\"policy\":7}",
                       "{\"index\":5120,\"live_from\":1.5,\"policy\":7}",
                       "{\"index\":5120,\"live_from\":1024,\"policy\":7}x"};
  for (const char* row : bad) wrong += wrong_if(hallpass::parse_epoch_hint(row).has_value(), row);
  const auto large = hallpass::parse_epoch_hint(std::string(513, ' '));
  wrong += wrong_if(large || large.error().code != Errc::too_large, "a large hint");

  const Digest digest = hallpass::sha256("x");
  const std::string list = hallpass::format_policy_hints({{1, digest, 0}, {7, digest, 12}});
  const auto hints = hallpass::parse_policy_hints(list);
  wrong += wrong_if(!hints || hints->size() != 2 || hints->back().version != 7 || hints->back().index != 12 ||
                        !(hints->back().sha256 == digest) || hallpass::format_policy_hints(*hints) != list,
                    "the list of policies");
  wrong += wrong_if(!hallpass::parse_policy_hints("[]").has_value(), "no policies");
  wrong += wrong_if(
      hallpass::parse_policy_hints(hallpass::format_policy_hints({{2, digest, 0}, {2, digest, 1}})).has_value(),
      "not ascending");
  wrong +=
      wrong_if(hallpass::parse_policy_hints(hallpass::format_policy_hints({{0, digest, 0}})).has_value(), "version 0");
  wrong += wrong_if(hallpass::parse_policy_hints("{}").has_value(), "no list");
  wrong += wrong_if(hallpass::policy_text_path(digest) !=
                        "policy/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881.toml",
                    "a policy's path");
  return wrong;
}
void test_hints(void**) {
  assert_int_equal(wrong_hints(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_epochs), cmocka_unit_test(test_kinds),
                              cmocka_unit_test(test_hints)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
