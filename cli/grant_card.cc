// The long forms of grants.h: the card and the JSON.
#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/grants.h"
#include "core/explain.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kLabelWidth = 11;
constexpr std::size_t kLongText = 2000;

class CardWriter {
 public:
  explicit CardWriter(const Output& out) : out_(out) {}
  void row(std::string_view label, std::string_view text, Style style = Style::plain) {
    const std::size_t room = out_.width() == 0 ? kLongText * 4 : std::max<std::size_t>(out_.width(), 40) - kLabelWidth;
    bool first = true;
    for (const std::string& piece : wrap(text, room)) {
      lines_.push_back(out_.styled(pad(first ? label : "", kLabelWidth), Style::dim) + out_.styled(piece, style));
      first = false;
    }
  }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  const Output& out_;
  std::vector<std::string> lines_;
};

std::string quoted_comment(const std::string& text) {
  return text.empty() ? "" : fmt::format(": {}", printable(text, kLongText));
}

std::string decision_words(const Statement& s, const Times& times) {
  const Decision& d = *s.decision();
  std::string out = fmt::format("{} {}", d.by, times.brief(d.decided_at));
  if (d.duration) out += fmt::format(", for {}", format_duration(*d.duration));
  if (d.targets) out += fmt::format(", on {}", target_words(*d.targets));
  return out + quoted_comment(d.comment);
}

void decisions(CardWriter& card, const Grant& grant, const Times& times) {
  std::string label = "Approved";
  for (const Statement& s : grant.statements) {
    if (s.decision() == nullptr || !s.decision()->approve) continue;
    card.row(label, decision_words(s, times));
    label.clear();
  }
  for (const Statement& s : grant.statements) {
    if (s.decision() != nullptr && !s.decision()->approve) card.row("Denied", decision_words(s, times), Style::bad);
    const Revocation* r = s.revocation();
    if (r != nullptr && r->form == Revocation::Form::request) {
      card.row("Revoked", fmt::format("{} {}{}", r->by, times.brief(r->revoked_at), quoted_comment(r->reason)),
               Style::bad);
    }
  }
}

std::string where_words(const Grant& grant, const Workspace& workspace) {
  const std::string targets = target_words(grant.request->targets);
  const std::string hosts = host_words(workspace, grant.request->targets);
  if (hosts.empty()) return workspace.hosts().known ? targets + " (no host of hosts.toml)" : targets;
  return hosts == targets ? targets : fmt::format("{} ({})", targets, hosts);
}

std::string asked_words(const Request& request, GrantState state, const Times& times) {
  std::string out =
      fmt::format("{} ({} ago)", times.brief(request.requested_at), rough_duration(times.now() - request.requested_at));
  if (state == GrantState::pending) out += fmt::format(", to be answered by {}", times.with_left(request.respond_by));
  return out;
}

Json texts(const std::vector<std::string>& words) {
  JsonArray out;
  for (const std::string& w : words) out.emplace_back(w);
  return out;
}

Json targets_json(const std::vector<Selector>& targets) {
  JsonArray out;
  for (const Selector& s : targets) out.emplace_back(s.text());
  return out;
}

Json statement_json(const Statement& s) {
  JsonObject out{{"digest", format_digest(s.payload_digest())}, {"key", s.key().fingerprint()}, {"by", s.signer()}};
  if (const Request* r = s.request()) {
    out.insert(out.begin(), {"kind", "request"});
    out.emplace_back("at", format_time(r->requested_at));
  } else if (const Decision* d = s.decision()) {
    out.insert(out.begin(), {"kind", d->approve ? "approve" : "deny"});
    out.emplace_back("at", format_time(d->decided_at));
    out.emplace_back("duration", d->duration ? Json(static_cast<std::int64_t>(d->duration->count())) : Json());
    out.emplace_back("targets", d->targets ? targets_json(*d->targets) : Json());
    out.emplace_back("comment", d->comment);
  } else {
    const Revocation* v = s.revocation();
    out.insert(out.begin(), {"kind", "revoke"});
    out.emplace_back("at", format_time(v->revoked_at));
    out.emplace_back("reason", v->reason);
  }
  return out;
}

// Revocations of other subjects and keys bear on no grant that people look at.
bool concerns(const Statement& s, const Grant& grant) {
  const Revocation* r = s.revocation();
  if (r == nullptr || r->form == Revocation::Form::request) return r == nullptr || r->request == grant.digest;
  if (r->form == Revocation::Form::subject) return r->subject == grant.request->subject;
  return std::any_of(grant.statements.begin(), grant.statements.end(), [&](const Statement& other) {
    return other.revocation() == nullptr && other.key().fingerprint() == r->key;
  });
}

}  // namespace

std::vector<std::string> command_lines(const Policy& policy, const Request& request) {
  const auto runbook = policy.runbooks.find(request.runbook);
  if (runbook == policy.runbooks.end()) return {"(the policy has no such runbook now)"};
  if (runbook->second.sudo.empty()) return {"none: login only"};
  const auto filled = fill_commands(runbook->second, request.parameters);
  if (!filled) return {printable(filled.error().message, kLongText)};
  std::vector<std::string> out;
  for (const Command& c : filled.value()) out.push_back(printable(describe_command(c), kLongText));
  return out;
}

std::vector<std::string> card(const Grant& grant, const Workspace& workspace, const Times& times, const Output& out) {
  const Request& r = *grant.request;
  const Judgement& j = grant.overall();
  CardWriter card(out);
  card.row("Grant", grant.id(), Style::bold);
  card.row("Who", j.account.empty() || j.account == r.subject
                      ? r.subject
                      : fmt::format("{}, on the account {}", r.subject, j.account));
  const auto runbook = workspace.policy().runbooks.find(r.runbook);
  const bool titled = runbook != workspace.policy().runbooks.end() && !runbook->second.title.empty();
  card.row("What", titled ? fmt::format("{}: {}", r.runbook, printable(runbook->second.title)) : r.runbook);
  if (!r.parameters.empty()) card.row("With", parameter_words(r));
  card.row("Where", where_words(grant, workspace));
  card.row("How long", rough_duration(r.duration));
  if (r.not_before) card.row("Not before", times.brief(*r.not_before));
  card.row("Why", printable(r.reason, kLongText));
  if (!r.ticket.empty()) card.row("Ticket", printable(r.ticket, kLongText));
  card.row("Asked", asked_words(r, j.state, times));
  std::string label = "Commands";
  for (const std::string& line : command_lines(workspace.policy(), r)) {
    card.row(label, line);
    label.clear();
  }
  decisions(card, grant, times);
  label = "State";
  for (std::size_t i = 0; i < grant.answers.size(); ++i) {
    card.row(label, answer_lines(grant, times)[i], style_of(grant.answers[i].judgement.state));
    label.clear();
  }
  return card.take();
}

Json grant_json(const Grant& grant, const Workspace& workspace) {
  const Request& r = *grant.request;
  const Judgement& j = grant.overall();
  JsonObject parameters;
  for (const auto& [name, values] : r.parameters) parameters.emplace_back(name, texts(values));
  JsonArray statements;
  for (const Statement& s : grant.statements) {
    if (concerns(s, grant)) statements.push_back(statement_json(s));
  }
  JsonArray answers;
  for (const HostsJudged& a : grant.answers) {
    answers.emplace_back(JsonObject{{"hosts", texts(a.hosts)}, {"judgement", to_json_value(a.judgement)}});
  }
  std::vector<std::string> hosts;
  for (const HostIdentity* host : workspace.hosts().matching(r.targets)) hosts.push_back(host->name);
  return JsonObject{{"id", grant.id()},
                    {"request", format_digest(grant.digest)},
                    {"state", to_string(j.state)},
                    {"step", to_string(j.step)},
                    {"detail", j.detail},
                    {"subject", r.subject},
                    {"account", j.account},
                    {"runbook", r.runbook},
                    {"parameters", std::move(parameters)},
                    {"targets", targets_json(r.targets)},
                    {"hosts", texts(hosts)},
                    {"duration", static_cast<std::int64_t>(r.duration.count())},
                    {"reason", r.reason},
                    {"ticket", r.ticket},
                    {"requested_at", format_time(r.requested_at)},
                    {"respond_by", format_time(r.respond_by)},
                    {"not_before", r.not_before ? Json(format_time(*r.not_before)) : Json()},
                    {"starts_at", j.window ? Json(format_time(j.window->start)) : Json()},
                    {"ends_at", j.window ? Json(format_time(j.window->end)) : Json()},
                    {"rule", j.rule},
                    {"approvers", texts(j.approvers)},
                    {"ended_by", j.ended_by},
                    {"commands", texts(command_lines(workspace.policy(), r))},
                    {"answers", std::move(answers)},
                    {"statements", std::move(statements)}};
}

}  // namespace hallpass::cli
