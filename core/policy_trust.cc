#include "core/policy_trust.h"

#include <algorithm>

#include "core/dsse.h"
#include "core/json.h"
#include "core/log/log_trust.h"
#include "core/policy_parse.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::string_view kPolicyTag = "policy/1";
constexpr std::int64_t kMaxVersion = 1'000'000'000;

// What an envelope of policy@hallpass says it is about.
struct Claim {
  std::string fleet;
  std::int64_t version = 0;
  Digest digest;
};

Error malformed(std::string why) {
  return {Errc::malformed, "the policy's signature file: " + std::move(why)};
}

Result<Claim> read_claim(const Envelope& envelope) {
  if (envelope.payload_type != kPolicyPayloadType) {
    return Error{Errc::mismatch,
                 "the signature file holds " + in_quotes(envelope.payload_type) + ", not a policy's signatures"};
  }
  const auto json = parse_json(as_text(envelope.payload));
  if (!json) return malformed(json.error().message);
  JsonReader reader(*json, "a policy statement");
  const std::string tag = reader.string("hallpass");
  Claim claim;
  claim.fleet = reader.string("fleet");
  claim.version = reader.integer("version", 1, kMaxVersion);
  const std::string hex = reader.string("sha256");
  if (const Status done = reader.finish(); !done) return malformed(done.error().message);
  if (tag != kPolicyTag)
    return Error{Errc::unsupported,
                 "the signature file is a " + in_quotes(tag) + "; this program knows " + std::string(kPolicyTag)};
  const auto digest = parse_digest("sha256:" + hex);
  if (!digest) return malformed("sha256 is not 64 small hexadecimal digits");
  claim.digest = *digest;
  return claim;
}

struct AdminKey {
  const std::string* owner;
  const PublicKey* key;
};

std::optional<AdminKey> find_admin_key(const PublicKey& key, const Admins& admins) {
  for (const auto& [name, keys] : admins.people) {
    for (const PublicKey& enrolled : keys) {
      if (enrolled == key) return AdminKey{&name, &enrolled};
    }
  }
  return std::nullopt;
}

// The admin who made this signature, or nullptr: a bad or foreign one is skipped, for anybody may add lines to a file.
// A security key must have been touched, always: an admin's statement is the last thing that malware on a laptop should
// get for free.
const std::string* signer_of(const EnvelopeSignature& entry, ByteView message, const Admins& admins,
                             const std::set<std::string>& voided) {
  const auto signature = parse_sshsig(entry.signature);
  if (!signature || signature->hash != "sha512") return nullptr;
  const auto admin = find_admin_key(signature->key, admins);
  if (!admin || voided.count(admin->key->fingerprint()) != 0) return nullptr;
  const auto presence = verify_sshsig(*signature, *admin->key, kPolicyNamespace, message, {});
  if (!presence) return nullptr;
  return admin->owner;
}

std::string join(const std::set<std::string>& names, const char* none) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? none : text;
}

// Order of people and keys does not matter; the comment of a key does not either.
bool same_admins(const Admins& a, const Admins& b) {
  if (a.threshold != b.threshold || a.people.size() != b.people.size()) return false;
  return std::all_of(a.people.begin(), a.people.end(), [&](const auto& person) {
    const auto other = b.people.find(person.first);
    if (other == b.people.end()) return false;
    const auto prints = [](const std::vector<PublicKey>& keys) {
      std::set<std::string> set;
      for (const PublicKey& key : keys) set.insert(key.fingerprint());
      return set;
    };
    return prints(person.second) == prints(other->second);
  });
}

Status check_threshold(const Policy& next, std::string_view sig, const Admins& admins, const char* whose,
                       const std::set<std::string>& voided) {
  if (admins.threshold < 1 || admins.people.empty()) {
    return Error{Errc::untrusted, std::string("there are no ") + whose + " admins, so nobody can sign a policy"};
  }
  const auto signers = policy_signers(next, sig, admins, voided);
  if (!signers) return signers.error();
  const auto missing = admins.threshold - static_cast<int>(signers->size());
  if (missing <= 0) return Unit{};
  std::set<std::string> others;
  for (const auto& [name, keys] : admins.people) {
    if (signers->count(name) == 0) others.insert(name);
  }
  return Error{Errc::untrusted, "policy version " + std::to_string(next.version) + " is signed by " +
                                    join(*signers, "none") + " of the " + whose + " admins; " +
                                    std::to_string(missing) + " more must sign (" + join(others, "nobody is left") +
                                    "): hallpass policy sign"};
}

void parse_trusted_person(TomlReader& people, const std::string& name, Trust& trust,
                          std::map<std::string, std::string>& owners) {
  const LinedStrings lines = people.strings(name);
  const Toml* value = people.optional(name);
  if (!is_name(name)) {
    people.error(value->line(), "admin " + in_quotes(name) + " is not a name",
                 "begin with a small letter or _, then small letters, digits, - and _, at most 32 characters");
    return;
  }
  std::vector<PublicKey>& keys = trust.admins.people[name];
  if (value->as_array() != nullptr && lines.empty()) {
    people.error(value->line(), "admin " + name + " has no keys",
                 "write: " + name + " = [\"ssh-ed25519 AAAA... " + name + "\"]");
  }
  for (const auto& [text, line] : lines) {
    auto key = PublicKey::from_line(text);
    if (!key) {
      people.error(line, "a key of " + name + " cannot be used: " + key.error().message,
                   "copy the whole line of the .pub file: \"ssh-ed25519 AAAA... comment\"");
    } else if (const auto [it, fresh] = owners.try_emplace(key->fingerprint(), name); !fresh) {
      people.error(line, "this key of " + name + " is listed for " + it->second + " already", "list each key once");
    } else {
      keys.push_back(*std::move(key));
    }
  }
}

void parse_trusted_admins(const Toml& value, Trust& trust, std::vector<Diagnostic>& out) {
  constexpr std::size_t kMaxAdmins = 100;
  TomlReader table(value, "[admins]", out);
  const Toml* threshold = table.required("threshold", "threshold = 2");
  trust.admins.threshold = static_cast<int>(table.integer("threshold", 1, kMaxAdmins).value_or(0));
  const Toml* people = table.required("people", "[admins.people] ana = [\"ssh-ed25519 AAAA... ana\"]");
  table.finish();
  if (people == nullptr) return;
  TomlReader reader(*people, "[admins.people]", out);
  if (people->as_table() == nullptr) return;
  if (people->as_table()->size() > kMaxAdmins) {
    reader.error(people->line(), "[admins.people] names over " + std::to_string(kMaxAdmins) + " admins", "name fewer");
    return;
  }
  std::map<std::string, std::string> owners;
  for (const auto& [name, keys] : *people->as_table()) parse_trusted_person(reader, name, trust, owners);
  const auto count = people->as_table()->size();
  if (threshold != nullptr && trust.admins.threshold > static_cast<int>(count)) {
    table.error(threshold->line(),
                "threshold = " + std::to_string(trust.admins.threshold) + " of " + std::to_string(count) +
                    " admins can never be met",
                "write " + std::to_string(std::max<std::size_t>(1, count)) + " or less, or add admins");
  }
}

}  // namespace

Admins admins_of(const Policy& policy) {
  Admins admins;
  admins.threshold = policy.admin_threshold;
  for (const std::string& name : policy.admins) {
    const auto person = policy.people.find(name);
    if (person == policy.people.end()) continue;
    std::vector<PublicKey>& keys = admins.people[name];
    for (const EnrolledKey& key : person->second.keys) keys.push_back(key.key);
  }
  return admins;
}

std::optional<Trust> parse_trust(std::string_view toml, std::vector<Diagnostic>& out) {
  std::vector<Diagnostic> found;
  Trust trust;
  if (const auto root = parse_toml(toml, found)) {
    TomlReader table(*root, "trust.toml", found);
    const Toml* fleet = table.required("fleet", "fleet = \"acme-prod\"");
    trust.fleet = table.string("fleet").value_or("");
    if (fleet != nullptr && fleet->as_string() != nullptr && !is_name(trust.fleet)) {
      table.error(fleet->line(), "fleet " + in_quotes(trust.fleet) + " is not a name",
                  "begin with a small letter, then small letters, digits, - and _ (at most 32), such as \"acme-prod\"");
    }
    if (const Toml* admins = table.required("admins", "[admins] threshold = 2"))
      parse_trusted_admins(*admins, trust, found);
    if (const Toml* log = table.optional("log")) trust.log = parse_log_trust(*log, found);
    table.finish();
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return a.line < b.line; });
  const bool refused = has_errors(found);
  out.insert(out.end(), found.begin(), found.end());
  if (refused) return std::nullopt;
  return trust;
}

std::string policy_payload(std::string_view fleet, std::int64_t version, const Digest& digest) {
  return to_json(JsonObject{
      {"hallpass", kPolicyTag}, {"fleet", fleet}, {"version", version}, {"sha256", hex_encode(digest.bytes)}});
}

Result<std::set<std::string>> policy_signers(const Policy& policy, std::string_view sig, const Admins& admins,
                                             const std::set<std::string>& voided) {
  const auto envelope = parse_envelope(sig);
  if (!envelope) return malformed(envelope.error().message);
  const auto claim = read_claim(*envelope);
  if (!claim) return claim.error();
  if (claim->fleet != policy.fleet || claim->version != policy.version || claim->digest != policy.digest) {
    return Error{Errc::mismatch,
                 "the signature file is about version " + std::to_string(claim->version) + " of fleet " +
                     in_quotes(claim->fleet) + ", sha256 " + hex_encode(claim->digest.bytes).substr(0, 16) +
                     "..., not about this file (version " + std::to_string(policy.version) + " of fleet " +
                     in_quotes(policy.fleet) + ", sha256 " + hex_encode(policy.digest.bytes).substr(0, 16) + "...)"};
  }
  const Bytes message = pre_authentication_encoding(envelope->payload_type, envelope->payload);
  std::set<std::string> signers;
  for (const EnvelopeSignature& entry : envelope->signatures) {
    if (const std::string* name = signer_of(entry, message, admins, voided)) signers.insert(*name);
  }
  return signers;
}

Status accept_policy(const Policy& next, std::string_view sig, const Admins& trusted, std::string_view fleet,
                     std::int64_t least_version, const std::set<std::string>& voided) {
  if (next.format != kPolicyFormat) {
    return Error{Errc::unsupported,
                 "policy format " + std::to_string(next.format) + " is not known; install a newer hallpass"};
  }
  if (next.fleet != fleet) {
    return Error{Errc::mismatch,
                 "the policy is for fleet " + in_quotes(next.fleet) + ", this host belongs to " + in_quotes(fleet)};
  }
  if (next.version < least_version) {
    return Error{Errc::mismatch, "policy version " + std::to_string(next.version) + " is older than " +
                                     std::to_string(least_version) + ", and versions only go up"};
  }
  if (const Status done = check_threshold(next, sig, trusted, "trusted", voided); !done) return done;
  const Admins own = admins_of(next);
  if (same_admins(trusted, own)) return Unit{};
  return check_threshold(next, sig, own, "new", voided);
}

}  // namespace hallpass
