// What of a log is text: notes, checkpoints, keys, proofs, positions. What parses is spelled in one way, and a note
// opens only as its key signed it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "core/log/checkpoint.h"
#include "core/log/follower.h"
#include "tests/unit/core/log/log_fixture.h"

namespace {

using hallpass::LogTrust;
using hallpass::NoteKeyType;
using hallpass::testing::vector_signer;

void require(bool holds) {
  if (!holds) std::abort();
}

const LogTrust& vector_trust() {
  static const LogTrust trust = [] {
    LogTrust t;
    t.log = vector_signer("log", hallpass::testing::kOrigin, NoteKeyType::ed25519).verifier();
    t.witnesses = {vector_signer("w1", "w1.example.org", NoteKeyType::cosignature).verifier(),
                   vector_signer("w2", "w2.example.net", NoteKeyType::cosignature).verifier()};
    return t;
  }();
  return trust;
}

void check_note(std::string_view text) {
  const LogTrust& trust = vector_trust();
  const std::vector<hallpass::NoteKey> keys = {trust.log, trust.witnesses[0], trust.witnesses[1]};
  const auto note = hallpass::open_note(text, keys);
  if (!note) return require(!note.error().message.empty());
  require(text.substr(0, note->text.size()) == note->text && !note->signatures.empty());
  const auto checkpoint = hallpass::verify_checkpoint(text, trust);
  if (!checkpoint) return;
  require(hallpass::format_checkpoint(checkpoint->checkpoint) == note->text && checkpoint->seen_at.has_value());
  // Only these two were ever signed with the vectors' keys.
  require(checkpoint->checkpoint.size == 300 || checkpoint->checkpoint.size == 250);
  const auto signer = vector_signer("w3", "w3.example.com", NoteKeyType::cosignature);
  const std::string more = hallpass::with_signature(text, signer.sign_line(note->text, hallpass::from_unix(1)));
  const auto lines = std::count(more.begin() + static_cast<std::ptrdiff_t>(note->text.size() + 1), more.end(), '\n');
  const bool fits = more.size() <= hallpass::kMaxNoteBytes && lines <= 100;
  require(hallpass::verify_checkpoint(more, trust).has_value() == fits);
}

void check_texts(std::string_view text) {
  if (const auto checkpoint = hallpass::parse_checkpoint(text)) {
    require(hallpass::format_checkpoint(*checkpoint) == text);
  }
  if (const auto key = hallpass::NoteKey::parse(text)) require(key->text() == text);
  if (const auto signer = hallpass::NoteSigner::parse(text)) require(signer->text() == text);
  if (const auto proof = hallpass::parse_proof(text)) {
    require(hallpass::format_proof(*proof) == text);
    if (const auto index = hallpass::verify_proof(*proof, vector_trust())) require(*index == 299);
  }
  if (const auto position = hallpass::parse_position(text)) {
    const std::string kept = format_position(*position);
    const auto again = hallpass::parse_position(kept);
    require(again && format_position(*again) == kept);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hallpass::as_text({data, size});
  check_note(text);
  check_texts(text);
  return 0;
}
