// `hallpass revoke`: one grant, everything a person has asked for, or a key.
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>

#include "cli/carry.h"
#include "cli/commands.h"
#include "cli/grants.h"
#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

struct Plan {
  Revocation revocation;
  std::string question;
  std::vector<std::string> shown;  // before the question
};

std::vector<Grant> live_grants(const Workspace& workspace, const std::string& subject) {
  std::vector<Grant> grants = view_all(workspace, Context::now());
  std::erase_if(grants,
                [&](const Grant& g) { return !g.live() || (!subject.empty() && g.request->subject != subject); });
  return grants;
}

std::string line_of(const Grant& g, const Times& times) {
  return fmt::format("  {} {}: {} on {}, {}", g.id(), g.request->subject, g.request->runbook,
                     target_words(g.request->targets), summary(g.overall(), times));
}

Result<Plan> plan_grant(Context& context, Workspace& workspace, const RevokeArgs& args, const Identity& me) {
  const auto digest = resolve_grant(workspace, args.grant, context.out());
  if (!digest) return digest.error();
  const Grant grant = view_grant(workspace, digest.value(), Context::now());
  if (!grant.live())
    return Error{Errc::untrusted,
                 fmt::format("{} is over already: {}", grant.id(), summary(grant.overall(), context.times()))};
  if (may_end(me.name, *grant.request, workspace.policy()).empty()) {
    return Error{Errc::untrusted,
                 fmt::format("{} may not revoke {}; its subject, an admin, a revoker or an approver of {} may", me.name,
                             grant.id(), grant.request->runbook)};
  }
  Plan plan;
  plan.revocation.form = Revocation::Form::request;
  plan.revocation.request = digest.value();
  plan.shown = card(grant, workspace, context.times(), context.out());
  plan.question = fmt::format("Revoke {} for good?", grant.id());
  return plan;
}

Result<Plan> plan_subject(Context& context, const Workspace& workspace, const std::string& subject,
                          const Identity& me) {
  const Policy& policy = workspace.policy();
  if (!policy.people.contains(subject)) {
    std::vector<std::string> names;
    for (const auto& [name, person] : policy.people) names.push_back(name);
    const std::string near = nearest_name(subject, names);
    return Error{Errc::not_found, fmt::format("{} is nobody of the policy{}", printable(subject),
                                              near.empty() ? "" : fmt::format(" (did you mean {}?)", near))};
  }
  if (me.name != subject && !policy.admins.contains(me.name)) {
    const std::vector<std::string> admins(policy.admins.begin(), policy.admins.end());
    return Error{Errc::untrusted,
                 fmt::format("only {} and admins ({}) may end everything of {}; to end one grant: hallpass revoke ID",
                             subject, join_words(admins, "and"), subject)};
  }
  Plan plan;
  plan.revocation.form = Revocation::Form::subject;
  plan.revocation.subject = subject;
  const std::vector<Grant> grants = live_grants(workspace, subject);
  plan.shown.push_back(fmt::format("Ends every grant that {} has asked for until now, {} known here:", subject,
                                   count_of(grants.size(), "live one", "live ones")));
  for (const Grant& g : grants) plan.shown.push_back(line_of(g, context.times()));
  plan.question = fmt::format("Revoke everything of {}?", subject);
  return plan;
}

Result<Plan> plan_key(Context& context, const Workspace& workspace, const std::string& typed, const Identity& me) {
  std::string fingerprint = typed;
  if (!typed.starts_with("SHA256:")) {
    const auto key = load_signing_key(typed);
    if (!key) return key.error();
    fingerprint = key->key.fingerprint();
  }
  std::string owner;
  if (workspace.policy().find_fingerprint(fingerprint, &owner) == nullptr) {
    return Error{Errc::not_found, fmt::format("no key {} is enrolled in the policy; `hallpass policy show` lists them",
                                              printable(fingerprint))};
  }
  if (me.name != owner && !workspace.policy().admins.contains(me.name)) {
    return Error{Errc::untrusted, fmt::format("that key is {}'s; only {} and admins may void it", owner, owner)};
  }
  Plan plan;
  plan.revocation.form = Revocation::Form::key;
  plan.revocation.key = fingerprint;
  plan.shown.push_back(fmt::format("Voids {}'s key {} for every signature and login, for good.", owner, fingerprint));
  plan.shown.push_back("What it signed as a request or an approval counts no more:");
  for (const Grant& g : live_grants(workspace, "")) {
    const bool touched = std::any_of(g.statements.begin(), g.statements.end(), [&](const Statement& s) {
      return s.revocation() == nullptr && s.key().fingerprint() == fingerprint;
    });
    if (touched) plan.shown.push_back(line_of(g, context.times()));
  }
  if (plan.shown.size() == 2) plan.shown.back() = "It signed no live grant known here.";
  plan.question = fmt::format("Void this key of {}?", owner);
  return plan;
}

// "Requested before revoked_at" leaves out a request of this very second, and one whose clock ran ahead.
UnixTime moment(const Workspace& workspace, const Revocation& r) {
  UnixTime at = Context::now();
  if (r.form != Revocation::Form::subject) return at;
  const UnixTime limit = at + kMaxClockAhead;
  for (const Statement* s : workspace.requests()) {
    if (s->request()->subject == r.subject && s->request()->requested_at < limit)
      at = std::max(at, s->request()->requested_at + Seconds{1});
  }
  return at;
}

int report(Context& context, const Workspace& workspace, const Plan& plan, const std::string& file,
           const RevokeArgs& args) {
  Output& out = context.out();
  if (args.output == "-") return 0;
  const Revocation& r = plan.revocation;
  if (r.form == Revocation::Form::request) {
    const Grant after = view_grant(workspace, r.request, Context::now());
    if (out.json()) {
      JsonObject json = *grant_json(after, workspace).as_object();
      json.emplace_back("file", file);
      out.json(json);
    } else {
      out.line(fmt::format("Revoked {}", out.styled(after.id(), Style::bold)));
      for (const std::string& line : answer_lines(after, context.times())) out.line("  " + line);
    }
    return 0;
  }
  const bool subject = r.form == Revocation::Form::subject;
  if (out.json()) {
    out.json(JsonObject{{subject ? "subject" : "key", subject ? r.subject : r.key}, {"file", file}});
  } else {
    out.line(subject ? fmt::format("Revoked every grant that {} has asked for until now", r.subject)
                     : fmt::format("Voided key {}", r.key));
    if (!subject) out.line("  an admin should now take it out of the policy");
  }
  return 0;
}

}  // namespace

int cmd_revoke(Context& context, const RevokeArgs& args) {
  Output& out = context.out();
  if (args.grant.empty() && args.subject.empty() && args.key.empty()) {
    return out.fail(Exit::usage, "revoke what? an ID (hallpass list), --subject NAME or --key FINGERPRINT");
  }
  if (const auto checked = check_text(args.reason); !checked)
    return out.fail(Exit::usage, "--reason: " + checked.error().message);
  auto workspace = context.open_workspace();
  if (!workspace) return out.fail(workspace.error());
  const auto me = context.identity(workspace->policy());
  if (!me) return out.fail(me.error());
  auto plan = !args.grant.empty()     ? plan_grant(context, workspace.value(), args, me.value())
              : !args.subject.empty() ? plan_subject(context, workspace.value(), args.subject, me.value())
                                      : plan_key(context, workspace.value(), args.key, me.value());
  if (!plan) return out.fail(plan.error());
  for (const std::string& line : plan->shown) out.note(line);
  int refused = 0;
  if (!context.agreed(plan->question, args.grant == "-", &refused)) return refused;

  Revocation& r = plan->revocation;
  r.fleet = workspace->policy().fleet;
  r.by = me->name;
  r.reason = args.reason;
  r.revoked_at = moment(workspace.value(), r);
  const auto key = choose_key(me.value(), Presence::none);
  if (!key) return out.fail(key.error());
  const auto statement = sign_statement(r, key.value(), Presence::none, r.fleet, workspace->policy());
  if (!statement) return out.fail(statement.error());
  std::string file;
  if (const int failed =
          deliver(context, workspace.value(), {statement.value()}, statement.value(), args.output, &file);
      failed != 0)
    return failed;
  const int reported = report(context, workspace.value(), plan.value(), file, args);
  if (reported != 0 || !args.output.empty()) return reported;
  if (r.form == Revocation::Form::request) {
    deliver_carried(context, workspace.value(), view_grant(workspace.value(), r.request, Context::now()));
  } else {
    deliver_carried(context, workspace.value(), statement.value());
  }
  return reported;
}

}  // namespace hallpass::cli
