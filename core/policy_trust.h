// Which policy a host believes: signatures by a threshold of the admins it already trusts, versions that only go up.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/policy.h"

namespace hallpass {

inline constexpr std::string_view kPolicyPayloadType = "application/vnd.hallpass.policy.v1+json";
inline constexpr std::string_view kPolicyNamespace = "policy@hallpass";

// Admins with their keys, and how many of them must sign: from trust.toml, or of the policy in force.
struct Admins {
  std::map<std::string, std::vector<PublicKey>> people;
  int threshold = 0;
};
Admins admins_of(const Policy& policy);

// trust.toml: what a host believes before it has seen any policy.
struct Trust {
  std::string fleet;
  Admins admins;
  std::optional<LogTrust> log;  // nullopt: statements come from directories alone
};
std::optional<Trust> parse_trust(std::string_view toml, std::vector<Diagnostic>& out);

// {"hallpass":"policy/1","fleet":"…","version":7,"sha256":"…"}
std::string policy_payload(std::string_view fleet, std::int64_t version, const Digest& digest);

// The admins (by name) whose signatures in `sig` (the .sig file's bytes) cover this policy text. A signature by another
// key is skipped; several signatures by one person count once. `voided`: fingerprints of keys that no longer sign.
// Errors: malformed, mismatch (the envelope is about another file, version or fleet).
Result<std::set<std::string>> policy_signers(const Policy& policy, std::string_view sig, const Admins& admins,
                                             const std::set<std::string>& voided);

// May `next` follow? Needs a threshold of `trusted`; where the admins, their keys or the threshold differ, also of its
// own. The fleet must be `fleet`, the version greater than `least_version` - 1. Errors: untrusted (says whose
// signatures are missing), mismatch, malformed, unsupported (format).
Status accept_policy(const Policy& next, std::string_view sig, const Admins& trusted, std::string_view fleet,
                     std::int64_t least_version, const std::set<std::string>& voided);

}  // namespace hallpass
