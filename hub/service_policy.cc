// Policies: those that the log holds at the start, and those that come.
#include <algorithm>

#include "core/dsse.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log/tiles.h"
#include "core/values/text.h"
#include "hub/batch.h"
#include "hub/landmarks.h"
#include "hub/service.h"

namespace hallpass::hub {
namespace {

constexpr Seconds kToldAgain{900};

struct PolicyBody {
  std::string toml, sig;
};

Result<PolicyBody> parse_body(const std::string& body) {
  const Result<Json> json = parse_json(body);
  if (!json) return Error{json.error().code, "the body is no JSON: " + json.error().message};
  JsonReader reader(*json, "a policy's body");
  PolicyBody out{reader.string("toml"), reader.string("sig")};
  if (const Status ok = reader.finish(); !ok) return ok.error();
  return out;
}

std::string all_errors(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    if (d.severity == Diagnostic::Severity::error) text += (text.empty() ? "" : "; ") + format_diagnostic("policy", d);
  }
  return text;
}

// One spelling, one line: what becomes the entry.
Result<std::string> canonical_signatures(const std::string& sig) {
  const Result<Envelope> envelope = parse_envelope(sig);
  if (!envelope) return Error{Errc::malformed, "sig: " + envelope.error().message};
  std::string entry = format_envelope(*envelope);
  if (entry.size() <= kMaxEntryBytes) return entry;
  return Error{Errc::too_large,
               "the signatures have " + std::to_string(entry.size()) +
                   " bytes, and an entry of the log at most 65535; leave out some that are not needed"};
}

// Has any of these admins signed this at all?
bool anyone_signed(const std::string& sig, const Admins& admins) {
  const Result<Envelope> envelope = parse_envelope(sig);
  if (!envelope) return false;
  const Bytes message = pre_authentication_encoding(envelope->payload_type, envelope->payload);
  return std::any_of(envelope->signatures.begin(), envelope->signatures.end(), [&](const EnvelopeSignature& entry) {
    const Result<Sshsig> signature = parse_sshsig(entry.signature);
    if (!signature) return false;
    return std::any_of(admins.people.begin(), admins.people.end(), [&](const auto& person) {
      return std::any_of(person.second.begin(), person.second.end(), [&](const PublicKey& key) {
        return key == signature->key && verify_sshsig(*signature, key, kPolicyNamespace, message, {});
      });
    });
  });
}

Answer policy_answer(const char* status, std::int64_t version, std::uint64_t index) {
  Answer answer;
  answer.status = 200;
  answer.body =
      to_json(JsonObject{{"status", status}, {"version", version}, {"index", static_cast<std::int64_t>(index)}}) + "\n";
  return answer;
}

}  // namespace

Result<PolicyInForce> Service::load(std::shared_ptr<const Policy> policy, std::uint64_t index) const {
  Result<ZoneTable> zones = seams_.zones(policy->zone_names());
  if (!zones) return Error{zones.error().code, "the policy's hours: " + zones.error().message};
  return PolicyInForce{std::move(policy), *std::move(zones), index};
}

// The log is our own, verified to its root: whoever signed was looked at when it was taken.
Status Service::restore_policy(std::uint64_t index, const std::string& toml, const std::string& sig) {
  std::vector<Diagnostic> diagnostics;
  const auto policy = parse_policy(toml, diagnostics);
  if (policy == nullptr) return Error{Errc::malformed, "a policy of the log is none: " + all_errors(diagnostics)};
  if (policy->fleet != trust_.fleet) {
    return Error{Errc::mismatch,
                 "the log's policy is of the fleet " + policy->fleet + ", trust.toml of " + trust_.fleet};
  }
  if (const auto signers = policy_signers(*policy, sig, admins_of(*policy), {}); !signers) return signers.error();
  if (registry_.has_policy() && policy->version < registry_.in_force()->policy->version) return Unit{};
  Result<PolicyInForce> next = load(policy, index);
  if (!next) return next.error();
  registry_.set_policy(*std::move(next), seams_.now());
  return Unit{};
}

void Service::restore_statement(std::uint64_t index, const std::string& entry) {
  if (registry_.has_policy()) {
    const auto opened = open_statement(entry, trust_.fleet, *registry_.in_force()->policy);
    if (opened) {
      registry_.add(*opened, index, seams_.now());
      // Perhaps a crash came before those were told whom it concerns; the queue knows what it has.
      const bool recent = opened->made_at() + kToldAgain > seams_.now();
      if (recent && seams_.notices != nullptr) to_tell_.emplace_back(*opened, index);
      return;
    }
  }
  unopened_.emplace_back(index, entry);
}

void Service::restored() {
  for (const auto& [index, entry] : unopened_) {
    if (!registry_.has_policy()) break;
    const auto opened = open_statement(entry, trust_.fleet, *registry_.in_force()->policy);
    if (opened) registry_.add(*opened, index, seams_.now());
  }
  unopened_.clear();
  registry_.forget_old(seams_.now());
  if (!to_tell_.empty()) workers_->give("(notices)", 0, false, [this] { tell_waiting(); });
}

void Service::post_policy(std::string body, Answered answered) {
  if (const std::string trouble = sequencer_->trouble(); !trouble.empty()) {
    return answered(error_answer(503, "stopped", trouble));
  }
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++bodies_;
  }
  workers_->give("(policies)", number, false,
                 [this, taken = std::move(body), done = std::move(answered)] { take_policy(taken, done); });
}

// Under the lock. nullopt: it may follow the policy in force.
std::optional<Answer> Service::policy_fault(const Policy& next, const std::string& sig) {
  const auto in_force = registry_.in_force();
  if (in_force != nullptr && next.digest == in_force->policy->digest) {
    return policy_answer("known", next.version, in_force->index);
  }
  if (policy_in_flight_) {
    return error_answer(503, "busy", "another policy is being taken in; send it again in a few seconds");
  }
  const Admins trusted = in_force != nullptr ? admins_of(*in_force->policy) : trust_.admins;
  const std::int64_t least = in_force != nullptr ? in_force->policy->version + 1 : 1;
  std::set<std::string> voided;
  if (in_force != nullptr) voided = registry_.voided();
  const Status accepted = accept_policy(next, sig, trusted, trust_.fleet, least, voided);
  if (accepted) return std::nullopt;
  const Refusal refusal = refusal_of(accepted.error());
  return error_answer(accepted.error().code == Errc::mismatch ? 409 : refusal.http_status, refusal.code,
                      refusal.message);
}

// Anybody may send a body, and a policy takes up to a second to parse: nobody's is not worth it.
Status Service::worth_parsing(const std::string& toml, const std::string& sig) const {
  const Result<PolicyClaim> claim = policy_claim(sig);
  if (!claim) return claim.error();
  if (claim->sha256 != sha256(toml)) {
    return Error{Errc::mismatch,
                 "the signatures are of another text: send the policy and its .sig as they were signed"};
  }
  std::shared_ptr<const PolicyInForce> in_force;
  {
    const std::lock_guard lock(mutex_);
    in_force = registry_.in_force();
  }
  if (in_force != nullptr && in_force->policy->digest == claim->sha256) return Unit{};
  if (anyone_signed(sig, in_force != nullptr ? admins_of(*in_force->policy) : trust_.admins)) return Unit{};
  return Error{Errc::untrusted, std::string("it is signed by none of the admins ") +
                                    (in_force != nullptr ? "of the policy in force" : "in trust.toml") +
                                    ": hallpass policy sign"};
}

void Service::take_policy(const std::string& body, const Answered& answered) {
  const auto refuse = [&](const Error& error) {
    const Refusal refusal = refusal_of(error);
    answered(error_answer(refusal.http_status, refusal.code, refusal.message));
  };
  Result<PolicyBody> parts = parse_body(body);
  if (!parts) return refuse(parts.error());
  Result<std::string> entry = canonical_signatures(parts->sig);
  if (!entry) return refuse(entry.error());
  if (const Status worth = worth_parsing(parts->toml, *entry); !worth) {
    const int status = worth.error().code == Errc::mismatch ? 409 : refusal_of(worth.error()).http_status;
    return answered(error_answer(status, refusal_of(worth.error()).code, worth.error().message));
  }
  std::vector<Diagnostic> diagnostics;
  auto policy = parse_policy(parts->toml, diagnostics);
  if (policy == nullptr) return answered(error_answer(422, "malformed", all_errors(diagnostics)));
  Result<PolicyInForce> next = load(policy, 0);
  if (!next) return refuse(next.error());

  std::unique_lock lock(mutex_);
  if (auto answer = policy_fault(*policy, *entry)) {
    lock.unlock();
    return answered(*std::move(answer));
  }
  policy_in_flight_ = true;
  sequencer_->append_policy(parts->toml, *entry, [this, next = *next, answered](const Result<std::uint64_t>& index) {
    PolicyInForce in_force = next;
    {
      const std::lock_guard again(mutex_);
      policy_in_flight_ = false;
      if (index) {
        in_force.index = *index;
        registry_.set_policy(in_force, seams_.now());
      }
    }
    if (!index) return answered(error_answer(503, "unavailable", index.error().message));
    seams_.log("policy version " + std::to_string(in_force.policy->version) + " is in force, entry " +
               std::to_string(*index));
    answered(policy_answer("taken", in_force.policy->version, *index));
  });
}

std::vector<std::string> Service::renewals(std::uint64_t live_from) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> entries;
  for (const Statement& s : registry_.key_revocations_before(live_from)) entries.push_back(s.envelope());
  return entries;
}

void Service::renewed(std::uint64_t first, const std::vector<std::string>& entries) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto opened = open_statement(entries[i], trust_.fleet, *registry_.in_force()->policy);
    if (opened) registry_.settle(id_of(*opened), first + i);
  }
}

}  // namespace hallpass::hub
