// The agent: from the ledger to the snapshot.
#include <malloc.h>

#include <algorithm>

#include "agent/agent.h"
#include "agent/content.h"

namespace hallpass {
namespace {

constexpr Seconds kForgetEvery{3600};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& n : names) text += (text.empty() ? "" : " ") + n;
  return text;
}

Event event_of(GrantState state) {
  switch (state) {
    case GrantState::active:
      return Event::grant_active;
    case GrantState::ended:
      return Event::grant_ended;
    case GrantState::denied:
      return Event::grant_denied;
    case GrantState::revoked:
      return Event::grant_revoked;
    case GrantState::pending:
      return Event::grant_pending;
    case GrantState::void_:
      break;
  }
  return Event::grant_void;
}

}  // namespace

// Everything known that bears on a request, verified afresh under the policy in force. What that policy no longer
// verifies does not count.
std::vector<Statement> Agent::statements_for(const Digest& request) const {
  const Policy& policy = *policies_.in_force().policy;
  std::vector<Statement> statements;
  std::string subject;
  for (const std::string& envelope : ledger_->statements_of(request)) {
    Result<Statement> opened = open_statement(envelope, policy.fleet, policy);
    if (opened) statements.push_back(std::move(*opened));
  }
  std::erase_if(statements, [&](const Statement& s) { return !counts_without_log(s) && !is_logged(s); });
  for (const Statement& s : batch_) {
    const bool about = s.payload_digest() == request || (s.decision() != nullptr && s.decision()->request == request) ||
                       (s.revocation() != nullptr && s.revocation()->form == Revocation::Form::request &&
                        s.revocation()->request == request);
    if (about && (counts_without_log(s) || is_logged(s))) statements.push_back(s);
  }
  for (const Statement& s : statements) {
    if (s.request() != nullptr) subject = s.request()->subject;
  }
  for (const Statement& s : globals_) {
    if (s.revocation()->form == Revocation::Form::subject && s.revocation()->subject == subject)
      statements.push_back(s);
  }
  return statements;
}

Verdict Agent::judge_one(const Digest& request) const {
  const JudgeContext context{&config_.host, &policies_.in_force(), &voided_,
                             clock_->now(), clock_->trusted(),     state_.reset_at};
  return judge_grant(request, statements_for(request), context);
}

void Agent::judge_again(const std::vector<Digest>& requests, bool quiet) {
  if (requests.empty() || !policies_.in_force().policy) return;
  LedgerChange change;
  std::vector<Verdict> ended;
  int count = 0;
  for (const Digest& request : requests) {
    Verdict v = judge_one(request);
    if (++count % 256 == 0) seams_.alive();
    if (v.terminal) {
      change.end(request, *v.terminal);
      ended.push_back(std::move(v));
    } else {
      apply(std::move(v), quiet);
    }
  }
  if (ended.empty()) return;
  const bool kept = static_cast<bool>(commit(change, false));
  for (Verdict& v : ended) {
    if (!kept) {
      // Judged the same next time; it admits nobody meanwhile either.
      v.grant.terminal = false;
      v.grant.next = clock_->now() + Seconds{60};
    }
    apply(std::move(v), false);
  }
}

void Agent::apply(Verdict&& verdict, bool quiet) {
  const Digest request = verdict.grant.request;
  const std::optional<Grant> before = docket_.apply(std::move(verdict));
  const Grant& grant = *docket_.find(request);
  const Admission* admission =
      grant.admission < 0 ? nullptr : &docket_.admissions()[static_cast<std::size_t>(grant.admission)];
  if (!quiet) tell(grant, before, admission);
  for (const std::string& id : docket_.take_new_shared_ids()) {
    journal_.event(Event::duplicate_grant_id, "two requests share the id " + id + ": both are refused",
                   {{"GRANT", id}});
  }
}

// One entry for each step of a grant's life on this host. What has nothing to do with this host, or was over when it
// was first seen, is not told.
void Agent::tell(const Grant& grant, const std::optional<Grant>& before, const Admission* admission) {
  if (!grant.known || (before && before->known && before->state == grant.state)) return;
  const bool fresh = !before || !before->known;
  const bool foreign = grant.step == Step::target || grant.step == Step::requester;
  if (fresh && (grant.state == GrantState::ended || (grant.state == GrantState::void_ && foreign))) return;
  EventFields fields = {{"GRANT", grant_id(grant.request)},
                        {"SUBJECT", grant.subject},
                        {"ACCOUNT", grant.account},
                        {"RUNBOOK", grant.runbook},
                        {"WHY", grant.detail}};
  std::string message = "grant " + grant_id(grant.request) + " of " + grant.subject + " (" + grant.runbook + ") is " +
                        std::string(to_string(grant.state)) + ": " + grant.detail;
  if (admission != nullptr) {
    fields.emplace_back("REASON", admission->reason);
    fields.emplace_back("TICKET", admission->ticket);
    fields.emplace_back("EXPIRES", format_time(admission->end));
    for (const std::string& name : admission->approvers) fields.emplace_back("APPROVERS", name);
    if (!admission->approvers.empty()) message += ", approved by " + joined(admission->approvers);
  }
  journal_.event(event_of(grant.state), message, fields);
}

// Under the policy in force: who left it revokes nobody any more, though what he ended before stays ended.
void Agent::reopen_globals() {
  globals_.clear();
  if (!policies_.in_force().policy) return;
  const Policy& policy = *policies_.in_force().policy;
  for (const std::string& envelope : ledger_->statements_of(Digest{})) {
    Result<Statement> opened = open_statement(envelope, policy.fleet, policy);
    if (opened) globals_.push_back(std::move(*opened));
  }
  for (const std::string& key : voided_keys(globals_, policy)) voided_.insert(key);
  keep_voided_keys();
}

// A key voided under one policy stays void under the next, which may not know who had the right to it.
void Agent::keep_voided_keys() {
  LedgerChange change;
  const std::set<std::string> kept = ledger_->voided_keys();
  for (const std::string& key : voided_) {
    if (kept.count(key) == 0) change.void_key(key);
  }
  if (change.empty()) return;
  if (const Status done = commit(change, true); !done) publisher_.withdraw(done.error().message);
}

// What can never admit again needs no memory. Only by time that has certainly passed; a host whose clock is never
// vouched for waits four times as long, and keeps denials and revocations.
void Agent::forget_old() {
  const Seconds uptime = clock_->reading().boottime;
  if (uptime < forgot_at_ + kForgetEvery) return;
  forgot_at_ = uptime;
  const UnixTime certain = clock_->trusted(), likely = clock_->now();
  std::vector<Digest> from_memory, from_ledger;
  for (const auto& [request, grant] : docket_.all()) {
    const bool old = grant.requested_at + kForgetAfter < certain || grant.requested_at + 4 * kForgetAfter < likely;
    if (grant.terminal ? grant.at + kRememberEnded < likely : old) from_memory.push_back(request);
    if (!grant.terminal && old) from_ledger.push_back(request);
  }
  ledger_->each_terminal([&](const Digest& request, const Terminal& t) {
    if (t.requested_at + kForgetAfter < certain) from_ledger.push_back(request);
  });
  for (const Digest& request : from_memory) docket_.forget(request);
  count_requests();
  constexpr std::size_t kAtOnce = 500;
  if (from_ledger.size() > kAtOnce) from_ledger.resize(kAtOnce);
  LedgerChange change;
  const auto is_old = [&](const Statement& s) {
    return s.revocation()->form == Revocation::Form::subject && s.made_at() + kForgetAfter < certain;
  };
  for (const Statement& s : globals_) {
    if (is_old(s)) change.forget(s);
  }
  std::erase_if(globals_, is_old);
  if (from_ledger.empty() && change.empty()) return;
  for (const Digest& request : from_ledger) change.forget(request, ledger_->statement_keys_of(request));
  if (const Status done = ledger_->commit(change); !done) alarm_.failed(done.error().message, uptime);
}

void Agent::fill_content() {
  SnapshotContent& content = docket_.content();
  SnapshotMeta& meta = content.meta;
  meta.host = config_.host.name;
  meta.machine_id = machine_id_;
  meta.generation = state_.generation;
  meta.floor = clock_->memory().floor;
  meta.strict_clock = config_.strict_clock;
  meta.standing_sudo_denied = config_.standing_sudo_denied;
  content.waiting.clear();
  const auto& policy = policies_.in_force().policy;
  if (!policy) {
    content.keys.clear();
    access_under_.reset();
    return;
  }
  meta.fleet = policy->fleet;
  meta.policy_version = policy->version;
  meta.valid_until = policy->valid_until;
  // Kept from one publishing to the next, for they change with the policy only.
  if (access_under_ != policy || keys_without_ != voided_) {
    access_ = access_of(*policy, config_.host);
    content.keys = account_keys(*policy, access_, voided_, !config_.drop.empty());
    access_under_ = policy;
    keys_without_ = voided_;
  }
  content.waiting = waiting_records(access_, docket_, clock_->now());
}

// True when what stands is what should stand.
bool Agent::publish_if_different() {
  publish_again_ = false;
  // While something that must end is not recorded, nothing may stand.
  if (hold_ || !unrecorded_.empty() || (policies_dirty_ && publisher_.withdrawn())) return false;
  bool stands = true;
  fill_content();
  SnapshotContent& content = docket_.content();
  std::vector<Admission> withheld;
  if (config_.strict_clock && !clock_->synchronised_this_boot()) {
    withheld.swap(content.admissions);
    for (Waiting& w : content.waiting) w.detail = "this host waits for its clock to be synchronised";
  }
  if (const std::optional<Status> told = publisher_.publish_if_different(content, clock_->now())) {
    const Status& done = *told;
    ++changes_;
    stands = static_cast<bool>(done);
    published_at_ = clock_->reading().boottime;
    if (!done) {
      alarm_.failed(done.error().message, published_at_);
    } else if (!publisher_.shortage().empty()) {
      alarm_.failed(publisher_.shortage(), published_at_);
    }
    // What building took goes back to the system: the agent sleeps most of its life.
    malloc_trim(0);
  }
  if (!withheld.empty()) withheld.swap(content.admissions);
  content.waiting = {};
  return stands;
}

}  // namespace hallpass
