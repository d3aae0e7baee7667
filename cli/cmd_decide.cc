// `hallpass approve` and `deny`: show what would be signed, ask, sign, and say what it caused.
#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cli/carry.h"
#include "cli/commands.h"
#include "cli/grants.h"
#include "cli/outlook.h"
#include "core/matching.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

bool names(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Rules under which this grant still waits for approvals, on any of its hosts.
std::vector<const Rule*> waiting_rules(const Grant& grant, const Policy& policy) {
  std::vector<const Rule*> out;
  for (const Rule& rule : policy.rules) {
    const bool waits = std::any_of(grant.answers.begin(), grant.answers.end(), [&](const HostsJudged& a) {
      // Where another rule admits already, an approval would neither lengthen nor reopen anything.
      if (a.judgement.state != GrantState::pending) return false;
      return std::any_of(a.judgement.rules.begin(), a.judgement.rules.end(), [&](const RuleResult& r) {
        return r.rule == rule.number && r.state == GrantState::pending && r.step == Step::gates;
      });
    });
    if (waits) out.push_back(&rule);
  }
  return out;
}

bool in_gate_of(const Rule& rule, const std::string& name) {
  return std::any_of(rule.gates.begin(), rule.gates.end(), [&](const Gate& g) { return g.members.contains(name); });
}

bool approved_by(const Grant& grant, const std::string& name) {
  return std::any_of(grant.statements.begin(), grant.statements.end(), [&](const Statement& s) {
    return s.decision() != nullptr && s.decision()->approve && s.decision()->by == name &&
           s.decision()->request == grant.digest;
  });
}

std::string who_can(const std::vector<const Rule*>& rules, const Grant& grant, const std::string& besides = {}) {
  std::set<std::string> all;
  for (const Rule* rule : rules) {
    for (const std::string& name : approvers_of(*rule, grant.request->subject)) {
      if (name != besides && !approved_by(grant, name)) all.insert(name);
    }
  }
  return join_words({all.begin(), all.end()}, "or");
}

// Why this person should not approve; empty when there is no reason.
std::string obstacle(const Grant& grant, const Policy& policy, const Identity& me, const Times& times) {
  const std::string id = grant.id();
  const std::vector<const Rule*> waiting = waiting_rules(grant, policy);
  if (!grant.live() || waiting.empty())
    return fmt::format("{} needs no approval: {}", id, summary(grant.overall(), times));
  const std::string others = who_can(waiting, grant);
  if (me.name == grant.request->subject) {
    return fmt::format("{} is your own request, and nobody approves their own; {} can: hallpass approve {}", id, others,
                       id);
  }
  if (std::none_of(waiting.begin(), waiting.end(), [&](const Rule* r) { return in_gate_of(*r, me.name); })) {
    return fmt::format("{} is in no gate that {} waits for; {} can: hallpass approve {}", me.name, id, others, id);
  }
  if (grant.request->respond_by < times.now())
    return fmt::format("{} had to be answered {}", id, times.with_left(grant.request->respond_by));
  return {};
}

// The rules that this person's approval could help.
std::vector<const Rule*> my_rules(const Grant& grant, const Policy& policy, const std::string& me) {
  std::vector<const Rule*> out = waiting_rules(grant, policy);
  std::erase_if(out, [&](const Rule* r) { return !in_gate_of(*r, me); });
  return out;
}

Presence least_presence(const std::vector<const Rule*>& rules) {
  Presence least = Presence::verified;
  for (const Rule* r : rules) least = std::min(least, r->presence);
  return least;
}

Result<Decision> build_decision(const DecisionArgs& args, const Grant& grant, const std::string& by, bool approve) {
  Decision d;
  d.fleet = grant.request->fleet;
  d.request = grant.digest;
  d.by = by;
  d.approve = approve;
  if (!args.duration.empty()) {
    const auto duration = parse_duration(args.duration);
    if (!duration)
      return Error{Errc::malformed,
                   fmt::format("--duration \"{}\": {}", printable(args.duration), duration.error().message)};
    if (duration.value() > grant.request->duration) {
      return Error{Errc::malformed,
                   fmt::format("{} was asked for, so --duration {} would give more; approvals can only give less",
                               format_duration(grant.request->duration), format_duration(duration.value()))};
    }
    d.duration = duration.value();
  }
  for (const std::string& typed : args.targets) {
    auto target = parse_target(typed);
    if (!target) return target.error();
    if (!d.targets) d.targets.emplace();
    d.targets->push_back(std::move(target).value());
  }
  if (const auto checked = check_text(args.comment); !checked)
    return Error{Errc::malformed, "--comment: " + checked.error().message};
  d.comment = args.comment;
  return d;
}

// A narrowing that leaves nothing is a slip: name the hosts that were asked for.
Status check_narrowing(const Decision& d, const Grant& grant, const Hosts& hosts) {
  if (!d.targets || !hosts.known) return Unit{};
  const auto asked = hosts.matching(grant.request->targets);
  const bool some =
      std::any_of(asked.begin(), asked.end(), [&](const HostIdentity* h) { return any_matches(*d.targets, *h); });
  if (some || asked.empty()) return Unit{};
  std::vector<std::string> list;
  for (const HostIdentity* h : asked) list.push_back(h->name);
  return Error{Errc::malformed, fmt::format("--target {} leaves none of the hosts asked for: {}",
                                            target_words(*d.targets), join_words(list, "and"))};
}

// What the approval will do, foreseen rule by rule.
std::vector<std::string> effect_words(const Grant& grant, const std::vector<const Rule*>& rules, const Decision& d,
                                      const Times& times) {
  std::vector<std::string> out;
  for (const Rule* rule : rules) {
    std::vector<Places> places;
    for (const Gate& gate : rule->gates) places.push_back({gate.members, gate.count});
    std::vector<std::string> people;
    for (const Statement& s : grant.statements) {
      if (s.decision() == nullptr || !s.decision()->approve) continue;
      if (s.presence() < rule->presence && !names(people, s.decision()->by)) continue;
      if (!names(people, s.decision()->by)) people.push_back(s.decision()->by);
    }
    people.push_back(d.by);
    const int open = open_places(places, people);
    if (open > 0) {
      out.push_back(fmt::format("rule {}: {} still needed after yours ({})", rule->number,
                                count_of(static_cast<std::size_t>(open), "more approval is", "more approvals are"),
                                who_can({rule}, grant, d.by)));
      continue;
    }
    const Seconds lasts = std::min(d.duration.value_or(grant.request->duration), grant.request->duration);
    const UnixTime start = std::max(times.now(), grant.request->not_before.value_or(times.now()));
    out.push_back(fmt::format("rule {}: yours is the last one needed; {} may then log in as {} from {} to {}",
                              rule->number, grant.request->subject, grant.overall().account,
                              start == times.now() ? "now" : times.brief(start), times.brief(start + lasts)));
  }
  return out;
}

void show_before(Output& out, const Grant& grant, const Workspace& workspace, const Times& times,
                 const std::vector<std::string>& effects) {
  // The card goes where the question goes, so that `-o -` and --json leave stdout to the result.
  for (const std::string& line : card(grant, workspace, times, out)) out.note(line);
  for (const std::string& line : effects) out.note(out.styled(pad("Effect", 11), Style::dim) + line);
}

std::vector<Statement> grant_statements(const Grant& grant, const Statement& added) {
  std::vector<Statement> out;
  for (const Statement& s : grant.statements) {
    const bool about = s.request() != nullptr || s.decision() != nullptr ||
                       (s.revocation()->form == Revocation::Form::request && s.revocation()->request == grant.digest);
    if (about) out.push_back(s);
  }
  if (std::find(out.begin(), out.end(), added) == out.end()) out.push_back(added);
  return out;
}

int report(Context& context, Workspace& workspace, const Grant& after, const std::string& file,
           const DecisionArgs& args, std::string_view verb) {
  Output& out = context.out();
  if (args.output == "-") return 0;
  if (out.json()) {
    JsonObject json = *grant_json(after, workspace).as_object();
    json.emplace_back("file", file);
    out.json(json);
    return 0;
  }
  out.line(fmt::format("{} {}", verb, out.styled(after.id(), Style::bold)));
  for (const std::string& line : answer_lines(after, context.times())) out.line("  " + line);
  return 0;
}

int sign_and_deliver(Context& context, Workspace& workspace, Decision decision, const Grant& before, const Identity& me,
                     Presence needed, const DecisionArgs& args) {
  Output& out = context.out();
  const auto key = choose_key(me, needed);
  if (!key) return out.fail(key.error());
  decision.decided_at = std::max(Context::now(), before.request->requested_at);
  const auto statement = sign_statement(decision, key.value(), me.service ? Presence::none : needed,
                                        workspace.policy().fleet, workspace.policy());
  if (!statement) return out.fail(statement.error());
  const Grant after =
      view_grant_with(workspace, statement.value(), before.digest, std::max(Context::now(), decision.decided_at));
  std::string file;
  const int failed =
      deliver(context, workspace, grant_statements(after, statement.value()), statement.value(), args.output, &file);
  if (failed != 0) return failed;
  const int reported = report(context, workspace, after, file, args, decision.approve ? "Approved" : "Denied");
  if (reported == 0 && args.output.empty()) deliver_carried(context, workspace, after);
  return reported;
}

// A grant that somebody is about to decide on.
struct OpenedGrant {
  Workspace workspace;
  Identity me;
  Grant grant;
};

Result<OpenedGrant> open_grant(Context& context, const std::string& typed) {
  auto workspace = context.open_workspace();
  if (!workspace) return workspace.error();
  const auto digest = resolve_grant(workspace.value(), typed, context.out());
  if (!digest) return digest.error();
  const auto me = context.identity(workspace->policy());
  if (!me) return me.error();
  Grant grant = view_grant(workspace.value(), digest.value(), Context::now());
  return OpenedGrant{std::move(workspace).value(), me.value(), std::move(grant)};
}

}  // namespace

int cmd_approve(Context& context, const DecisionArgs& args) {
  Output& out = context.out();
  auto opened = open_grant(context, args.grant);
  if (!opened) return out.fail(opened.error());
  auto& [workspace, me, grant] = opened.value();
  const Policy& policy = workspace.policy();
  if (const std::string why = obstacle(grant, policy, me, context.times()); !why.empty())
    return out.fail(Exit::refused, why);
  const std::vector<const Rule*> rules = my_rules(grant, policy, me.name);
  if (approved_by(grant, me.name))
    out.warn(fmt::format("you approved {} before; of one person's approvals the earliest counts", grant.id()));

  auto decision = build_decision(args, grant, me.name, true);
  if (!decision) return out.fail(decision.error());
  if (const auto fits = check_narrowing(decision.value(), grant, workspace.hosts()); !fits)
    return out.fail(fits.error());
  const Presence needed = least_presence(rules);
  if (const auto key = choose_key(me, needed); !key) return out.fail(key.error());
  context.warn_of_policy(workspace);
  show_before(out, grant, workspace, context.times(), effect_words(grant, rules, decision.value(), context.times()));
  int refused = 0;
  if (!context.agreed("Approve this?", args.grant == "-", &refused)) return refused;
  return sign_and_deliver(context, workspace, std::move(decision).value(), grant, me, needed, args);
}

int cmd_deny(Context& context, const DecisionArgs& args) {
  Output& out = context.out();
  auto opened = open_grant(context, args.grant);
  if (!opened) return out.fail(opened.error());
  auto& [workspace, me, grant] = opened.value();
  const Policy& policy = workspace.policy();
  if (!grant.live())
    return out.fail(Exit::refused,
                    fmt::format("{} is over already: {}", grant.id(), summary(grant.overall(), context.times())));
  if (may_end(me.name, *grant.request, policy).empty()) {
    return out.fail(Exit::refused,
                    fmt::format("{} may not deny {}; its subject, an admin, a revoker or an approver of {} may",
                                me.name, grant.id(), grant.request->runbook));
  }
  auto decision = build_decision(args, grant, me.name, false);
  if (!decision) return out.fail(decision.error());
  context.warn_of_policy(workspace);
  const std::string effect =
      grant.overall().state == GrantState::active ? "ends this access now, for good" : "refuses this request, for good";
  show_before(out, grant, workspace, context.times(), {effect});
  int refused = 0;
  if (!context.agreed("Deny this?", args.grant == "-", &refused)) return refused;
  return sign_and_deliver(context, workspace, std::move(decision).value(), grant, me, Presence::none, args);
}

}  // namespace hallpass::cli
