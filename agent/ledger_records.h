// How the ledger's records look inside LMDB: docs/formats.md, "Ledger".
//
// key            value
// statements     payload digest (32), SHA-256 fingerprint text      the envelope, one line
// groups         request digest (32), statements' key               "q" request, "d" decision, "r" revocation
// grants         request digest (32)                                JSON: how it ended
// policies       version, 8 bytes big-endian                        length of the TOML (4, big-endian), TOML,
// signatures voided         fingerprint text                                   empty
// logged         statements' key                                    its newest index in the log, 8 bytes big-endian
// state          "state", "log"                                     JSON
// Every value begins with 8 bytes: SHA-256 over database name, NUL, key, NUL, rest of the value, cut.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/ledger.h"

namespace hallpass::ledger_records {

enum Database { kStatements, kGroups, kGrants, kPolicies, kVoided, kState, kLogged, kDatabaseCount };
inline constexpr const char* kNames[kDatabaseCount] = {"statements", "groups", "grants", "policies",
                                                       "voided",     "state",  "logged"};
inline constexpr std::string_view kStateKey = "state";
inline constexpr std::string_view kLogKey = "log";
inline constexpr std::int64_t kLedgerFormat = 1;

std::string seal(int database, std::string_view key, std::string_view value);
// The value without its checksum; nullopt when it does not match.
std::optional<std::string_view> unseal(int database, std::string_view key, std::string_view sealed);

std::string digest_key(const Digest& d);
std::string statement_key(const Digest& payload, std::string_view fingerprint);
std::optional<Digest> key_digest(std::string_view key);  // of its first 32 bytes
std::string version_key(std::int64_t version);
std::string number(std::uint64_t value);  // 8 bytes, big-endian
std::optional<std::uint64_t> number(std::string_view bytes);

std::string encode(const Terminal& t);
std::optional<Terminal> decode_terminal(std::string_view text);
std::string encode(const LedgerState& s);
std::optional<LedgerState> decode_state(std::string_view text);
std::string encode(const StoredPolicy& p);
std::optional<StoredPolicy> decode_policy(std::string_view bytes);

}  // namespace hallpass::ledger_records
