// Judging a grant: docs/architecture.md section 6 as one pure function. The same code decides on the host, in the CLI
// and in every report; what it returns says state, window, scope, who counted and, when not active, which step failed
// and on what.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/policy.h"
#include "core/statement.h"
#include "core/values/command.h"
#include "core/zones.h"

namespace hallpass {

enum class GrantState { void_, pending, active, ended, denied, revoked };  // void_ is zero: no answer is never a yes
std::string_view to_string(GrantState state);

// The step of that section at which a rule said no (or not yet).
enum class Step {
  none,            // active
  signature,       // 1: not by a key of the subject that counts (left the policy, key voided)
  not_yet,         // 1: requested_at is more than 120 s ahead
  runbook,         // 2: gone or changed
  parameters,      // 3
  duration,        // 3
  respond_by,      // 3
  not_before,      // 3
  requester,       // 4: rule does not name runbook or requester
  target,          // 4: this host is not matched by the rule or the request
  presence,        // 4: FIDO touch or verification missing
  gates,           // 5: approvals missing (pending), or respond_by passed without them (ended)
  denied,          // 6
  revoked,         // 6
  hours,           // 7: the window would start outside the rule's hours
  not_started,     // 7: filled, but the window starts later
  over,            // 7: the window has ended
  policy_expired,  // now >= valid_until
};
std::string_view to_string(Step step);

struct Window {
  UnixTime start{};  // active while start <= now < end
  UnixTime end{};
  bool operator==(const Window&) const = default;
};

struct GateResult {
  std::vector<std::string> from;  // as the policy names it
  int count = 0;
  std::vector<std::string> filled_by;  // people who hold its places
};

struct RuleResult {
  int rule = 0;  // Rule::number
  GrantState state = GrantState::void_;
  Step step = Step::none;
  std::string detail;            // for people: "waits for 1 approval of sre-leads"
  std::optional<Window> window;  // known as soon as the gates are filled; policy valid_until not yet applied
  std::vector<GateResult> gates;
  bool alert = false;
};

struct Judgement {
  GrantState state = GrantState::void_;
  Step step = Step::signature;
  std::string detail;  // why not active, or until when; one clause, no final stop
  Digest request;      // the grant
  std::string subject;
  std::string account;  // the local account it opens
  std::string runbook;
  std::optional<Window> window;  // of the rule that decides
  int rule = 0;                  // that rule's number; 0: none
  bool alert = false;
  std::vector<std::string> approvers;  // distinct, sorted: who counted
  std::string ended_by;                // denied, revoked: who
  std::vector<Command> commands;       // parameters filled in
  std::vector<RuleResult> rules;       // every rule that names this runbook and requester
};

// Facts a host remembers that statements alone no longer show.
struct JudgeMemory {
  const std::set<std::string>* voided_keys = nullptr;  // fingerprints; nullptr: none beyond the statements'
};

// `statements`: everything known that may bear on the grant, in any order, repetitions allowed; what does not bear on
// `request` (other requests' decisions, other subjects' revocations) is ignored. `request` is the digest of the request
// to judge; no such statement: void_ with Step::signature. `host`: nullptr leaves targets open. Never fails; throws
// only std::bad_alloc.
//
// Where several rules admit, the window that starts first decides (then the one that ends last, then the rule that
// comes first in the file): an approval made later neither reopens nor lengthens.
Judgement judge(const Digest& request, std::span<const Statement> statements, const Policy& policy,
                const HostIdentity* host, UnixTime now, const ZoneTable& zones, const JudgeMemory& memory = {});

// Keys that revocations among `statements` void: those of the key form, by the key's owner or an admin. A revocation
// counts even if its own key is voided by another: narrowing is never lost.
std::set<std::string> voided_keys(std::span<const Statement> statements, const Policy& policy);

// May this person end that grant (deny or revoke), and by which right? Empty: no. "subject", "admin", "revoker",
// "approver".
std::string may_end(std::string_view person, const Request& request, const Policy& policy);

}  // namespace hallpass
