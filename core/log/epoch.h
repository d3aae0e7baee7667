// Entries of the log that are not people's statements: epochs, by which new readers skip history, and policies.
// docs/formats.md, "The log's entries".
//
// Every entry is one DSSE envelope in canonical form: a statement, a policy's signatures (the text lies beside the log
// under its SHA-256), or an epoch, signed by the log's own key:
//   {"hallpass":"epoch/1","fleet":"acme-prod","log":"<origin>","live_from":1024,"policy":7,"at":"…"}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/log/note.h"

namespace hallpass {

inline constexpr std::string_view kEpochPayloadType = "application/vnd.hallpass.epoch.v1+json";
// How long after it was put into the log a statement can still matter: not_before (7 days ahead at most) and the
// longest window (7 days), and a day for clocks. `live_from` of an epoch is at least so old.
inline constexpr Seconds kLogHorizon{15 * 24 * 3600};

struct Epoch {
  std::string fleet;
  std::string log;              // origin
  std::uint64_t live_from = 0;  // entries before it matter to nobody; at most its own index
  std::uint64_t policy = 0;     // index of the entry of the policy in force
  UnixTime at{};
  bool operator==(const Epoch&) const = default;
};

std::string format_epoch(const Epoch& epoch, const NoteSigner& log_key);  // the envelope
// Is this entry an epoch at all? By its payloadType, nothing verified.
enum class EntryKind { statement, policy, epoch, unknown };
EntryKind entry_kind(std::string_view entry);
// Errors: malformed, bad_signature, mismatch (fleet or log).
Result<Epoch> open_epoch(std::string_view entry, std::string_view fleet, const NoteKey& log_key);

// The hint beside the checkpoint (`epoch`), which nobody signs and nobody believes: where to begin reading.
//   {"index":5120,"live_from":1024,"policy":7}
struct EpochHint {
  std::uint64_t index = 0, live_from = 0, policy = 0;
};
inline constexpr std::string_view kEpochHintPath = "epoch";
inline constexpr std::size_t kMaxEpochHintBytes = 512;
std::string format_epoch_hint(const EpochHint& hint);
Result<EpochHint> parse_epoch_hint(std::string_view text);

// The list of policies beside the checkpoint (`policies`), ascending by version; a hint too: policies prove themselves.
//   [{"version":7,"sha256":"<hex>","index":12}]
struct PolicyHint {
  std::int64_t version = 0;
  Digest sha256;
  std::uint64_t index = 0;
};
inline constexpr std::string_view kPolicyHintsPath = "policies";
inline constexpr std::size_t kMaxPolicyHintsBytes = std::size_t{1024} * 1024;
std::string format_policy_hints(const std::vector<PolicyHint>& hints);
Result<std::vector<PolicyHint>> parse_policy_hints(std::string_view text);
std::string policy_text_path(const Digest& sha256);       // "policy/<hex>.toml"
std::string policy_signature_path(const Digest& sha256);  // "policy/<hex>.sig", the same bytes as its entry

}  // namespace hallpass
