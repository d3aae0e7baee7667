#include "core/judge.h"

#include <algorithm>

#include "core/judging.h"

namespace hallpass {
namespace judging {

bool signed_by_owner(const Statement& s, const Policy& policy) {
  const std::optional<KeyRing::Owner> owner = policy.find(s.key());
  if (!owner || owner->name != s.signer()) return false;
  return s.origin().empty() || contains(policy.webauthn_origins_, s.origin());
}

bool in_a_gate(std::string_view person, std::string_view runbook, const Policy& policy) {
  return std::any_of(policy.rules.begin(), policy.rules.end(), [&](const Rule& rule) {
    return names_runbook(rule, runbook) && std::any_of(rule.gates.begin(), rule.gates.end(), [&](const Gate& gate) {
             return contains(gate.members, person);
           });
  });
}

// Step 1. The same request may be signed with several keys of the subject: one that counts is enough.
bool Judging::find_request() {
  bool signature_counts = false;
  for (const Statement& s : statements_) {
    if (s.request() == nullptr || s.payload_digest() != judgement_.request) continue;
    request_ = s.request();
    if (!counts(s)) continue;
    signature_counts = true;
    request_presence_ = std::max(request_presence_, s.presence());
  }
  if (request_ == nullptr) return fail(GrantState::void_, Step::signature, "no such request is known here");
  judgement_.subject = request_->subject;
  judgement_.runbook = request_->runbook;
  if (request_->fleet != policy_.fleet) {
    return fail(GrantState::void_, Step::signature, "the request belongs to the fleet " + request_->fleet);
  }
  if (policy_.people.find(request_->subject) == policy_.people.end()) {
    return fail(GrantState::void_, Step::signature, request_->subject + " is not a person in the policy");
  }
  if (!signature_counts) {
    return fail(GrantState::void_, Step::signature,
                "the key that signed the request is no longer one of " + request_->subject + ", or it was voided");
  }
  if (request_->requested_at > now_ + kMaxClockAhead) {
    return fail(
        GrantState::pending, Step::not_yet,
        "the request says that it is made at " + format_time(request_->requested_at) + ", which has not come yet");
  }
  return true;
}

// Step 2.
bool Judging::check_runbook() {
  const auto found = policy_.runbooks.find(request_->runbook);
  if (found == policy_.runbooks.end()) {
    return fail(GrantState::void_, Step::runbook, "the policy has no runbook " + request_->runbook);
  }
  runbook_ = &found->second;
  judgement_.account = policy_.account_for(*runbook_, policy_.people.find(request_->subject)->second);
  if (runbook_->digest != request_->runbook_digest) {
    return fail(GrantState::void_, Step::runbook,
                "the runbook " + request_->runbook + " is not what it was when this was asked for");
  }
  return true;
}

// Step 3, but for the rules' own longest durations.
bool Judging::check_limits() {
  Result<std::vector<Command>> commands = fill_commands(*runbook_, request_->parameters);
  if (!commands) return fail(GrantState::void_, Step::parameters, commands.error().message);
  judgement_.commands = std::move(*commands);
  if (request_->duration > runbook_->max_duration) {
    return fail(GrantState::void_, Step::duration,
                "asks for " + format_duration(request_->duration) + ", and " + request_->runbook + " lasts " +
                    format_duration(runbook_->max_duration) + " at most");
  }
  const Seconds response = request_->respond_by - request_->requested_at;
  if (response < Seconds{0} || response > kMaxRespondBy) {
    return fail(GrantState::void_, Step::respond_by, "respond_by must lie within 24h after requested_at");
  }
  if (request_->not_before && *request_->not_before > request_->requested_at + kMaxNotBefore) {
    return fail(GrantState::void_, Step::not_before, "not_before must lie within 7d after requested_at");
  }
  return true;
}

void Judging::collect() {
  for (const Statement& s : statements_) {
    if (s.decision() != nullptr) collect_decision(s);
    if (s.revocation() != nullptr) collect_revocation(s);
  }
  std::sort(approvals_.begin(), approvals_.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
  std::sort(endings_.begin(), endings_.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
}

void Judging::collect_decision(const Statement& s) {
  const Decision& d = *s.decision();
  if (d.request != judgement_.request || d.fleet != policy_.fleet || !signed_by_owner(s, policy_)) return;
  if (!d.approve) {
    // Whole, whatever duration or targets it names, and with a voided key too: narrowing is never lost.
    endings_.push_back({d.decided_at, s.signer(), true, &d.comment});
    return;
  }
  if (is_voided(s.key()) || d.by == request_->subject) return;
  if (d.decided_at < request_->requested_at || d.decided_at > request_->respond_by) return;
  if (d.decided_at > now_ + kMaxClockAhead) return;
  // More than was asked: not an approval of this request at all.
  if (d.duration && *d.duration > request_->duration) return;
  // A host must match the request's targets and these, so they can only narrow.
  if (d.targets && host_ != nullptr && !any_matches(*d.targets, *host_)) return;
  const bool service = policy_.people.find(s.signer()) == policy_.people.end();
  approvals_.push_back(
      {d.decided_at, s.signer(), d.duration.value_or(request_->duration), &s.payload_digest(), s.presence(), service});
}

void Judging::collect_revocation(const Statement& s) {
  const Revocation& r = *s.revocation();
  if (r.fleet != policy_.fleet || !signed_by_owner(s, policy_)) return;
  const bool of_grant = r.form == Revocation::Form::request && r.request == judgement_.request;
  const bool of_subject = r.form == Revocation::Form::subject && r.subject == request_->subject &&
                          request_->requested_at < r.revoked_at &&
                          (r.by == r.subject || contains(policy_.admins, r.by));
  if (of_grant || of_subject) endings_.push_back({r.revoked_at, s.signer(), false, &r.reason});
}

namespace {

bool has_window_that_counts(const RuleResult& r) {
  return r.step == Step::none || r.step == Step::not_started || r.step == Step::over;
}

// Lower is preferred when no rule has a window that counts: what may still admit, then what ended it, then the nearest
// miss.
int rank(const RuleResult& r) {
  switch (r.state) {
    case GrantState::active:
      return 0;
    case GrantState::pending:
      return 1;
    case GrantState::denied:
    case GrantState::revoked:
      return 2;
    case GrantState::ended:
      return 3;
    case GrantState::void_:
      break;
  }
  return 1000 - static_cast<int>(r.step);
}

// Does rule result a decide rather than b? Equal ones: the first in the file.
bool decides_before(const RuleResult& a, const RuleResult& b) {
  const bool a_counts = has_window_that_counts(a);
  const bool b_counts = has_window_that_counts(b);
  if (a_counts != b_counts) return a_counts;
  if (!a_counts) return rank(a) < rank(b);
  if (a.window->start != b.window->start) return a.window->start < b.window->start;
  return a.window->end > b.window->end;
}

}  // namespace

void Judging::decide() {
  if (judgement_.rules.empty()) {
    fail(GrantState::void_, Step::requester, "no rule lets " + request_->subject + " ask for " + request_->runbook);
    return;
  }
  const RuleResult* best = &judgement_.rules.front();
  for (const RuleResult& result : judgement_.rules) {
    if (decides_before(result, *best)) best = &result;
  }
  adopt(*best);
  cut_to_policy();
}

void Judging::adopt(const RuleResult& result) {
  judgement_.state = result.state;
  judgement_.step = result.step;
  judgement_.detail = result.detail;
  judgement_.window = result.window;
  judgement_.rule = result.state == GrantState::void_ ? 0 : result.rule;
  judgement_.alert = result.alert;
  std::set<std::string> approvers;
  for (const GateResult& gate : result.gates) approvers.insert(gate.filled_by.begin(), gate.filled_by.end());
  judgement_.approvers.assign(approvers.begin(), approvers.end());
  if (result.step != Step::denied && result.step != Step::revoked) return;
  const auto rule =
      std::find_if(policy_.rules.begin(), policy_.rules.end(), [&](const Rule& r) { return r.number == result.rule; });
  if (const Ending* ending = ending_under(*rule); ending != nullptr) judgement_.ended_by = std::string(ending->by);
}

// Past valid_until nothing is admitted. Void rather than ended: a newer policy may say otherwise, and ended is for
// good.
void Judging::cut_to_policy() {
  const UnixTime limit = policy_.valid_until;
  const bool hopeful = judgement_.state == GrantState::active || judgement_.state == GrantState::pending;
  const bool starts_too_late = judgement_.window && judgement_.window->start >= limit;
  if (hopeful && (now_ >= limit || starts_too_late)) {
    fail(GrantState::void_, Step::policy_expired, "the policy is valid until " + format_time(limit) + " only");
  }
  if (!judgement_.window || judgement_.window->end <= limit) return;
  judgement_.window->end = std::max(judgement_.window->start, limit);
  if (judgement_.state == GrantState::active) judgement_.detail = "until " + format_time(judgement_.window->end);
}

}  // namespace judging

std::string_view to_string(GrantState state) {
  switch (state) {
    case GrantState::void_:
      return "void";
    case GrantState::pending:
      return "pending";
    case GrantState::active:
      return "active";
    case GrantState::ended:
      return "ended";
    case GrantState::denied:
      return "denied";
    case GrantState::revoked:
      return "revoked";
  }
  return "void";
}

std::string_view to_string(Step step) {
  constexpr std::string_view kNames[] = {"none",        "signature",  "not_yet",       "runbook",   "parameters",
                                         "duration",    "respond_by", "not_before",    "requester", "target",
                                         "presence",    "gates",      "denied",        "revoked",   "hours",
                                         "not_started", "over",       "policy_expired"};
  return kNames[static_cast<std::size_t>(step)];
}

Judgement judge(const Digest& request, std::span<const Statement> statements, const Policy& policy,
                const HostIdentity* host, UnixTime now, const ZoneTable& zones, const JudgeMemory& memory) {
  return judging::Judging(request, statements, policy, host, now, zones, memory).run();
}

std::set<std::string> voided_keys(std::span<const Statement> statements, const Policy& policy) {
  std::set<std::string> voided;
  for (const Statement& s : statements) {
    const Revocation* r = s.revocation();
    if (r == nullptr || r->form != Revocation::Form::key || r->fleet != policy.fleet) continue;
    if (!judging::signed_by_owner(s, policy)) continue;
    std::string owner;
    const bool own = policy.find_fingerprint(r->key, &owner) != nullptr && owner == r->by;
    if (own || judging::contains(policy.admins, r->by)) voided.insert(r->key);
  }
  return voided;
}

std::string may_end(std::string_view person, const Request& request, const Policy& policy) {
  if (person == request.subject) return "subject";
  if (judging::contains(policy.admins, person)) return "admin";
  for (const Rule& rule : policy.rules) {
    if (judging::names_runbook(rule, request.runbook) && judging::contains(rule.requester_people, request.subject) &&
        judging::contains(rule.revokers, person)) {
      return "revoker";
    }
  }
  return judging::in_a_gate(person, request.runbook, policy) ? "approver" : "";
}

}  // namespace hallpass
