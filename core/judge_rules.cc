// Steps 3 to 7 of a judgement as far as they depend on a rule.
#include <algorithm>

#include "core/judging.h"
#include "core/matching.h"

namespace hallpass::judging {
namespace {

std::string joined(const std::vector<std::string>& names, std::string_view between) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : std::string(between)) + name;
  return text;
}

}  // namespace

// Steps 4 to 7 under one rule that names runbook and requester.
RuleResult Judging::judge_rule(const Rule& rule) const {
  RuleResult result;
  result.rule = rule.number;
  result.alert = rule.alert;
  if (!check_rule(rule, result)) return result;
  const std::optional<Window> window = fill_gates(rule, result);
  if (const Ending* ending = ending_under(rule); ending != nullptr) {
    // Looked at before the gates' answer is given: a denied request waits for nobody.
    result.state = ending->denial ? GrantState::denied : GrantState::revoked;
    result.step = ending->denial ? Step::denied : Step::revoked;
    result.window = window;
    result.detail = (ending->denial ? "denied by " : "revoked by ") + std::string(ending->by);
    if (!ending->words->empty()) result.detail += ": " + *ending->words;
  } else if (window) {
    judge_window(rule, *window, result);
  }
  return result;
}

// The rule's part of step 3, and step 4.
bool Judging::check_rule(const Rule& rule, RuleResult& result) const {
  const auto refuse = [&](Step step, std::string detail) {
    result.step = step;
    result.detail = std::move(detail);
    return false;
  };
  if (rule.max_duration && request_->duration > *rule.max_duration) {
    return refuse(Step::duration, "asks for " + format_duration(request_->duration) + ", and this rule allows " +
                                      format_duration(*rule.max_duration) + " at most");
  }
  if (host_ != nullptr && !any_matches(rule.targets, *host_)) {
    return refuse(Step::target, "the rule is not for the host " + host_->name);
  }
  if (host_ != nullptr && !any_matches(request_->targets, *host_)) {
    return refuse(Step::target, "the request is not for the host " + host_->name);
  }
  if (request_presence_ < rule.presence) {
    return refuse(Step::presence, "the rule asks for a FIDO key's " + std::string(to_string(rule.presence)) +
                                      ", and the request's signature proves " +
                                      std::string(to_string(request_presence_)));
  }
  return true;
}

// Of each person the earliest approval that counts under this rule, in order of time, then name.
std::vector<Approval> Judging::approvals_for(const Rule& rule) const {
  std::vector<Approval> chosen;
  for (const Approval& approval : approvals_) {
    // A program touches no key; it counts only where a gate names it.
    if (!approval.service && approval.presence < rule.presence) continue;
    const bool known =
        std::any_of(chosen.begin(), chosen.end(), [&](const Approval& a) { return a.by == approval.by; });
    if (!known) chosen.push_back(approval);
  }
  return chosen;
}

// Step 5, and the window of step 7 when the gates are filled; `result` is told who stands where and what is still
// missing.
std::optional<Window> Judging::fill_gates(const Rule& rule, RuleResult& result) const {
  const std::vector<Approval> approvals = rule.gates.empty() ? std::vector<Approval>{} : approvals_for(rule);
  std::vector<std::string> people;
  for (const Approval& approval : approvals) people.emplace_back(approval.by);
  std::vector<Places> places;
  for (const Gate& gate : rule.gates) places.push_back({gate.members, gate.count});
  const Assignment assignment = assign_places(places, people);

  Window window{request_->requested_at, {}};
  Seconds duration = request_->duration;
  std::string missing;
  for (std::size_t i = 0; i < rule.gates.size(); ++i) {
    const Gate& gate = rule.gates[i];
    const std::vector<std::string>& filled_by = assignment.filled_by[i];
    result.gates.push_back({gate.from, gate.count, filled_by});
    for (const Approval& approval : approvals) {
      if (!contains(filled_by, approval.by)) continue;
      window.start = std::max(window.start, approval.at);
      duration = std::min(duration, approval.duration);
    }
    const int open = gate.count - static_cast<int>(filled_by.size());
    if (open <= 0) continue;
    missing += (missing.empty() ? "" : " and ") + std::to_string(open) + (open == 1 ? " approval" : " approvals") +
               " of " + joined(gate.from, " or ");
  }
  if (assignment.open > 0) {
    const bool late = now_ > request_->respond_by;
    result.state = late ? GrantState::ended : GrantState::pending;
    result.step = Step::gates;
    result.detail = (late ? "was not approved in time: lacked " : "waits for ") + missing;
    return std::nullopt;
  }
  if (request_->not_before) window.start = std::max(window.start, *request_->not_before);
  window.end = window.start + duration;
  return window;
}

// Step 6: the earliest ending by someone who has the right to it under this rule.
const Ending* Judging::ending_under(const Rule& rule) const {
  const auto found = std::find_if(endings_.begin(), endings_.end(), [&](const Ending& ending) {
    return ending.by == request_->subject || contains(policy_.admins, ending.by) ||
           contains(rule.revokers, ending.by) || in_a_gate(ending.by, request_->runbook, policy_);
  });
  return found == endings_.end() ? nullptr : &*found;
}

// Step 7.
void Judging::judge_window(const Rule& rule, Window window, RuleResult& result) const {
  if (!rule.hours.empty()) {
    const std::optional<UnixTime> until = hours_until(rule.hours, zones_, window.start);
    if (!until) {
      result.step = Step::hours;
      result.detail = "would start at " + format_time(window.start) + ", outside the rule's hours (";
      for (const Hours& hours : rule.hours) result.detail += (&hours == &rule.hours.front() ? "" : ", ") + hours.text;
      result.detail += ")";
      return;
    }
    window.end = std::min(window.end, *until);
  }
  result.window = window;
  if (now_ < window.start) {
    result.state = GrantState::pending;
    result.step = Step::not_started;
    result.detail = "starts at " + format_time(window.start);
  } else if (now_ < window.end) {
    result.state = GrantState::active;
    result.step = Step::none;
    result.detail = "until " + format_time(window.end);
  } else {
    result.state = GrantState::ended;
    result.step = Step::over;
    result.detail = "ended at " + format_time(window.end);
  }
}

}  // namespace hallpass::judging
