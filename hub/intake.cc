#include "hub/intake.h"

#include <algorithm>

#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass::hub {
namespace {

// After this long a revocation of a subject reaches no request that could still admit.
constexpr Seconds kSubjectRevocationMatters = kMaxRespondBy + kMaxNotBefore + kMaxDuration;

Refusal refuse(int http_status, std::string code, std::string message) {
  return {std::move(code), std::move(message), http_status};
}

std::string seconds_words(Seconds d) {
  return std::to_string(d.count()) + " s";
}

std::optional<Refusal> clock_fault(const Statement& s, UnixTime now) {
  const Seconds ahead = s.made_at() - now;
  if (ahead <= kMaxClockAhead) return std::nullopt;
  return refuse(422, "clock_ahead",
                "it says it was made at " + format_time(s.made_at()) + ", but here it is " + format_time(now) + ": " +
                    seconds_words(ahead) + " ahead, and over 120 s is refused; set the clock of the machine that " +
                    "signed it (timedatectl) and sign again");
}

bool stands_in_a_gate(std::string_view name, std::string_view runbook, const Policy& policy) {
  return std::any_of(policy.rules.begin(), policy.rules.end(), [&](const Rule& rule) {
    if (std::find(rule.runbooks.begin(), rule.runbooks.end(), runbook) == rule.runbooks.end()) return false;
    return std::any_of(rule.gates.begin(), rule.gates.end(),
                       [&](const Gate& gate) { return gate.members.count(std::string(name)) > 0; });
  });
}

}  // namespace

Refusal refusal_of(const Error& error) {
  switch (error.code) {
    case Errc::too_large:
      return refuse(413, "too_large", error.message);
    case Errc::unsupported:
      return refuse(400, "unsupported", error.message);
    case Errc::unknown_key:
      return refuse(403, "unknown_key", error.message + "; the admins enrol keys: hallpass-policy(5)");
    case Errc::bad_signature:
      return refuse(403, "bad_signature", error.message);
    case Errc::mismatch:
      return refuse(403, "mismatch", error.message);
    case Errc::untrusted:
      return refuse(403, "untrusted", error.message);
    case Errc::unavailable:
      return refuse(503, "unavailable", error.message);
    case Errc::malformed:
    case Errc::not_found:
      break;
  }
  return refuse(400, "malformed", error.message);
}

Verdict Intake::examine(const Statement& statement, UnixTime now, Moment moment) {
  const StatementId id = id_of(statement);
  if (registry_.find(id) != nullptr) return {Taking::known, id, {}};
  if (const KnownStatement* same = registry_.same_narrowing(statement))
    return {Taking::known, id_of(same->statement), {}};
  if (const auto wait = budgets_.charge(statement.signer(), narrows(statement), moment)) {
    return {Taking::refused, std::nullopt,
            refuse(429, "too_many",
                   statement.signer() + " has sent more than the hub takes from one person; try again in " +
                       seconds_words(*wait) + (narrows(statement) ? "" : ", revocations and denials go on at once"))};
  }
  if (auto fault = fault_of(statement, now)) return {Taking::refused, std::nullopt, *std::move(fault)};
  return {Taking::taken, std::nullopt, {}};
}

std::optional<Refusal> Intake::fault_of(const Statement& s, UnixTime now) const {
  if (s.envelope().size() > kMaxEntryBytes) {
    return refuse(413, "too_large",
                  "its envelope has " + std::to_string(s.envelope().size()) +
                      " bytes, and an entry of the log at most 65535; shorten its texts and lists");
  }
  if (auto fault = clock_fault(s, now)) return fault;
  if (s.request() != nullptr) return request_fault(s, now);
  if (s.decision() != nullptr) return decision_fault(s, now);
  return revocation_fault(s, now);
}

std::optional<Refusal> Intake::request_fault(const Statement& s, UnixTime now) const {
  const Request& request = *s.request();
  if (latest_end(request) <= now) {
    return refuse(422, "over",
                  "it could have admitted until " + format_time(latest_end(request)) + " at most, which is past; " +
                      "ask again: hallpass request " + request.runbook);
  }
  if (registry_.id_is_taken(s.payload_digest())) {
    return refuse(409, "id_taken", "another request has the id " + grant_id(s.payload_digest()) + "; ask again");
  }
  const Judgement j = registry_.judge_with(s.payload_digest(), s, now);
  if (j.state == GrantState::void_) {
    return refuse(422, "void",
                  "it cannot admit under policy version " + std::to_string(registry_.in_force()->policy->version) +
                      ": " + j.detail);
  }
  const auto limit = static_cast<std::size_t>(limits_.live_requests);
  if (registry_.live_requests(request.subject, now) >= limit) {
    return refuse(429, "too_many_live",
                  request.subject + " has " + std::to_string(limit) +
                      " live requests already, and one person may have no more; revoke those that are not needed "
                      "(hallpass list, hallpass revoke ID) or wait until they end");
  }
  return std::nullopt;
}

// What every statement about one grant must meet.
std::optional<Refusal> Intake::grant_fault(const Digest& request, const Statement& s, UnixTime now) const {
  const KnownGrant* grant = registry_.grant(request);
  if (grant == nullptr) {
    return refuse(404, "unknown_request",
                  "no request " + grant_id(request) + " is known here: it was never sent to this hub, or has been " +
                      "over for long; send the request first, it may stand in the same body");
  }
  if (grant->latest_end <= now) {
    return refuse(422, "over",
                  "the request " + grant_id(request) + " cannot admit since " + format_time(grant->latest_end));
  }
  const auto of_signer =
      std::count_if(grant->statements.begin(), grant->statements.end(), [&](const KnownStatement& known) {
        return known.statement.signer() == s.signer() && narrows(known.statement) == narrows(s);
      });
  if (static_cast<std::size_t>(of_signer) >= kMaxOfOnePerson) {
    return refuse(429, "too_many",
                  s.signer() + " has said " + std::to_string(kMaxOfOnePerson) + " times something about the request " +
                      grant_id(request) + ", which is enough");
  }
  return std::nullopt;
}

std::optional<Refusal> Intake::decision_fault(const Statement& s, UnixTime now) const {
  const Decision& decision = *s.decision();
  if (auto fault = grant_fault(decision.request, s, now)) return fault;
  const KnownGrant& grant = *registry_.grant(decision.request);
  if (decision.approve) return approval_fault(s, grant);
  if (!may_end(s.signer(), grant.request(), *registry_.in_force()->policy).empty()) return std::nullopt;
  return refuse(403, "not_allowed",
                s.signer() + " may not deny the request " + grant_id(grant.digest) + ": that is for " + grant.subject +
                    ", the admins, the rule's revokers and those in a gate");
}

std::optional<Refusal> Intake::approval_fault(const Statement& s, const KnownGrant& grant) const {
  const Decision& decision = *s.decision();
  const Request& request = grant.request();
  const Policy& policy = *registry_.in_force()->policy;
  const std::string id = grant_id(grant.digest);
  if (s.signer() == grant.subject) {
    return refuse(403, "not_allowed", s.signer() + " cannot approve " + id + ": nobody counts for his own request");
  }
  if (!stands_in_a_gate(s.signer(), request.runbook, policy)) {
    return refuse(403, "not_allowed",
                  s.signer() + " stands in no gate for " + request.runbook + ": the approval would never count");
  }
  if (decision.decided_at < request.requested_at) {
    return refuse(422, "clock_behind",
                  "it says it was decided at " + format_time(decision.decided_at) +
                      ", before the request was made at " + format_time(request.requested_at) +
                      ", so it would never count; set the clock of the machine " +
                      "that signed it (timedatectl) and approve again");
  }
  if (decision.decided_at > request.respond_by) {
    return refuse(422, "too_late",
                  "decided at " + format_time(decision.decided_at) + ", but the request " + id +
                      " could be answered until " + format_time(request.respond_by) + " only; it must be asked again");
  }
  if (decision.duration && *decision.duration > request.duration) {
    return refuse(422, "wider",
                  "it approves " + format_duration(*decision.duration) + ", but " + format_duration(request.duration) +
                      " were asked for; approve that or less");
  }
  if (grant.state == GrantState::denied || grant.state == GrantState::revoked) {
    return refuse(409, "closed",
                  "the request " + id + " is " + std::string(to_string(grant.state)) +
                      " already, which cannot be undone; it must be asked again");
  }
  return std::nullopt;
}

std::optional<Refusal> Intake::revocation_fault(const Statement& s, UnixTime now) const {
  const Revocation& revocation = *s.revocation();
  if (revocation.form != Revocation::Form::request) return broad_revocation_fault(s, now);
  if (auto fault = grant_fault(revocation.request, s, now)) return fault;
  const KnownGrant& grant = *registry_.grant(revocation.request);
  if (!may_end(s.signer(), grant.request(), *registry_.in_force()->policy).empty()) return std::nullopt;
  return refuse(403, "not_allowed",
                s.signer() + " may not revoke " + grant_id(grant.digest) + ": that is for " + grant.subject +
                    ", the admins, the rule's revokers and those in a gate");
}

std::optional<Refusal> Intake::broad_revocation_fault(const Statement& s, UnixTime now) const {
  const Revocation& revocation = *s.revocation();
  const Policy& policy = *registry_.in_force()->policy;
  const bool admin = policy.admins.count(s.signer()) > 0;
  if (revocation.form == Revocation::Form::subject) {
    if (!admin && s.signer() != revocation.subject) {
      return refuse(403, "not_allowed",
                    s.signer() + " may not revoke everything of " + printable(revocation.subject) + ": that is for " +
                        printable(revocation.subject) + " and the admins");
    }
    if (revocation.revoked_at + kSubjectRevocationMatters > now) return std::nullopt;
    return refuse(
        422, "over",
        "it ends what was asked before " + format_time(revocation.revoked_at) + ", all of which has ended by itself");
  }
  std::string owner;
  const bool enrolled = policy.find_fingerprint(revocation.key, &owner) != nullptr;
  if (admin || (enrolled && owner == s.signer())) return std::nullopt;
  return refuse(403, "not_allowed",
                s.signer() + " may not revoke the key " + printable(revocation.key) +
                    (enrolled ? ": that is for its owner and the admins" : ", which belongs to nobody in the policy"));
}

std::string clock_warning(const Statement& statement, UnixTime now) {
  const Seconds ahead = statement.made_at() - now;
  const std::string times = " (it says " + format_time(statement.made_at()) + ", here it is " + format_time(now) + ")";
  if (ahead > kClockWarning) {
    return "your clock is " + seconds_words(ahead) + " ahead of the hub's" + times + "; over 120 s is refused";
  }
  // Older ones were signed earlier and sent later: that says nothing about a clock.
  if (-ahead > kClockWarning && -ahead <= kMaxClockAhead) {
    return "if this was signed just now, your clock is " + seconds_words(-ahead) + " behind the hub's" + times;
  }
  return {};
}

}  // namespace hallpass::hub
