// The agent: what sessions ask it.
#include <algorithm>

#include "agent/agent.h"
#include "host/snapshot_reader.h"

namespace hallpass {

// With a damaged ledger the snapshot that stands is all that is known, as it is for logins.
const std::vector<Admission>& Agent::admissions_of_snapshot(const std::string& account) {
  std::vector<Admission>& standing = standing_[account];
  const Result<SnapshotReader> snapshot = SnapshotReader::open(snapshot_place());
  // Out of descriptors or memory says nothing about anybody: what was read last counts until its end.
  if (!snapshot && snapshot.error().code == Errc::unavailable) return standing;
  standing.clear();
  if (!snapshot) return standing;
  snapshot->admissions(account, [&](const AdmissionView& view) {
    Admission a;
    a.account = view.account;
    a.subject = view.subject;
    a.id = view.id;
    a.runbook = view.runbook;
    a.reason = view.reason;
    a.ticket = view.ticket;
    a.grant = view.grant;
    a.start = view.start;
    a.end = view.end;
    a.personal = view.personal;
    a.alert = view.alert;
    for (std::size_t i = 0; i < view.commands.size(); ++i) a.commands.push_back(view.commands.at(i));
    standing.push_back(std::move(a));
    return true;
  });
  return standing;
}

std::vector<const Admission*> Agent::admitting(const std::string& account, const std::string& subject) {
  std::vector<const Admission*> found;
  for (const Admission& a : damaged() ? admissions_of_snapshot(account) : docket_.admissions()) {
    const bool meant = a.account == account && (subject.empty() || a.subject == subject);
    if (meant && unrecorded_ends_.count(a.grant) == 0) found.push_back(&a);
  }
  return found;
}

bool Agent::anyone_admitted(const std::string& account) {
  const UnixTime now = clock_->now();
  const auto all = admitting(account, "");
  return std::any_of(all.begin(), all.end(), [&](const Admission* a) { return a->start <= now && now < a->end; });
}

bool Agent::personal(const std::string& account, const std::string& subject) const {
  const auto& policy = policies_.in_force().policy;
  if (!policy) return false;
  const auto person = policy->people.find(subject);
  return person != policy->people.end() && person->second.account == account;
}

GrantOver Agent::how_over(const Digest& request) const {
  const Grant* grant = damaged() ? nullptr : docket_.find(request);
  if (grant == nullptr || !grant->known) return {"its grant is not known here any more", std::nullopt};
  const std::string which = "grant " + grant_id(request) + " ";
  if (unrecorded_ends_.count(request) != 0) return {which + "was revoked or denied", std::nullopt};
  if (grant->state == GrantState::ended && grant->at != UnixTime{}) return {which + grant->detail, grant->at};
  if (grant->state == GrantState::active) {
    // Not judged again yet.
    const auto& all = docket_.admissions();
    if (grant->admission < 0) return {which + "admits nobody now", std::nullopt};
    const UnixTime end = all[static_cast<std::size_t>(grant->admission)].end;
    return {which + "ended at " + format_time(end), end};
  }
  return {which + "is " + std::string(to_string(grant->state)) + ": " + grant->detail, std::nullopt};
}

std::string Agent::runbook_of(const Digest& request) const {
  const Grant* grant = docket_.find(request);
  return grant == nullptr ? "" : grant->runbook;
}

// A denial or revocation that the disk does not take has ended its grant all the same: sessions do not wait for the
// disk.
void Agent::end_unrecorded(std::vector<Verdict>& verdicts) {
  for (const Verdict& v : verdicts) {
    if (v.terminal && v.terminal->state != GrantState::ended)
      changes_ += unrecorded_ends_.insert(v.grant.request).second ? 1 : 0;
  }
}

Status Agent::give_back(const std::string& account, const std::string& subject) {
  if (damaged()) return Error{Errc::unavailable, "the agent's ledger is damaged: tell those who run this host"};
  clock_->tick();
  const UnixTime now = clock_->now();
  std::vector<Grant> given;
  LedgerChange change;
  for (const Admission* a : admitting(account, subject)) {
    if (a->start > now || now >= a->end) continue;
    Grant g = *docket_.find(a->grant);
    Terminal t;
    t.state = g.state = GrantState::ended;
    t.step = g.step = Step::over;
    t.at = g.at = now;
    t.requested_at = g.requested_at;
    t.by = subject;
    t.subject = g.subject;
    t.account = g.account;
    t.runbook = g.runbook;
    t.detail = g.detail = "was given back by " + subject + " on " + config_.host.name;
    g.terminal = true;
    g.admission = -1;
    g.next = g.over = kNever;
    change.end(g.request, t);
    given.push_back(std::move(g));
  }
  if (given.empty()) return Error{Errc::not_found, "no grant of " + subject + " for " + account + " is active here"};
  if (Status done = commit(change, true); !done) return done;
  for (Grant& g : given) {
    journal_.event(
        Event::grant_given_back,
        subject + " gave grant " + grant_id(g.request) + " (" + g.runbook + ") back on " + config_.host.name,
        {{"GRANT", grant_id(g.request)}, {"SUBJECT", subject}, {"ACCOUNT", account}, {"RUNBOOK", g.runbook}});
    Verdict verdict;
    verdict.grant = std::move(g);
    apply(std::move(verdict), true);
  }
  if (ledger_sound()) publish_if_different();
  return Unit{};
}

}  // namespace hallpass
