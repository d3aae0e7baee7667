// `hallpass request`: checks all that a host would, signs, publishes, and waits if asked to.
#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "cli/carry.h"
#include "cli/commands.h"
#include "cli/grants.h"
#include "cli/outlook.h"
#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

std::string new_nonce() {
  std::array<std::uint8_t, 16> bytes{};
  // Without randomness two requests could be one; there is no way to go on.
  if (getentropy(bytes.data(), bytes.size()) != 0) std::abort();
  return base64url_encode(bytes);
}

Result<Seconds> typed_duration(std::string_view option, const std::string& text) {
  auto d = parse_duration(text);
  if (d) return d;
  return Error{Errc::malformed, fmt::format("{} \"{}\": {}", option, printable(text), d.error().message)};
}

Result<const Runbook*> find_runbook(const Policy& policy, const std::string& name) {
  const auto found = policy.runbooks.find(name);
  if (found != policy.runbooks.end()) return &found->second;
  std::vector<std::string> names;
  for (const auto& [known, runbook] : policy.runbooks) names.push_back(known);
  const std::string near = nearest_name(name, names);
  return Error{Errc::not_found,
               fmt::format("no runbook {}{}; the policy has {}", printable(name),
                           near.empty() ? "" : fmt::format(" (did you mean {}?)", near), join_words(names, "and"))};
}

Status read_times(const RequestArgs& args, const Runbook& runbook, const Times& times, Request& r) {
  r.duration = runbook.default_duration;
  if (!args.duration.empty()) {
    const auto d = typed_duration("--duration", args.duration);
    if (!d) return d.error();
    r.duration = d.value();
  }
  if (r.duration > runbook.max_duration) {
    return Error{Errc::malformed, fmt::format("{} may last {} at most, not {}", runbook.name,
                                              format_duration(runbook.max_duration), format_duration(r.duration))};
  }
  Seconds respond = kDefaultRespondBy;
  if (!args.respond_by.empty()) {
    const auto d = typed_duration("--respond-by", args.respond_by);
    if (!d) return d.error();
    respond = d.value();
  }
  if (respond > kMaxRespondBy) return Error{Errc::malformed, "--respond-by may be 24h at most"};
  r.respond_by = r.requested_at + respond;
  if (args.not_before.empty()) return Unit{};
  const auto start = times.parse(args.not_before);
  if (!start) return Error{Errc::malformed, "--not-before: " + start.error().message};
  if (start.value() > r.requested_at + kMaxNotBefore)
    return Error{Errc::malformed, "--not-before may be 7 days ahead at most"};
  if (start.value() <= r.requested_at)
    return Error{Errc::malformed, fmt::format("--not-before {} is past", times.full(start.value()))};
  r.not_before = start.value();
  return Unit{};
}

// A request for `subject` from what was typed; the nonce is drawn, the clock is read.
Result<Request> build_request(const RequestArgs& args, const Workspace& workspace, const std::string& subject,
                              const Times& times) {
  const Policy& policy = workspace.policy();
  const auto runbook = find_runbook(policy, args.runbook);
  if (!runbook) return runbook.error();
  Request r;
  r.fleet = policy.fleet;
  r.subject = subject;
  r.runbook = args.runbook;
  r.runbook_digest = runbook.value()->digest;
  auto parameters = choose_parameters(*runbook.value(), args.parameters);
  if (!parameters) return parameters.error();
  r.parameters = std::move(parameters).value();
  for (const std::string& typed : args.targets) {
    auto target = parse_target(typed);
    if (!target) return target.error();
    r.targets.push_back(std::move(target).value());
  }
  if (args.reason.find_first_not_of(' ') == std::string::npos)
    return Error{Errc::malformed, "--reason says nothing; approvers need to know why"};
  for (const auto& [option, text] : {std::pair("--reason", &args.reason), std::pair("--ticket", &args.ticket)}) {
    if (const auto checked = check_text(*text); !checked)
      return Error{Errc::malformed, fmt::format("{}: {}", option, checked.error().message)};
  }
  r.reason = args.reason;
  r.ticket = args.ticket;
  r.requested_at = times.now();
  r.nonce = new_nonce();
  if (const auto read = read_times(args, *runbook.value(), times, r); !read) return read.error();
  return r;
}

void warn_of_targets(Output& out, const Workspace& workspace, const Request& request) {
  if (!workspace.hosts().known) return;
  for (const Selector& target : request.targets) {
    if (!workspace.hosts().matching({&target, 1}).empty()) continue;
    std::vector<std::string> names;
    for (const HostIdentity& host : workspace.hosts().all) names.push_back(host.name);
    const std::string typed = target_words({&target, 1});
    const std::string near = nearest_name(typed, names);
    out.warn(fmt::format("target {} matches no host of hosts.toml{}", typed,
                         near.empty() ? "" : fmt::format(" (did you mean {}?)", near)));
  }
}

// Who may ask at all, for the refusal.
std::string requesters_of(const Policy& policy, const std::string& runbook) {
  std::set<std::string> names;
  for (const Rule& rule : policy.rules) {
    if (std::find(rule.runbooks.begin(), rule.runbooks.end(), runbook) != rule.runbooks.end())
      names.insert(rule.requesters.begin(), rule.requesters.end());
  }
  return join_words({names.begin(), names.end()}, "and");
}

int refuse_no_rule(Output& out, const Policy& policy, const Request& request, const Outlook& outlook) {
  if (outlook.rules.empty()) {
    const std::string who = requesters_of(policy, request.runbook);
    return out.fail(Exit::refused,
                    who.empty() ? fmt::format("no rule of the policy names {}; an admin must add one", request.runbook)
                                : fmt::format("no rule lets {} ask for {}; those who may: {}", request.subject,
                                              request.runbook, who));
  }
  std::string message = fmt::format("no rule lets {} do this now:", request.subject);
  for (const RuleOutlook& r : outlook.rules) message += fmt::format("\n  rule {}: {}", r.rule->number, r.obstacle);
  return out.fail(Exit::refused, message);
}

std::string gate_words(const RuleOutlook& r) {
  std::vector<std::string> gates;
  for (const Gate& gate : r.rule->gates)
    gates.push_back(fmt::format("{} of {}", count_of(static_cast<std::size_t>(gate.count), "approval"),
                                join_words(gate.from, "or")));
  return join_words(gates, "and");
}

std::string ssh_hint(const Grant& grant) {
  const Judgement& j = grant.overall();
  const auto& hosts = grant.answers.front().hosts;
  return fmt::format("ssh {}@{}", j.account, hosts.size() == 1 ? hosts.front() : "HOST");
}

// What happens next, rule by rule where hosts differ.
void tell_outlook(Output& out, const Outlook& outlook, const Grant& grant, const Times& times) {
  for (const std::string& line : answer_lines(grant, times)) out.line("  " + line);
  if (grant.overall().state == GrantState::active) {
    out.line(fmt::format("  next: {}", ssh_hint(grant)));
    if (grant.overall().alert) out.line("  everyone who watches alerts hears of this");
  }
  for (const RuleOutlook& r : outlook.rules) {
    if (!r.obstacle.empty() || r.self_service()) continue;
    const bool waits = std::any_of(grant.answers.begin(), grant.answers.end(), [&](const HostsJudged& a) {
      return a.judgement.state == GrantState::pending && a.judgement.step == Step::gates &&
             std::any_of(a.judgement.rules.begin(), a.judgement.rules.end(), [&](const RuleResult& x) {
               return x.rule == r.rule->number && x.state == GrantState::pending;
             });
    });
    if (!waits) continue;
    out.line(fmt::format("  rule {}: {}{}", r.rule->number, gate_words(r),
                         r.hosts.empty() ? "" : fmt::format(", for {}", join_words(r.hosts, "and"))));
    out.line(fmt::format("  {}: hallpass approve {}", join_words(r.approvers, "or"), grant.id()));
  }
}

int report(Context& context, Workspace& workspace, const Outlook& outlook, const Grant& grant, const std::string& file,
           const RequestArgs& args) {
  Output& out = context.out();
  if (args.output == "-") return 0;
  if (out.json() && !args.wait) {
    Json json = grant_json(grant, workspace);
    JsonObject with = *json.as_object();
    with.emplace_back("file", file);
    out.json(with);
    return 0;
  }
  if (out.json()) return 0;
  const Request& r = *grant.request;
  out.line(fmt::format("Requested {}: {} on {} for {}", out.styled(grant.id(), Style::bold), r.runbook,
                       target_words(r.targets), rough_duration(r.duration)));
  tell_outlook(out, outlook, grant, context.times());
  return 0;
}

int wait_if_asked(Context& context, Workspace& workspace, const RequestArgs& args, const Digest& grant,
                  const Request& request) {
  if (!args.wait) return 0;
  UnixTime deadline = request.respond_by + Seconds{1};
  if (request.not_before) deadline = std::max(deadline, *request.not_before + Seconds{1});
  if (!args.timeout.empty()) {
    const auto d = typed_duration("--timeout", args.timeout);
    if (!d) return context.out().fail(d.error());
    deadline = Context::now() + d.value();
  }
  return wait_for_decision(context, workspace, grant, deadline);
}

// Signed, but would a host take it? Judged as hosts will, before it is published.
int refuse_void(Output& out, const Grant& grant, const Times& times) {
  return out.fail(Exit::refused,
                  fmt::format("hosts would not admit this: {}; nothing was written", summary(grant.overall(), times)));
}

}  // namespace

int cmd_request(Context& context, const RequestArgs& args) {
  Output& out = context.out();
  if (args.wait && !args.output.empty())
    return out.fail(Exit::usage, "--wait watches the directory, and --output writes elsewhere; use one of them");
  if (!args.timeout.empty() && !parse_duration(args.timeout))
    return out.fail(typed_duration("--timeout", args.timeout).error());
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const Policy& policy = workspace->policy();
  const auto me = context.identity(policy);
  if (!me) return out.fail(me.error());
  if (me->service) return out.fail(Exit::refused, fmt::format("{} is a service; only people ask for access", me->name));

  auto request = build_request(args, workspace.value(), me->name, context.times());
  if (!request) return out.fail(request.error());
  const bool hardware =
      std::any_of(me->keys.begin(), me->keys.end(), [](const SigningKey& k) { return k.key.is_security_key(); });
  const Outlook outlook = look_ahead(policy, request.value(), hardware ? Presence::verified : Presence::none,
                                     workspace->hosts(), workspace->zones(), request->requested_at);
  warn_of_targets(out, workspace.value(), request.value());
  if (outlook.best() == nullptr) return refuse_no_rule(out, policy, request.value(), outlook);
  if (context.now() >= policy.valid_until)
    return out.fail(Exit::refused, "the policy has ended; an admin must sign a newer one");
  context.warn_of_policy(workspace.value());

  const auto key = choose_key(me.value(), outlook.best()->rule->presence);
  if (!key) return out.fail(key.error());
  Presence least = outlook.best()->rule->presence;
  for (const RuleOutlook& r : outlook.rules) {
    if (r.obstacle.empty()) least = std::min(least, r.rule->presence);
  }
  const auto statement = sign_statement(request.value(), key.value(), least, policy.fleet, policy);
  if (!statement) return out.fail(statement.error());
  const Digest digest = statement->payload_digest();
  const Grant grant = view_grant_with(workspace.value(), statement.value(), digest, context.now());
  if (grant.overall().state != GrantState::active && grant.overall().state != GrantState::pending)
    return refuse_void(out, grant, context.times());

  std::string file;
  if (const int failed =
          deliver(context, workspace.value(), {statement.value()}, statement.value(), args.output, &file);
      failed != 0)
    return failed;
  if (const int failed = report(context, workspace.value(), outlook, grant, file, args); failed != 0) return failed;
  if (args.output.empty()) deliver_carried(context, workspace.value(), grant);
  return wait_if_asked(context, workspace.value(), args, digest, request.value());
}

}  // namespace hallpass::cli
