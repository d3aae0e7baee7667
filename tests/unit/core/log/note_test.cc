#include "core/log/note.h"

#include <fstream>

#include "core/hash.h"
#include "core/json.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::Errc;
using hallpass::from_unix;
using hallpass::Json;
using hallpass::NoteKey;
using hallpass::NoteKeyType;
using hallpass::NoteSigner;
using hallpass::open_note;
using hallpass::testing::vector_signer;

std::string first_line(std::string text) {
  return text.substr(0, text.find('\n'));
}

int wrong_example() {
  const std::string vkey = first_line(read_vector("tlog/c2sp_example.vkey")),
                    note = read_vector("tlog/c2sp_example.note");
  const auto key = NoteKey::parse(vkey);
  if (!key) return wrong_if(true, key.error().message.c_str());
  const auto opened = open_note(note, std::span(&*key, 1));
  int wrong = wrong_if(key->text() != vkey, "the key again");
  wrong += wrong_if(!opened || opened->text != "This is an example message.\n" || opened->signatures.size() != 1 ||
                        opened->signatures[0].key.name != "example.com/foo",
                    "the example of the specification");
  return wrong;
}
void test_example(void**) {
  assert_int_equal(wrong_example(), 0);
}

Errc expected_of(const std::string& result) {
  if (result == "reject (known key, bad signature)") return Errc::bad_signature;
  return result == "reject (no known signature)" ? Errc::unknown_key : Errc::malformed;
}

int wrong_negatives() {
  const Json all = hallpass::parse_json(read_vector("tlog/notes_negative.json")).value();
  int wrong = wrong_if(all.as_object()->size() != 10, "ten vectors");
  for (const auto& [name, row] : *all.as_object()) {
    std::vector<NoteKey> keys;
    for (const Json& vkey : *row.find("vkeys")->as_array()) keys.push_back(NoteKey::parse(*vkey.as_string()).value());
    const auto opened = open_note(*row.find("note")->as_string(), keys);
    wrong += wrong_if(opened || opened.error().code != expected_of(*row.find("result")->as_string()), name.c_str());
  }
  return wrong;
}
void test_negatives(void**) {
  assert_int_equal(wrong_negatives(), 0);
}

// The signed head of the vectors, byte for byte, by our signers: Ed25519 has one signature for a message.
int wrong_signing() {
  const std::string note = read_vector("tlog/log300/checkpoint");
  const std::string text = note.substr(0, note.rfind("\n\n") + 1);
  const NoteSigner log = vector_signer("log", "log.example.org/approvals", NoteKeyType::ed25519);
  const NoteSigner one = vector_signer("w1", "w1.example.org", NoteKeyType::cosignature);
  const NoteSigner two = vector_signer("w2", "w2.example.net", NoteKeyType::cosignature);
  const std::vector<NoteKey> keys = {two.verifier(), one.verifier(), log.verifier()};
  const auto opened = open_note(note, keys);
  if (!opened || opened->signatures.size() != 3) return wrong_if(true, "the vectors' head");
  const std::string again = text + "\n" + log.sign_line(text) + one.sign_line(text, opened->signatures[1].at) +
                            two.sign_line(text, opened->signatures[2].at);
  int wrong = wrong_if(again != note, "signed again");
  wrong += wrong_if(
      hallpass::to_unix(opened->signatures[1].at) != 1760000000 || opened->signatures[1].key.name != "w1.example.org",
      "when and by whom it was cosigned");
  wrong += wrong_if(
      log.verifier().text() != "log.example.org/approvals+23b51d01+AaXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z",
      "the log's key");
  return wrong;
}
void test_signing(void**) {
  assert_int_equal(wrong_signing(), 0);
}

// No byte of a note may be another, and none may be cut off or added, but behind a key's own line.
int wrong_flips() {
  const std::string text = "origin\n12\n\nmore\n";
  const NoteSigner log = NoteSigner::generate("origin", NoteKeyType::ed25519);
  const NoteSigner witness = NoteSigner::generate("witness", NoteKeyType::cosignature);
  const std::string note = text + "\n" + log.sign_line(text) + witness.sign_line(text, from_unix(1));
  const std::vector<NoteKey> keys = {log.verifier(), witness.verifier()};
  const auto is_whole = [&](const std::string& n) {
    const auto opened = open_note(n, keys);
    return opened && opened->text == text && opened->signatures.size() == 2;
  };
  int wrong = wrong_if(!is_whole(note), "as it is");
  for (std::size_t i = 0; i < note.size(); ++i) {
    for (const int flip : {1, 0x20, 0x80}) {
      std::string changed = note;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      wrong += wrong_if(is_whole(changed), ("changed at " + std::to_string(i)).c_str());
    }
    wrong += wrong_if(is_whole(note.substr(0, i)), "cut off");
  }
  wrong += wrong_if(is_whole(note + "x"), "a byte added");
  return wrong;
}
void test_flips(void**) {
  assert_int_equal(wrong_flips(), 0);
}

struct NoteCase {
  const char* name;
  std::string note;
  int expected;  // how many signatures, or minus the error's code less one
};
int refused(Errc code) {
  return -1 - static_cast<int>(code);
}

int wrong_forms() {
  const std::string text = "text\n", dash = "\xE2\x80\x94 ";
  const NoteSigner log = NoteSigner::generate("log", NoteKeyType::ed25519);
  const NoteSigner other = NoteSigner::generate("log", NoteKeyType::ed25519);
  const NoteSigner witness = NoteSigner::generate("w", NoteKeyType::cosignature);
  const std::string line = log.sign_line(text), head = text + "\n";
  std::string many = head + line;
  for (int i = 0; i < 99; ++i) many += dash + "n" + std::to_string(i) + " AAAAAAAA\n";
  const auto cosigned_at = [&](std::string_view eight_bytes) {
    const auto raw = witness.sign_raw(as_bytes("cosignature/v1\ntime 0\n" + text));
    hallpass::Bytes blob(witness.verifier().id.begin(), witness.verifier().id.end());
    blob.insert(blob.end(), eight_bytes.begin(), eight_bytes.end());
    blob.insert(blob.end(), raw.begin(), raw.end());
    return head + line + dash + "w " + hallpass::base64_encode(blob) + "\n";
  };
  const NoteCase cases[] = {
      {"one", head + line, 1},
      {"two", head + line + witness.sign_line(text, from_unix(5)), 2},
      {"the same line twice counts once", head + line + line, 1},
      {"the name of a known key with another's id is unknown", head + other.sign_line(text) + line, 1},
      {"a hundred lines", many, 1},
      {"a hundred and one", many + dash + "n AAAAAAAA\n", refused(Errc::malformed)},
      {"a name with a plus", head + line + dash + "n+m AAAAAAAA\n", refused(Errc::malformed)},
      {"a name with a wide space", head + line + dash + "n\xE2\x80\x83m AAAAAAAA\n", refused(Errc::malformed)},
      {"no name", head + line + dash + " AAAAAAAA\n", refused(Errc::malformed)},
      {"no signature", head + line + dash + "n\n", refused(Errc::malformed)},
      {"nothing but a key's id", head + line + dash + "n AAAAAA==\n", refused(Errc::malformed)},
      {"base64 that is not canonical", head + line + dash + "n AAAAAAB=\n", refused(Errc::malformed)},
      {"two spaces", head + line + dash + "n  AAAAAAAA\n", refused(Errc::malformed)},
      {"an empty line among the signatures", head + line + "\n" + line, refused(Errc::bad_signature)},
      {"not UTF-8", "text\xff\n\n" + line, refused(Errc::malformed)},
      {"a NUL", std::string("te\0t\n\n", 6) + line, refused(Errc::malformed)},
      {"no signatures", head, refused(Errc::malformed)},
      {"nothing", "", refused(Errc::malformed)},
      {"64 KiB", std::string(70000, 'x') + "\n\n" + line, refused(Errc::too_large)},
      {"a witness's time of zero", cosigned_at(std::string(8, '\0')), refused(Errc::bad_signature)},
      {"a witness's time after the year 9999", cosigned_at(std::string(8, '\x7f')), refused(Errc::bad_signature)},
      {"a witness's signature without a time",
       head + line + dash + "w " + hallpass::base64_encode([&] {
         hallpass::Bytes blob(witness.verifier().id.begin(), witness.verifier().id.end());
         const auto raw = witness.sign_raw(as_bytes(text));
         blob.insert(blob.end(), raw.begin(), raw.end());
         return blob;
       }()) +
           "\n",
       refused(Errc::bad_signature)},
  };
  const std::vector<NoteKey> keys = {log.verifier(), witness.verifier()};
  int wrong = 0;
  for (const NoteCase& c : cases) {
    const auto opened = open_note(c.note, keys);
    wrong += wrong_if(
        (opened ? static_cast<int>(opened->signatures.size()) : refused(opened.error().code)) != c.expected, c.name);
  }
  return wrong;
}
void test_forms(void**) {
  assert_int_equal(wrong_forms(), 0);
}

int wrong_keys() {
  int wrong = 0;
  for (const NoteKeyType type : {NoteKeyType::ed25519, NoteKeyType::cosignature}) {
    const NoteSigner signer = NoteSigner::generate("a.name/with", type);
    const auto again = NoteSigner::parse(signer.text());
    const auto key = NoteKey::parse(signer.verifier().text());
    wrong += wrong_if(!again || !(again->verifier() == signer.verifier()), "a signing key again");
    wrong += wrong_if(!key || !(*key == signer.verifier()), "a verifier key again");
    wrong += wrong_if(again && again->sign_raw(as_bytes("x")) != signer.sign_raw(as_bytes("x")), "the same signatures");
  }
  wrong += wrong_if(NoteSigner::generate("n", NoteKeyType::ed25519).verifier() ==
                        NoteSigner::generate("n", NoteKeyType::ed25519).verifier(),
                    "two keys are two");
  const std::string good = "log.example.org/approvals+23b51d01+AaXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z";
  const std::pair<std::string, Errc> bad[] = {
      {"", Errc::malformed},
      {"name", Errc::malformed},
      {"name+23b51d01", Errc::malformed},
      {good + "=", Errc::malformed},
      {good.substr(0, good.size() - 4), Errc::malformed},
      {"x" + good, Errc::malformed},
      {"a b+23b51d01+AaXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z", Errc::malformed},
      {"log.example.org/approvals+23B51D01+AaXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z", Errc::malformed},
      {"log.example.org/approvals+23b51d02+AaXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z", Errc::malformed},
      {"log.example.org/approvals+23b51d01+AqXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z", Errc::unsupported},
      {"log.example.org/approvals+23b51d01+BKXwKsuvVchGPrF7cFokNItEiqAG9iZ3D5zSuuMn6X+Z", Errc::malformed},
  };
  wrong += wrong_if(!NoteKey::parse(good).has_value(), "the good key");
  for (const auto& [vkey, code] : bad) {
    const auto key = NoteKey::parse(vkey);
    wrong += wrong_if(key || key.error().code != code, vkey.c_str());
    wrong += wrong_if(NoteSigner::parse(vkey).has_value() || NoteSigner::parse("PRIVATE+KEY+" + vkey).has_value(),
                      "no signing key");
  }
  return wrong;
}
void test_keys(void**) {
  assert_int_equal(wrong_keys(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_example), cmocka_unit_test(test_negatives),
                              cmocka_unit_test(test_signing), cmocka_unit_test(test_flips),
                              cmocka_unit_test(test_forms),   cmocka_unit_test(test_keys)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
