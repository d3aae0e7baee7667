#include "core/log/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/log/merkle.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxProofHashes = 63;

// Takes the line at the front, without its newline. nullopt: there is none that ends.
std::optional<std::string_view> take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

std::optional<std::uint64_t> read_decimal(std::string_view digits) {
  std::uint64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (digits.empty() || error != std::errc() || stop != end || (digits.front() == '0' && digits.size() > 1)) {
    return std::nullopt;
  }
  return number;
}

std::optional<Digest> read_hash(std::string_view base64) {
  const Result<Bytes> bytes = base64_decode(base64);
  Digest digest;
  if (!bytes || bytes->size() != digest.bytes.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), digest.bytes.begin());
  return digest;
}

// By key and not by name: a cosignature does not say by whom it is.
std::size_t distinct_keys(const std::vector<NoteSignature>& signatures) {
  std::set<std::array<std::uint8_t, 32>> keys;
  for (const NoteSignature& signature : signatures) keys.insert(signature.key.key);
  return keys.size();
}

std::string missing_witnesses(const LogTrust& trust, const std::vector<NoteSignature>& there) {
  std::string names;
  for (const NoteKey& witness : trust.witnesses) {
    const bool signed_it = std::any_of(there.begin(), there.end(), [&](const auto& s) { return s.key == witness; });
    if (!signed_it) names += (names.empty() ? "" : ", ") + printable(witness.name, 80);
  }
  return names;
}

// The name and the key id of a signature line: whose it is.
std::string signer_of(std::string_view line) {
  constexpr std::size_t kHeadCharacters = 8, kIdBytes = 4;  // base64 of 6 bytes, of which 4 are the id
  const std::size_t space = line.rfind(' ');
  if (space == std::string_view::npos) return std::string(line);
  const Result<Bytes> head = base64_decode(line.substr(space + 1, kHeadCharacters));
  if (!head || head->size() < kIdBytes) return std::string(line);
  return std::string(line.substr(0, space + 1)) + hex_encode(ByteView(*head).first(kIdBytes));
}

}  // namespace

std::string format_checkpoint(const Checkpoint& checkpoint) {
  return checkpoint.origin + "\n" + std::to_string(checkpoint.size) + "\n" + base64_encode(checkpoint.root.bytes) +
         "\n";
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  const auto origin = take_line(text);
  const auto size = take_line(text);
  const auto root = take_line(text);
  if (!origin || !size || !root || !text.empty() || origin->empty()) {
    return Error{Errc::malformed, "a checkpoint is three lines: origin, size, root"};
  }
  Checkpoint checkpoint;
  checkpoint.origin = *origin;
  const std::optional<std::uint64_t> number = read_decimal(*size);
  if (!number || *number > kMaxLogSize) {
    return Error{Errc::malformed, "the checkpoint's size is not a decimal number without leading zeros up to " +
                                      std::to_string(kMaxLogSize)};
  }
  checkpoint.size = *number;
  const std::optional<Digest> digest = read_hash(*root);
  if (!digest) return Error{Errc::malformed, "the checkpoint's root is not the base64 of 32 bytes"};
  checkpoint.root = *digest;
  return checkpoint;
}

Result<VerifiedCheckpoint> verify_checkpoint(std::string_view note, const LogTrust& trust) {
  std::vector<NoteKey> known{trust.log};
  known.insert(known.end(), trust.witnesses.begin(), trust.witnesses.end());
  Result<Note> opened = open_note(note, known);
  if (!opened) return Error{opened.error().code, "the checkpoint: " + opened.error().message};
  VerifiedCheckpoint verified;
  bool by_log = false;
  for (NoteSignature& signature : opened->signatures) {
    by_log = by_log || signature.key == trust.log;
    if (!(signature.key == trust.log)) verified.cosignatures.push_back(std::move(signature));
  }
  const std::string name = printable(trust.log.name, 80);
  if (!by_log) return Error{Errc::unknown_key, "the checkpoint is not signed by the log \"" + name + "\""};
  Result<Checkpoint> checkpoint = parse_checkpoint(opened->text);
  if (!checkpoint) return checkpoint.error();
  if (checkpoint->origin != trust.log.name) {
    return Error{Errc::mismatch,
                 "the checkpoint is of the log \"" + printable(checkpoint->origin, 80) + "\", not of \"" + name + "\""};
  }
  const std::size_t quorum = trust.quorum < 0 ? 0 : static_cast<std::size_t>(trust.quorum);
  const std::size_t there = distinct_keys(verified.cosignatures);
  if (there < quorum) {
    return Error{Errc::untrusted, "the checkpoint is cosigned by " + std::to_string(there) + " of the " +
                                      std::to_string(quorum) + " witnesses that it needs; not by " +
                                      missing_witnesses(trust, verified.cosignatures)};
  }
  std::vector<UnixTime> times;
  for (const NoteSignature& cosignature : verified.cosignatures) times.push_back(cosignature.at);
  std::sort(times.rbegin(), times.rend());
  if (quorum > 0) verified.seen_at = times[quorum - 1];
  verified.checkpoint = std::move(checkpoint).value();
  verified.note = note;
  return verified;
}

std::string with_signature(std::string_view note, std::string_view line) {
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  const std::size_t blank = note.rfind("\n\n");
  std::string_view rest = blank == std::string_view::npos ? std::string_view() : note.substr(blank + 2);
  std::string out(note.substr(0, note.size() - rest.size()));
  if (blank == std::string_view::npos) out += "\n";  // a text without signatures yet
  bool replaced = false;
  while (const auto old = take_line(rest)) {
    const bool same = signer_of(*old) == signer_of(line);
    if (same && replaced) continue;
    out += same ? line : *old;
    out += "\n";
    replaced = replaced || same;
  }
  if (!replaced) out += std::string(line) + "\n";
  return out;
}

std::string format_proof(const LogProof& proof) {
  std::string text = std::string(kProofMagic) + "\n";
  if (!proof.entry.empty()) text += "extra " + base64_encode(as_bytes(proof.entry)) + "\n";
  text += "index " + std::to_string(proof.index) + "\n";
  for (const Digest& hash : proof.hashes) text += base64_encode(hash.bytes) + "\n";
  return text + "\n" + proof.note;
}

Result<LogProof> parse_proof(std::string_view text) {
  constexpr std::string_view kExtra = "extra ", kIndex = "index ";
  if (text.size() > kMaxProofBytes) return Error{Errc::too_large, "the proof is over 192 KiB"};
  const Error malformed{Errc::malformed, "not a proof of a log's entry: its lines are " + std::string(kProofMagic) +
                                             ", extra, index, hashes, a blank one, and a checkpoint"};
  if (take_line(text) != kProofMagic) return malformed;
  LogProof proof;
  auto line = take_line(text);
  if (line && line->substr(0, kExtra.size()) == kExtra) {
    const Result<Bytes> entry = base64_decode(line->substr(kExtra.size()));
    if (!entry || entry->empty() || entry->size() > kMaxEntryBytes) return malformed;
    proof.entry = as_text(*entry);
    line = take_line(text);
  }
  if (!line || line->substr(0, kIndex.size()) != kIndex) return malformed;
  const std::optional<std::uint64_t> index = read_decimal(line->substr(kIndex.size()));
  if (!index || *index >= kMaxLogSize) return malformed;
  proof.index = *index;
  for (line = take_line(text); line && !line->empty(); line = take_line(text)) {
    const std::optional<Digest> hash = read_hash(*line);
    if (!hash || proof.hashes.size() == kMaxProofHashes) return malformed;
    proof.hashes.push_back(*hash);
  }
  if (!line || text.empty()) return malformed;
  proof.note = text;
  return proof;
}

Result<std::uint64_t> verify_proof(const LogProof& proof, const LogTrust& trust) {
  const Result<VerifiedCheckpoint> head = verify_checkpoint(proof.note, trust);
  if (!head) return head.error();
  const Checkpoint& checkpoint = head->checkpoint;
  if (!verify_inclusion(proof.index, checkpoint.size, leaf_hash(as_bytes(proof.entry)), proof.hashes,
                        checkpoint.root)) {
    return Error{Errc::mismatch, "the proof does not show that the entry is number " + std::to_string(proof.index) +
                                     " of the log of " + std::to_string(checkpoint.size) + " entries"};
  }
  return proof.index;
}

}  // namespace hallpass
