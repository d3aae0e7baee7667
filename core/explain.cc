#include "core/explain.h"

#include <algorithm>
#include <set>

#include "core/matching.h"
#include "core/values/digest.h"

namespace hallpass {
namespace {

constexpr std::size_t kNamesShown = 8;

// How long, as a reader wants it: seconds under two minutes, minutes under two days.
std::string roughly(Seconds d) {
  const long long seconds = d.count();
  if (seconds >= 172800) return format_duration(Seconds{seconds / 3600 * 3600});
  return format_duration(Seconds{seconds >= 120 ? seconds / 60 * 60 : seconds});
}

std::string list_of(const std::vector<std::string>& names, std::string_view last_word) {
  const std::size_t shown = std::min(names.size(), kNamesShown);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == names.size() && i > 0;
    if (i > 0) text += last ? " " + std::string(last_word) + " " : ", ";
    text += names[i];
  }
  if (shown < names.size())
    text += " " + std::string(last_word) + " " + std::to_string(names.size() - shown) + " others";
  return text;
}

std::string window_words(Step step, const Window& window, UnixTime now, const TimePrinter& print) {
  switch (step) {
    case Step::none:
      return "until " + print(window.end) + " (" + roughly(window.end - now) + " left)";
    case Step::not_started:
      return "starts at " + print(window.start) + " (in " + roughly(window.start - now) + "), until " +
             print(window.end);
    case Step::over:
      return "at " + print(window.end) + " (" + roughly(now - window.end) + " ago)";
    default:
      return {};
  }
}

// What stands after the state: the window in the reader's zone where the step is about it, else the judge's own words.
std::string reason(Step step, const std::string& detail, const std::optional<Window>& window, UnixTime now,
                   const TimePrinter& print) {
  std::string words = window ? window_words(step, *window, now, print) : std::string();
  return words.empty() ? detail : words;
}

std::string state_and_reason(GrantState state, Step step, const std::string& detail,
                             const std::optional<Window>& window, UnixTime now, const TimePrinter& print) {
  const std::string why = reason(step, detail, window, now, print);
  if (step == Step::none || step == Step::over) return std::string(to_string(state)) + " " + why;
  // "denied by bob" names its state already.
  if (step == Step::denied || step == Step::revoked) return why;
  return std::string(to_string(state)) + ": " + why;
}

// The step of docs/architecture.md, "Judging", to which a reason belongs.
int number_of(Step step) {
  switch (step) {
    case Step::signature:
    case Step::not_yet:
      return 1;
    case Step::runbook:
      return 2;
    case Step::parameters:
    case Step::duration:
    case Step::respond_by:
    case Step::not_before:
      return 3;
    case Step::requester:
    case Step::target:
    case Step::presence:
      return 4;
    case Step::gates:
      return 5;
    case Step::denied:
    case Step::revoked:
      return 6;
    case Step::hours:
    case Step::not_started:
    case Step::over:
      return 7;
    case Step::policy_expired:
    case Step::none:
      break;
  }
  return 8;
}

std::string gates_words(const std::vector<GateResult>& gates) {
  if (gates.empty()) return "the rule has no gate: nobody needs to approve";
  std::string text;
  for (const GateResult& gate : gates) {
    text += (text.empty() ? "" : "; ") + std::to_string(gate.filled_by.size()) + " of " + std::to_string(gate.count) +
            " from " + list_of(gate.from, "or");
    if (!gate.filled_by.empty()) text += ": " + list_of(gate.filled_by, "and");
  }
  return text;
}

bool all_filled(const std::vector<GateResult>& gates) {
  return std::all_of(gates.begin(), gates.end(),
                     [](const GateResult& g) { return static_cast<int>(g.filled_by.size()) >= g.count; });
}

std::string passed_words(int number, const Judgement& j) {
  switch (number) {
    case 1:
      return "the request is signed with a key of " + j.subject;
    case 2:
      return "the runbook " + j.runbook + " is the one that was asked for";
    case 3:
      return "parameters, duration and times are within the limits";
    case 4:
      return "the rule lets " + j.subject + " ask for this, here";
    case 6:
      return "nobody denied or revoked it";
    default:
      return {};
  }
}

// The steps up to the one that decided. Steps 1 to 3 are the same for every rule, but for a rule's own longest
// duration.
void explain_steps(const Judgement& j, Step step, const std::vector<GateResult>* gates, const std::string& why,
                   std::vector<std::string>& lines) {
  const int last = number_of(step);
  for (int number = 1; number < std::min(last, 7); ++number) {
    if (number != 5) {
      lines.push_back("  yes  " + passed_words(number, j));
    } else if (gates != nullptr) {
      lines.push_back((all_filled(*gates) ? "  yes  " : "  no   ") + gates_words(*gates));
    }
  }
  const bool waits = step == Step::gates || step == Step::not_started || step == Step::not_yet;
  lines.push_back((step == Step::none ? "  yes  " : waits ? "  wait " : "  no   ") + why);
  if (step == Step::gates && gates != nullptr) lines.push_back("       so far " + gates_words(*gates));
}

const Rule* rule_of(const Policy& policy, int number) {
  const auto found =
      std::find_if(policy.rules.begin(), policy.rules.end(), [&](const Rule& r) { return r.number == number; });
  return found == policy.rules.end() ? nullptr : &*found;
}

}  // namespace

std::vector<std::string> who_can_approve(const Judgement& j, const RuleResult& result, const Policy& policy) {
  const Rule* rule = rule_of(policy, result.rule);
  std::set<std::string> who;
  if (rule == nullptr) return {};
  // Members of a full gate help as well: they may set somebody free who stands in it for an open one.
  for (const Gate& gate : rule->gates) {
    for (const std::string& member : gate.members) {
      if (member != j.subject && policy.people.count(member) > 0) who.insert(member);
    }
  }
  for (const GateResult& gate : result.gates) {
    for (const std::string& name : gate.filled_by) who.erase(name);
  }
  std::vector<std::string> open;
  for (const std::string& name : who) {
    std::vector<Places> places;
    std::vector<std::string> people;
    for (const Gate& gate : rule->gates) places.push_back({gate.members, gate.count});
    for (const GateResult& gate : result.gates)
      people.insert(people.end(), gate.filled_by.begin(), gate.filled_by.end());
    const int before = open_places(places, people);
    people.push_back(name);
    if (open_places(places, people) < before) open.push_back(name);
  }
  return open;
}

namespace {

std::string presence_words(Presence presence) {
  if (presence == Presence::verified) return ", signed with a FIDO key that asks for a PIN or finger (verified)";
  if (presence == Presence::touch) return ", signed with a touch on a FIDO key";
  return {};
}

void help_gates(const Judgement& j, const Policy& policy, std::vector<std::string>& lines) {
  const std::string id = grant_id(j.request);
  std::set<std::string> said;
  for (const RuleResult& result : j.rules) {
    if (result.step != Step::gates || result.state != GrantState::pending) continue;
    const std::vector<std::string> who = who_can_approve(j, result, policy);
    const Rule* rule = rule_of(policy, result.rule);
    std::string line = who.empty() ? "no person can fill what is open under rule " + std::to_string(result.rule) +
                                         ": an admin must change its gates"
                                   : list_of(who, "or") + " can run: hallpass approve " + id +
                                         (rule == nullptr ? "" : presence_words(rule->presence));
    if (said.insert(line).second) lines.push_back(std::move(line));
  }
}

std::string help_requester(const Judgement& j, const Policy& policy) {
  std::set<std::string> may;
  for (const Rule& rule : policy.rules) {
    if (std::find(rule.runbooks.begin(), rule.runbooks.end(), j.runbook) == rule.runbooks.end()) continue;
    may.insert(rule.requesters.begin(), rule.requesters.end());
  }
  if (may.empty()) return "no rule names " + j.runbook + "; an admin must add one to the policy";
  return "those who may ask for " + j.runbook + ": " + list_of({may.begin(), may.end()}, "and");
}

// " --param service=VALUE": what must be chosen; a parameter with one value chooses itself.
std::string parameters_to_type(const Policy& policy, const std::string& runbook) {
  const auto found = policy.runbooks.find(runbook);
  std::string out;
  if (found == policy.runbooks.end()) return out;
  for (const auto& [name, choices] : found->second.parameters) {
    if (choices.size() > 1) out += " --param " + name + "=VALUE";
  }
  return out;
}

// What would help, by the step that decided.
void help(const Judgement& j, const Policy& policy, std::vector<std::string>& lines) {
  const std::string again =
      j.subject + " can ask again: hallpass request " + j.runbook + parameters_to_type(policy, j.runbook);
  switch (j.step) {
    case Step::none:
    case Step::not_started:
      lines.push_back("to end it early: hallpass revoke " + grant_id(j.request));
      break;
    case Step::signature:
      lines.push_back(j.subject.empty() ? "bring the grant file that holds the request"
                                        : again + ", signed with a key that the policy lists for " + j.subject);
      break;
    case Step::not_yet:
      lines.push_back("check the clocks here and where it was signed, or wait");
      break;
    case Step::requester:
      lines.push_back(help_requester(j, policy));
      break;
    case Step::target:
      lines.push_back(again + " for a target that a rule allows and that matches this host");
      break;
    case Step::presence: {
      Presence least = Presence::verified;
      for (const RuleResult& result : j.rules) {
        const Rule* rule = rule_of(policy, result.rule);
        if (result.step == Step::presence && rule != nullptr) least = std::min(least, rule->presence);
      }
      lines.push_back(again + presence_words(least));
      break;
    }
    case Step::gates:
      if (j.state == GrantState::pending)
        help_gates(j, policy, lines);
      else
        lines.push_back(again);
      break;
    case Step::denied:
    case Step::revoked:
      lines.push_back("this cannot be undone; talk to " + j.ended_by + ", then " + again);
      break;
    case Step::hours:
      lines.push_back(again + " within the hours, or as a rule without hours allows");
      break;
    case Step::policy_expired:
      lines.push_back("the admins must sign a newer policy: hallpass policy sign (" +
                      std::to_string(policy.admin_threshold) + " of " +
                      list_of({policy.admins.begin(), policy.admins.end()}, "and") + ")");
      break;
    case Step::runbook:
    case Step::parameters:
    case Step::duration:
    case Step::respond_by:
    case Step::not_before:
    case Step::over:
      lines.push_back(again);
      break;
  }
}

Json strings(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

Json window_json(const std::optional<Window>& window) {
  if (!window) return nullptr;
  return JsonObject{{"start", format_time(window->start)}, {"end", format_time(window->end)}};
}

Json rule_json(const RuleResult& r) {
  JsonArray gates;
  for (const GateResult& gate : r.gates) {
    gates.emplace_back(
        JsonObject{{"from", strings(gate.from)}, {"count", gate.count}, {"filled_by", strings(gate.filled_by)}});
  }
  return JsonObject{{"rule", r.rule},        {"state", to_string(r.state)},     {"step", to_string(r.step)},
                    {"detail", r.detail},    {"window", window_json(r.window)}, {"gates", std::move(gates)},
                    {"alert", Json(r.alert)}};
}

}  // namespace

std::string summarize(const Judgement& j, UnixTime now, const TimePrinter& print) {
  std::string text = state_and_reason(j.state, j.step, j.detail, j.window, now, print);
  const bool filled = j.step == Step::none || j.step == Step::not_started || j.step == Step::over;
  if (filled && j.rule > 0) text += ", by rule " + std::to_string(j.rule);
  if (filled && !j.approvers.empty()) text += "; approved by " + list_of(j.approvers, "and");
  return text;
}

std::vector<std::string> explain(const Judgement& j, const Policy& policy, UnixTime now, const TimePrinter& print) {
  std::vector<std::string> lines;
  const std::string id = grant_id(j.request);
  if (j.subject.empty()) {
    lines.push_back(id + ": " + summarize(j, now, print));
  } else {
    lines.push_back(id + ": " + j.subject + " asks for " + j.runbook +
                    (j.account.empty() ? "" : " on the account " + j.account));
    lines.push_back(summarize(j, now, print));
    if (j.rules.empty()) explain_steps(j, j.step, nullptr, j.detail, lines);
  }
  for (const RuleResult& r : j.rules) {
    const Rule* rule = rule_of(policy, r.rule);
    lines.push_back("rule " + std::to_string(r.rule) +
                    (rule == nullptr ? "" : " (line " + std::to_string(rule->line) + " of the policy)") + ": " +
                    std::string(to_string(r.state)));
    explain_steps(j, r.step, &r.gates, reason(r.step, r.detail, r.window, now, print), lines);
  }
  help(j, policy, lines);
  return lines;
}

Json to_json_value(const Judgement& j) {
  JsonArray commands;
  for (const Command& command : j.commands) commands.emplace_back(describe_command(command));
  JsonArray rules;
  for (const RuleResult& r : j.rules) rules.push_back(rule_json(r));
  return JsonObject{{"grant", grant_id(j.request)},
                    {"request", format_digest(j.request)},
                    {"state", to_string(j.state)},
                    {"step", to_string(j.step)},
                    {"detail", j.detail},
                    {"subject", j.subject},
                    {"account", j.account},
                    {"runbook", j.runbook},
                    {"window", window_json(j.window)},
                    {"rule", j.rule},
                    {"alert", Json(j.alert)},
                    {"approvers", strings(j.approvers)},
                    {"ended_by", j.ended_by},
                    {"commands", std::move(commands)},
                    {"rules", std::move(rules)}};
}

}  // namespace hallpass
