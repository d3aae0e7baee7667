#include "core/log/checkpoint.h"

#include <fstream>

#include "core/json.h"
#include "core/log/merkle.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::Checkpoint;
using hallpass::Digest;
using hallpass::Errc;
using hallpass::from_unix;
using hallpass::Json;
using hallpass::LogProof;
using hallpass::LogTrust;
using hallpass::NoteKey;
using hallpass::NoteKeyType;
using hallpass::NoteSigner;
using hallpass::testing::vector_signer;

int refused(Errc code) {
  return -1 - static_cast<int>(code);
}

int wrong_texts() {
  const Json all = hallpass::parse_json(read_vector("tlog/checkpoint_text.json")).value();
  int wrong = 0;
  for (const auto& [name, row] : *all.as_object()) {
    const std::string& text = *row.find("text")->as_string();
    const auto checkpoint = hallpass::parse_checkpoint(text);
    // Extension lines are allowed by the specification, and refused here.
    const bool good = *row.find("result")->as_string() == "accept" && name != "ext_ok";
    wrong += wrong_if(checkpoint.has_value() != good, name.c_str());
    if (checkpoint) wrong += wrong_if(hallpass::format_checkpoint(*checkpoint) != text, "formatted again");
  }
  const std::string root = "KnBE+X94lw1CgNUrX8kyNpex1KfZvhgPChfrw72z4b0=\n";
  const std::pair<std::string, bool> more[] = {
      {"o\n281474976710656\n" + root, true},
      {"o\n281474976710657\n" + root, false},
      {"o\n9223372036854775808\n" + root, false},
      {"o\n18446744073709551616\n" + root, false},
      {"o\n-1\n" + root, false},
      {"o\n 1\n" + root, false},
      {"o\n\n" + root, false},
      {"\n1\n" + root, false},
      {"o\n1\n", false},
      {"o\n1\n" + root + "more", false},
      {"", false},
  };
  for (const auto& [text, good] : more) {
    wrong += wrong_if(hallpass::parse_checkpoint(text).has_value() != good, text.c_str());
  }
  return wrong;
}
void test_texts(void**) {
  assert_int_equal(wrong_texts(), 0);
}

// The head of the vectors is cosigned by w1 at 1760000000 and by w2 a second later; w3 has not seen it.
LogTrust trust_of(const std::vector<std::string>& witnesses, int quorum) {
  LogTrust trust;
  trust.log = vector_signer("log", "log.example.org/approvals", NoteKeyType::ed25519).verifier();
  const std::pair<std::string, const char*> known[] = {
      {"w1", "w1.example.org"}, {"w2", "w2.example.net"}, {"w3", "w3.example.com"}};
  for (const std::string& witness : witnesses) {
    for (const auto& [seed, name] : known) {
      if (seed == witness) {
        trust.witnesses.push_back(vector_signer(seed, name, NoteKeyType::cosignature).verifier());
      }
    }
  }
  trust.quorum = quorum;
  return trust;
}

struct QuorumCase {
  const char* name;
  std::vector<std::string> witnesses;
  int quorum;
  long long expected;  // seen_at - 1760000000; -1: no time; -100: untrusted
};

int wrong_quorums() {
  const QuorumCase cases[] = {
      {"one witness", {"w1"}, 1, 0},
      {"the newer one", {"w2"}, 1, 1},
      {"the newest of two", {"w1", "w2"}, 1, 1},
      {"two of two: the older of their times", {"w1", "w2"}, 2, 0},
      {"two of three, one is missing", {"w1", "w2", "w3"}, 2, 0},
      {"three of three", {"w1", "w2", "w3"}, 3, -100},
      {"one that has not signed", {"w3"}, 1, -100},
      {"no witnesses", {}, 0, -1},
      {"a quorum of nobody", {}, 1, -100},
  };
  const std::string note = read_vector("tlog/log300/checkpoint");
  int wrong = 0;
  for (const QuorumCase& c : cases) {
    const auto head = hallpass::verify_checkpoint(note, trust_of(c.witnesses, c.quorum));
    if (!head) {
      wrong += wrong_if(c.expected != -100 || head.error().code != Errc::untrusted, c.name);
      continue;
    }
    const long long seen = head->seen_at ? hallpass::to_unix(*head->seen_at) - 1760000000 : -1;
    wrong += wrong_if(seen != c.expected || head->checkpoint.size != 300 || head->note != note, c.name);
  }
  // One key under two names is one witness: the signature does not say by whom it is.
  const NoteSigner log = vector_signer("log", "log.example.org/approvals", NoteKeyType::ed25519);
  const NoteSigner a = vector_signer("w1", "a", NoteKeyType::cosignature);
  const NoteSigner b = vector_signer("w1", "b", NoteKeyType::cosignature);
  const std::string text = note.substr(0, note.rfind("\n\n") + 1);
  LogTrust twice;
  twice.log = log.verifier();
  twice.witnesses = {a.verifier(), b.verifier()};
  twice.quorum = 2;
  const auto head = hallpass::verify_checkpoint(
      text + "\n" + log.sign_line(text) + a.sign_line(text, from_unix(9)) + b.sign_line(text, from_unix(9)), twice);
  return wrong + wrong_if(head || head.error().code != Errc::untrusted, "a witness twice");
}
void test_quorums(void**) {
  assert_int_equal(wrong_quorums(), 0);
}

struct HeadCase {
  const char* name;
  std::string note;
  int expected;
};

int wrong_heads() {
  const LogTrust trust = trust_of({"w1"}, 1);
  const NoteSigner log = vector_signer("log", trust.log.name, NoteKeyType::ed25519);
  const NoteSigner witness = vector_signer("w1", "w1.example.org", NoteKeyType::cosignature);
  const NoteSigner impostor = vector_signer("impostor", trust.log.name, NoteKeyType::ed25519);
  const auto note = [&](const std::string& text, const NoteSigner& by) {
    return text + "\n" + by.sign_line(text) + witness.sign_line(text, from_unix(7));
  };
  const std::string good = read_vector("tlog/log300/checkpoint"), text = good.substr(0, good.rfind("\n\n") + 1);
  const std::string other = hallpass::format_checkpoint({"other.example.org", 1, Digest()});
  const HeadCase cases[] = {
      {"good", good, 0},
      {"another origin, signed by our log", note(other, log), refused(Errc::mismatch)},
      {"another key of the same name", note(text, impostor), refused(Errc::unknown_key)},
      {"signed by a witness alone", text + "\n" + witness.sign_line(text, from_unix(7)), refused(Errc::unknown_key)},
      {"signed by the log alone", text + "\n" + log.sign_line(text), refused(Errc::untrusted)},
      {"an extension line", note(text + "more\n", log), refused(Errc::malformed)},
      {"too large", std::string(70000, 'x'), refused(Errc::too_large)},
  };
  int wrong = 0;
  for (const HeadCase& c : cases) {
    const auto head = hallpass::verify_checkpoint(c.note, trust);
    wrong += wrong_if((head ? 0 : refused(head.error().code)) != c.expected, c.name);
  }
  return wrong;
}
void test_heads(void**) {
  assert_int_equal(wrong_heads(), 0);
}

int wrong_replacing() {
  const std::string text = hallpass::format_checkpoint({"o", 0, hallpass::empty_root()});
  const NoteSigner log = vector_signer("log", "o", NoteKeyType::ed25519);
  const NoteSigner a = vector_signer("w1", "a", NoteKeyType::cosignature);
  const NoteSigner b = vector_signer("w2", "a", NoteKeyType::cosignature);  // another key of the same name
  const std::string note = text + "\n" + log.sign_line(text);
  const std::string a1 = a.sign_line(text, from_unix(1)), a2 = a.sign_line(text, from_unix(2));
  const std::string b1 = b.sign_line(text, from_unix(1));
  using hallpass::with_signature;
  int wrong = wrong_if(with_signature(note, a1) != note + a1, "added");
  wrong += wrong_if(with_signature(note + a1, a2) != note + a2, "replaced");
  wrong += wrong_if(with_signature(note + a1 + b1, a2) != note + a2 + b1, "replaced where it stood");
  wrong += wrong_if(with_signature(note + a1, b1) != note + a1 + b1, "another key of the same name");
  wrong += wrong_if(with_signature(note + a1 + a1, a2) != note + a2, "doubled");
  wrong += wrong_if(with_signature(note, a1.substr(0, a1.size() - 1)) != note + a1, "without its newline");
  wrong += wrong_if(with_signature(text, log.sign_line(text)) != note, "the first one");
  return wrong;
}
void test_replacing(void**) {
  assert_int_equal(wrong_replacing(), 0);
}

int wrong_proofs() {
  const std::string text = read_vector("tlog/entry299.tlog-proof");
  const LogTrust trust = trust_of({"w1", "w2"}, 2);
  auto proof = hallpass::parse_proof(text);
  if (!proof) return wrong_if(true, proof.error().message.c_str());
  int wrong = wrong_if(hallpass::format_proof(*proof) != text, "the vector again");
  wrong += wrong_if(proof->index != 299 || proof->hashes.size() != 5, "the vector's fields");
  wrong += wrong_if(hallpass::verify_proof(*proof, trust).has_value(), "no entry");
  proof->entry = R"({"seq":299,"event":"approve"})";
  wrong += wrong_if(!hallpass::verify_proof(*proof, trust) || *hallpass::verify_proof(*proof, trust) != 299, "proven");
  const std::string whole = hallpass::format_proof(*proof);
  const auto again = hallpass::parse_proof(whole);
  wrong +=
      wrong_if(!again || again->entry != proof->entry || hallpass::format_proof(*again) != whole, "with its entry");
  const auto holds = [&](const std::string& changed) {
    const auto parsed = hallpass::parse_proof(changed);
    return parsed && hallpass::verify_proof(*parsed, trust).has_value();
  };
  // The lines of witnesses beyond the two have no say, so w2's and w1's must both stand: no byte can be another.
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    wrong += wrong_if(holds(changed), ("changed at " + std::to_string(i)).c_str());
    wrong += wrong_if(holds(whole.substr(0, i)), "cut off");
  }
  LogProof other = *proof;
  other.index = 298;
  wrong += wrong_if(hallpass::verify_proof(other, trust).has_value(), "another index");
  other = *proof;
  other.index = 300;
  wrong += wrong_if(hallpass::verify_proof(other, trust).has_value(), "an index beyond the log");
  wrong += wrong_if(hallpass::verify_proof(*proof, trust_of({"w3"}, 1)).error().code != Errc::untrusted, "the quorum");
  return wrong;
}
void test_proofs(void**) {
  assert_int_equal(wrong_proofs(), 0);
}

int wrong_proof_forms() {
  const std::string magic = "c2sp.org/tlog-proof@v1\n", hash = std::string(43, 'A') + "=\n";
  const std::pair<std::string, bool> cases[] = {
      {magic + "index 1\n" + hash + "\nnote\n", true},
      {magic + "index 1\n\nnote\n", true},
      {magic + "extra AAAA\nindex 0\n\nnote\n", true},
      {magic + "extra \nindex 0\n\nnote\n", false},
      {magic + "extra AAAB=\nindex 0\n\nnote\n", false},
      {magic + "index 01\n\nnote\n", false},
      {magic + "index -1\n\nnote\n", false},
      {magic + "index 281474976710656\n\nnote\n", false},
      {magic + "index 1\nextra AAAA\n\nnote\n", false},
      {magic + "index 1\nAAAA\n\nnote\n", false},
      {magic + "index 1\n" + hash, false},
      {magic + "index 1\n\n", false},
      {"c2sp.org/tlog-proof@v2\nindex 1\n\nnote\n", false},
      {"", false},
  };
  int wrong = 0;
  for (const auto& [text, good] : cases)
    wrong += wrong_if(hallpass::parse_proof(text).has_value() != good, text.c_str());
  std::string many = magic + "index 1\n";
  for (int i = 0; i < 64; ++i) many += hash;
  wrong += wrong_if(hallpass::parse_proof(many + "\nnote\n").has_value(), "64 hashes");
  const auto large = hallpass::parse_proof(magic + "index 1\n\n" + std::string(hallpass::kMaxProofBytes, 'x'));
  wrong += wrong_if(large || large.error().code != Errc::too_large, "too large");
  return wrong;
}
void test_proof_forms(void**) {
  assert_int_equal(wrong_proof_forms(), 0);
}

// A witness's request in the vectors: from 250 to 300, with what proves that the one follows from the other.
int wrong_request() {
  std::string rest = read_vector("tlog/add-checkpoint.request");
  std::vector<Digest> proof;
  const auto line = [&] {
    const std::string first = rest.substr(0, rest.find('\n'));
    rest.erase(0, first.size() + 1);
    return first;
  };
  int wrong = wrong_if(line() != "old 250", "the old size");
  for (std::string hash = line(); !hash.empty(); hash = line()) {
    const auto bytes = hallpass::base64_decode(hash).value();
    std::copy(bytes.begin(), bytes.end(), proof.emplace_back().bytes.begin());
  }
  const std::string old_note = read_vector("tlog/checkpoint.250");
  const LogTrust trust = trust_of({}, 0);
  const auto head = hallpass::verify_checkpoint(rest, trust), old = hallpass::verify_checkpoint(old_note, trust);
  if (!head || !old) return wrong + wrong_if(true, "the heads");
  wrong +=
      wrong_if(!hallpass::verify_consistency(250, 300, old->checkpoint.root, head->checkpoint.root, proof), "proof");
  return wrong;
}
void test_request(void**) {
  assert_int_equal(wrong_request(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_texts),  cmocka_unit_test(test_quorums),
                              cmocka_unit_test(test_heads),  cmocka_unit_test(test_replacing),
                              cmocka_unit_test(test_proofs), cmocka_unit_test(test_proof_forms),
                              cmocka_unit_test(test_request)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
