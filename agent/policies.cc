#include "agent/policies.h"

#include <algorithm>

#include "core/hash.h"
#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxTold = 1000;
constexpr Seconds kValidityWarning{30 * 24 * 3600};

// Some trusted admin's signature over exactly these payload bytes.
bool any_admin_signed(const Envelope& envelope, const Admins& admins, const std::set<std::string>& voided) {
  const Bytes message = pre_authentication_encoding(envelope.payload_type, envelope.payload);
  for (const EnvelopeSignature& s : envelope.signatures) {
    const Result<Sshsig> signature = parse_sshsig(s.signature);
    if (!signature || voided.count(signature->key.fingerprint()) != 0) continue;
    for (const auto& [name, keys] : admins.people) {
      const auto key = std::find(keys.begin(), keys.end(), signature->key);
      if (key != keys.end() && verify_sshsig(*signature, *key, kPolicyNamespace, message, {})) return true;
    }
  }
  return false;
}

std::string first_error(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& d : diagnostics) {
    if (d.severity == Diagnostic::Severity::error) return format_diagnostic("policy", d);
  }
  return "it cannot be read";
}

// A later language says so in its first words; everything else in it may be new as well.
bool is_later_format(std::string_view toml) {
  std::vector<Diagnostic> ignored;
  const std::optional<Toml> root = parse_toml(toml, ignored);
  const TomlTable* table = root ? root->as_table() : nullptr;
  if (table == nullptr) return false;
  return std::any_of(table->begin(), table->end(), [](const auto& member) {
    const std::int64_t* format = member.first == "format" ? member.second.as_int() : nullptr;
    return format != nullptr && *format != kPolicyFormat;
  });
}

}  // namespace

Policies::Policies(Trust trust, ZoneLoader zones, Journal& journal)
    : trust_(std::move(trust)), load_zones_(std::move(zones)), journal_(journal) {}

Admins Policies::trusted() const {
  return in_force_.policy ? admins_of(*in_force_.policy) : trust_.admins;
}

Status Policies::restore(const StoredPolicy& stored, std::int64_t version) {
  std::vector<Diagnostic> diagnostics;
  std::shared_ptr<const Policy> policy = parse_policy(stored.toml, diagnostics);
  if (!policy) return Error{Errc::malformed, "the ledger's policy cannot be read: " + first_error(diagnostics)};
  if (policy->version != version) return Error{Errc::malformed, "the ledger's policy has another version than it says"};
  if (policy->fleet != trust_.fleet) {
    return Error{Errc::mismatch, "trust.toml names the fleet " + trust_.fleet + ", but the ledger is of " +
                                     policy->fleet +
                                     ": if this host moved, stop the agent and move /var/lib/hallpass/ledger away"};
  }
  adopt(std::move(policy), stored.toml);
  return Unit{};
}

void Policies::adopt(std::shared_ptr<const Policy> next, std::string toml) {
  ZoneTable zones;
  for (const std::string& name : next->zone_names()) {
    Result<ZoneTable> loaded = load_zones_({name});
    if (loaded) {
      zones.merge(*loaded);
    } else {
      // Hours in a zone that is missing cover nothing: such rules admit nobody until tzdata is there.
      journal_.event(Event::zone_missing, "no time zone data for " + name + ": " + loaded.error().message,
                     {{"ZONE", name}});
    }
  }
  in_force_ = {std::move(next), std::move(toml), std::move(zones)};
  validity_told_ = {};
}

Result<Policies::Claim> Policies::verify_claim(const StoredPolicy& files, const std::set<std::string>& voided) const {
  const Result<Envelope> envelope = parse_envelope(files.sig);
  if (!envelope) return Error{envelope.error().code, "its signatures: " + envelope.error().message};
  if (envelope->payload_type != kPolicyPayloadType) return Error{Errc::mismatch, "its signatures are not of a policy"};
  if (!any_admin_signed(*envelope, trusted(), voided)) {
    return Error{Errc::untrusted, "no admin whom this host trusts signed it"};
  }
  const Result<Json> payload = parse_json(as_text(envelope->payload));
  if (!payload || payload->as_object() == nullptr) return Error{Errc::malformed, "its signatures cover no policy"};
  JsonReader reader(*payload, "a policy's signature");
  const std::string kind = reader.string("hallpass");
  Claim claim;
  claim.fleet = reader.string("fleet");
  claim.version = reader.integer("version", 1, INT64_C(1) << 53);
  const std::string digest = reader.string("sha256");
  if (Status read = reader.finish(); !read) return read.error();
  const Digest actual = sha256(files.toml);
  const std::string hex = hex_encode(actual.bytes);
  if (kind != "policy/1" || (digest != hex && digest != format_digest(actual))) {
    return Error{Errc::mismatch, "its signatures are of another file: sign it again"};
  }
  if (claim.fleet != trust_.fleet) {
    return Error{Errc::mismatch, "it is a policy of the fleet " + printable(claim.fleet) + ", not of " + trust_.fleet};
  }
  return claim;
}

Result<std::shared_ptr<const Policy>> Policies::check(const StoredPolicy& files, const std::set<std::string>& voided) {
  std::vector<Diagnostic> diagnostics;
  std::shared_ptr<const Policy> policy = parse_policy(files.toml, diagnostics);
  if (!policy) {
    if (is_later_format(files.toml)) {
      return Error{Errc::unsupported, "its format is not known to this version of hallpass: update this host"};
    }
    return Error{Errc::malformed, first_error(diagnostics)};
  }
  if (Status ok = accept_policy(*policy, files.sig, trusted(), trust_.fleet, least(), voided); !ok) return ok.error();
  return policy;
}

std::shared_ptr<const Policy> Policies::consider(const PolicyCandidate& candidate,
                                                 const std::set<std::string>& voided) {
  const StoredPolicy& files = candidate.files;
  if (in_force_.policy && sha256(files.toml) == in_force_.policy->digest) return nullptr;
  if (!candidate.fault.empty()) {
    refuse(candidate, Event::policy_refused, candidate.fault);
    return nullptr;
  }
  const Result<Claim> claim = verify_claim(files, voided);
  if (!claim) {
    refuse(candidate, Event::policy_refused, claim.error().message);
    return nullptr;
  }
  if (in_force_.policy && claim->version == version()) {
    refuse(candidate, Event::policy_conflict,
           "another policy of version " + std::to_string(claim->version) + " is in force already: raise the version");
    return nullptr;
  }
  if (claim->version < least()) {
    const std::string seen = std::to_string(in_force_.policy ? version() : least_);
    refuse(
        candidate, Event::policy_older,
        "version " + std::to_string(claim->version) + " is older than version " + seen + ", which this host has seen");
    return nullptr;
  }
  Result<std::shared_ptr<const Policy>> policy = check(files, voided);
  if (policy) return *policy;
  const bool later = policy.error().code == Errc::unsupported;
  refuse(candidate, later ? Event::policy_unsupported : Event::policy_refused, policy.error().message);
  return nullptr;
}

// Once for the same bytes and reason: the same files lie there every minute.
void Policies::refuse(const PolicyCandidate& candidate, Event event, const std::string& why) {
  if (told_.size() >= kMaxTold) told_.clear();
  if (!told_.insert(sha256(candidate.files.toml + candidate.files.sig + candidate.name + why)).second) return;
  journal_.event(event, candidate.name + " is not taken: " + why, {{"FILE", candidate.name}, {"WHY", why}});
}

void Policies::tell_validity(UnixTime now) {
  if (!in_force_.policy || now < in_force_.policy->valid_until - kValidityWarning) return;
  if (validity_told_ != UnixTime{} && now - validity_told_ < Seconds{24 * 3600}) {
    // The end of validity itself is told when it comes, not a day later.
    const UnixTime end = in_force_.policy->valid_until;
    if (now < end || validity_told_ >= end) return;
  }
  validity_told_ = now;
  const UnixTime end = in_force_.policy->valid_until;
  const EventFields fields = {{"POLICY", std::to_string(in_force_.policy->version)}, {"EXPIRES", format_time(end)}};
  if (now >= end) {
    journal_.event(Event::policy_expired, "the policy was valid until " + format_time(end) + ": nobody is admitted",
                   fields);
  } else {
    journal_.event(Event::policy_expiring,
                   "the policy is valid until " + format_time(end) + " (" + format_duration(end - now) +
                       " left): sign a newer one",
                   fields);
  }
}

}  // namespace hallpass
