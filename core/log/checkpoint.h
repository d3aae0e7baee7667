// The head of a log (C2SP tlog-checkpoint): what its key signed, and when witnesses last saw it.
// docs/formats.md, "Checkpoints".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/note.h"
#include "core/values/digest.h"

namespace hallpass {

struct Checkpoint {
  std::string origin;  // the log's name, and its key's
  std::uint64_t size = 0;
  Digest root;
  bool operator==(const Checkpoint&) const = default;
};

std::string format_checkpoint(const Checkpoint& checkpoint);  // the three lines that are signed
// Strict; extension lines are refused. Error: malformed.
Result<Checkpoint> parse_checkpoint(std::string_view text);

// Which log is believed, and by whose word. [log] of trust.toml; hallpass-trust.toml(5).
struct LogTrust {
  NoteKey log;
  std::vector<NoteKey> witnesses;  // cosignature keys, distinct
  int quorum = 1;                  // distinct witnesses that must have cosigned; 0 only where there are none
  Seconds max_age{900};            // a cosignature older than this proves no freshness
  bool deny_when_stale = false;    // when_stale = "deny"
  bool require_log = false;
};

struct VerifiedCheckpoint {
  Checkpoint checkpoint;
  std::string note;                         // as it came
  std::vector<NoteSignature> cosignatures;  // by known witnesses
  // The time that a quorum of witnesses vouches for: the quorum-th newest of their times. Without witnesses: none.
  std::optional<UnixTime> seen_at;
};

// Errors: too_large, malformed, bad_signature, unknown_key (not by this log's key), mismatch (another origin),
// untrusted (fewer witnesses than the quorum; the sentence says how many and which are missing).
Result<VerifiedCheckpoint> verify_checkpoint(std::string_view note, const LogTrust& trust);

// A note with one more signature line, or with the line of the same key replaced.
std::string with_signature(std::string_view note, std::string_view line);

// A proof that one entry is in a log (C2SP tlog-proof), self-contained: `extra` holds the entry.
struct LogProof {
  std::string entry;
  std::uint64_t index = 0;
  std::vector<Digest> hashes;  // the leaf's sibling first
  std::string note;            // the checkpoint
};
inline constexpr std::size_t kMaxProofBytes = std::size_t{192} * 1024;
inline constexpr std::string_view kProofMagic = "c2sp.org/tlog-proof@v1";
std::string format_proof(const LogProof& proof);
Result<LogProof> parse_proof(std::string_view text);  // Errors: too_large, malformed
// The index of the entry, proven. Errors: those of verify_checkpoint; mismatch (the proof does not lead to the root).
Result<std::uint64_t> verify_proof(const LogProof& proof, const LogTrust& trust);

}  // namespace hallpass
