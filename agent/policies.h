// Which policy is in force, and which of those lying in the directories may follow it.
//
// A policy's text is not parsed before one admin whom this host trusts has signed exactly those bytes: TOML from
// strangers never reaches the parser. Versions only go up; a host that was away walks policy-N.toml in order, each
// accepted by the admins of the one before.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/journal.h"
#include "agent/ledger.h"
#include "core/policy_trust.h"
#include "core/zones.h"

namespace hallpass {

inline constexpr std::size_t kMaxPolicySignatureBytes = kMaxEnvelopeBytes;

struct PolicyInForce {
  std::shared_ptr<const Policy> policy;  // nullptr: none yet
  std::string toml;                      // as it was signed
  ZoneTable zones;
};

// Two files as they lie in a directory.
struct PolicyCandidate {
  std::string name;  // for messages: "/srv/hallpass/policy-7.toml"
  StoredPolicy files;
  std::string fault;  // why they could not be read; empty: they were
};

// All candidates in the directories (open descriptors with their paths), ascending by version as the file names tell,
// policy.toml last. Those whose name tells a version of at most `above` are left out. `each` returns false to stop.
void read_policy_files(int directory_fd, const std::string& path, std::int64_t above,
                       const std::function<bool(PolicyCandidate&&)>& each);

class Policies {
 public:
  // zones: how to load zone data by name (core/edge/tzdb.h); a seam for tests.
  using ZoneLoader = std::function<Result<ZoneTable>(const std::set<std::string>&)>;
  Policies(Trust trust, ZoneLoader zones, Journal& journal);

  // What the ledger says is in force. Errors: malformed, mismatch (another fleet).
  Status restore(const StoredPolicy& stored, std::int64_t version);
  const PolicyInForce& in_force() const { return in_force_; }
  std::int64_t version() const { return in_force_.policy ? in_force_.policy->version : 0; }
  // No version below this is accepted, though none is in force (after a ledger was given up).
  void set_least_version(std::int64_t version) { least_ = version; }

  // Would this one follow? The policy, or nullptr: nothing to do, or refused (told once, by name and reason).
  std::shared_ptr<const Policy> consider(const PolicyCandidate& candidate, const std::set<std::string>& voided);
  // None is in force any more: the ledger that said so was given up.
  void forget() { in_force_ = {}; }
  // After it was recorded.
  void adopt(std::shared_ptr<const Policy> next, std::string toml);
  // True, once a day, while `now` is within 30 days of the end of validity; tells it.
  void tell_validity(UnixTime now);

 private:
  struct Claim {
    std::string fleet;
    std::int64_t version = 0;
  };
  Result<Claim> verify_claim(const StoredPolicy& files, const std::set<std::string>& voided) const;
  Result<std::shared_ptr<const Policy>> check(const StoredPolicy& files, const std::set<std::string>& voided);
  Admins trusted() const;
  std::int64_t least() const { return in_force_.policy ? version() + 1 : least_; }
  void refuse(const PolicyCandidate& candidate, Event event, const std::string& why);

  Trust trust_;
  ZoneLoader load_zones_;
  Journal& journal_;
  PolicyInForce in_force_;
  std::int64_t least_ = 1;
  std::set<Digest> told_;
  UnixTime validity_told_{};
};

}  // namespace hallpass
