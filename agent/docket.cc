#include "agent/docket.h"

#include <algorithm>

#include "agent/publisher.h"
#include "core/statement.h"

namespace hallpass {
namespace {

const Statement* find_request(const Digest& request, std::span<const Statement> statements) {
  const auto found = std::find_if(statements.begin(), statements.end(), [&](const Statement& s) {
    return s.request() != nullptr && s.payload_digest() == request;
  });
  return found == statements.end() ? nullptr : &*found;
}

// The id's 60 bits.
std::uint64_t id_bits(const Digest& request) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 8; ++i) bits = bits << 8 | request.bytes[i];
  return bits >> 4;
}

// The earliest moment after now at which judging could come to something else without a new statement.
UnixTime next_change(const Judgement& j, const Request& request, std::span<const Statement> statements,
                     const JudgeContext& context) {
  UnixTime next = kNever;
  const auto consider = [&](UnixTime t) {
    if (t > context.now) next = std::min(next, t);
  };
  consider(request.requested_at - kMaxClockAhead);
  for (const Statement& s : statements) {
    if (s.decision() != nullptr) consider(s.decision()->decided_at - kMaxClockAhead);
  }
  for (const RuleResult& rule : j.rules) {
    if (rule.step == Step::gates && rule.state == GrantState::pending) consider(request.respond_by + Seconds{1});
    if (rule.window) consider(rule.window->start);
    if (rule.window) consider(rule.window->end);
  }
  const bool hopeful = j.state == GrantState::active || j.state == GrantState::pending;
  if (hopeful) consider(context.policy->policy->valid_until);
  return next;
}

// When nothing that arrives later could still make it admit; nullopt: it is not over. An approval made in time may be
// carried here late, so a request that was not approved in time is over only when its longest window would be.
std::optional<UnixTime> over_at(const Judgement& j, const Request& request) {
  if (j.state != GrantState::ended) return std::nullopt;
  if (j.step == Step::over && j.window) return j.window->end;
  return std::max(request.respond_by, request.not_before.value_or(request.respond_by)) + request.duration;
}

// Who asked for what: the same in a judgement, in the docket, in the ledger and in the snapshot.
template <class To, class From>
void copy_names(To& to, const From& from) {
  to.subject = from.subject;
  to.account = from.account;
  to.runbook = from.runbook;
}

// What it came to, and the names.
template <class To, class From>
void copy_outcome(To& to, const From& from) {
  to.state = from.state;
  to.step = from.step;
  to.detail = from.detail;
  copy_names(to, from);
}

std::optional<Terminal> terminal_of(const Judgement& j, const Request& request, const JudgeContext& context) {
  const bool by_someone = j.state == GrantState::denied || j.state == GrantState::revoked;
  const std::optional<UnixTime> over = over_at(j, request);
  if (!by_someone && !(over && *over <= context.trusted)) return std::nullopt;
  Terminal t;
  copy_outcome(t, j);
  t.at = by_someone ? context.now : j.step == Step::over ? *over : request.respond_by;
  t.requested_at = request.requested_at;
  t.by = j.ended_by;
  return t;
}

Admission admission_of(const Judgement& j, const Request& request, const Policy& policy) {
  Admission a;
  copy_names(a, j);
  a.id = grant_id(j.request);
  a.reason = request.reason;
  a.ticket = request.ticket;
  a.approvers = j.approvers;
  a.grant = j.request;
  a.start = j.window->start;
  a.end = std::min(j.window->end, policy.valid_until);
  const auto person = policy.people.find(j.subject);
  a.personal = person != policy.people.end() && person->second.account == j.account;
  const auto runbook = policy.runbooks.find(j.runbook);
  a.shared_sudo = runbook != policy.runbooks.end() && runbook->second.shared_sudo;
  a.alert = j.alert;
  a.rule = j.rule;
  a.commands = j.commands;
  return a;
}

}  // namespace

Verdict judge_grant(const Digest& digest, std::span<const Statement> statements, const JudgeContext& context) {
  Verdict v;
  Grant& g = v.grant;
  g.request = digest;
  const Statement* statement = find_request(digest, statements);
  if (statement == nullptr) {
    g.detail = "no such request is known here";
    for (const Statement& s : statements) g.requested_at = std::max(g.requested_at, s.made_at());
    return v;
  }
  const Request& request = *statement->request();
  g.known = true;
  g.requested_at = request.requested_at;
  Judgement j = judge(digest, statements, *context.policy->policy, context.host, context.now, context.policy->zones,
                      {context.voided});
  if (context.reset_at != UnixTime{} && request.requested_at <= context.reset_at) {
    // How it ended, if it did, went with the old ledger.
    j.state = GrantState::void_;
    j.step = Step::signature;
    j.detail = "it was asked for before this host's ledger was reset: ask again";
  }
  copy_outcome(g, j);
  g.alert = j.alert;
  if (j.state == GrantState::void_) return v;
  v.terminal = terminal_of(j, request, context);
  g.terminal = v.terminal.has_value();
  if (v.terminal) g.at = v.terminal->at;
  if (!g.terminal) g.next = next_change(j, request, statements, context);
  g.over = over_at(j, request).value_or(kNever);
  if (j.state == GrantState::ended && !g.terminal) g.at = j.window ? j.window->end : request.respond_by;
  const bool starts_later = j.state == GrantState::pending && j.step == Step::not_started && j.window;
  if (starts_later) g.at = j.window->start;
  if ((j.state == GrantState::active || starts_later) && j.window) {
    v.admission = admission_of(j, request, *context.policy->policy);
  }
  return v;
}

const Grant* Docket::find(const Digest& request) const {
  const auto found = grants_.find(request);
  return found == grants_.end() ? nullptr : &found->second;
}

void Docket::drop_admission(Grant& grant) {
  if (grant.admission < 0) return;
  auto& list = content_.admissions;
  const auto place = static_cast<std::size_t>(grant.admission);
  grant.admission = -1;
  if (place + 1 != list.size()) {
    list[place] = std::move(list.back());
    ends_[place] = ends_.back();
    grants_.at(list[place].grant).admission = static_cast<std::int32_t>(place);
  }
  list.pop_back();
  ends_.pop_back();
}

void Docket::set_limit(UnixTime limit) {
  limit_ = limit;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    Admission& a = content_.admissions[i];
    const UnixTime end = std::min(ends_[i], limit);
    if (std::exchange(a.end, end) != end) a.what = what_it_says(a);
  }
}

void Docket::put_admission(Grant& grant, Admission&& admission) {
  const UnixTime end = admission.end;
  admission.end = std::min(end, limit_);
  admission.what = what_it_says(admission);  // once, for it is compared at every publishing
  if (grant.admission >= 0) {
    content_.admissions[static_cast<std::size_t>(grant.admission)] = std::move(admission);
    ends_[static_cast<std::size_t>(grant.admission)] = end;
    return;
  }
  grant.admission = static_cast<std::int32_t>(content_.admissions.size());
  content_.admissions.push_back(std::move(admission));
  ends_.push_back(end);
}

void Docket::count_id(const Digest& request) {
  const auto [first, added] = ids_.try_emplace(id_bits(request), request);
  if (added || first->second == request) return;
  std::vector<Digest>& sharers = shared_ids_[grant_id(request)];
  if (sharers.empty()) {
    sharers.push_back(first->second);
    new_shared_.push_back(grant_id(request));
    if (const auto other = grants_.find(first->second); other != grants_.end()) drop_admission(other->second);
  }
  if (std::find(sharers.begin(), sharers.end(), request) == sharers.end()) sharers.push_back(request);
}

bool Docket::shares_id(const Digest& request) const {
  return !shared_ids_.empty() && shared_ids_.count(grant_id(request)) != 0;
}

std::vector<std::string> Docket::take_new_shared_ids() {
  return std::exchange(new_shared_, {});
}

std::optional<Grant> Docket::apply(Verdict&& verdict) {
  if (verdict.grant.known) count_id(verdict.grant.request);
  const auto [place, added] = grants_.try_emplace(verdict.grant.request, verdict.grant);
  Grant& grant = place->second;
  std::optional<Grant> before;
  if (!added) {
    before = std::move(grant);
    grant = std::move(verdict.grant);
    if (!grant.known && before->known) {
      // Nothing signs its request any more under the policy in force: the person or the key has left it.
      grant.known = true;
      copy_names(grant, *before);
      grant.requested_at = before->requested_at;
      grant.detail = "the key that signed it, or its owner, is not in the policy any more";
    }
    grant.admission = before->admission;
  }
  if (verdict.admission && !shares_id(grant.request)) {
    put_admission(grant, std::move(*verdict.admission));
  } else {
    drop_admission(grant);
  }
  return before;
}

void Docket::restore(const Digest& request, const Terminal& t) {
  Grant grant;
  grant.request = request;
  copy_outcome(grant, t);
  grant.known = true;
  grant.terminal = true;
  grant.requested_at = t.requested_at;
  grant.at = t.at;
  grants_.insert_or_assign(request, std::move(grant));
  count_id(request);
}

void Docket::forget(const Digest& request) {
  const auto found = grants_.find(request);
  if (found == grants_.end()) return;
  drop_admission(found->second);
  grants_.erase(found);
  const auto id = ids_.find(id_bits(request));
  if (id != ids_.end() && id->second == request) ids_.erase(id);
}

void Docket::clear() {
  grants_.clear();
  ids_.clear();
  shared_ids_.clear();
  content_.admissions.clear();
  ends_.clear();
}

std::vector<std::pair<GrantState, std::size_t>> Docket::by_state() const {
  std::vector<std::pair<GrantState, std::size_t>> counts = {{GrantState::active, 0},  {GrantState::pending, 0},
                                                            {GrantState::ended, 0},   {GrantState::denied, 0},
                                                            {GrantState::revoked, 0}, {GrantState::void_, 0}};
  for (const auto& entry : grants_) {
    const Grant& grant = entry.second;
    const auto count =
        std::find_if(counts.begin(), counts.end(), [&](const auto& c) { return c.first == grant.state; });
    if (grant.known && count != counts.end()) ++count->second;
  }
  return counts;
}

std::vector<Digest> Docket::due(UnixTime now) const {
  std::vector<Digest> due;
  for (const auto& [request, grant] : grants_) {
    if (grant.next <= now) due.push_back(request);
  }
  return due;
}

UnixTime Docket::next_due() const {
  UnixTime next = kNever;
  for (const auto& [request, grant] : grants_) next = std::min(next, grant.next);
  return next;
}

std::vector<Digest> Docket::of_subject(std::string_view subject) const {
  std::vector<Digest> found;
  for (const auto& [request, grant] : grants_) {
    if (!grant.terminal && grant.subject == subject) found.push_back(request);
  }
  return found;
}

std::vector<Digest> Docket::live() const {
  std::vector<Digest> found;
  for (const auto& [request, grant] : grants_) {
    if (!grant.terminal) found.push_back(request);
  }
  return found;
}

}  // namespace hallpass
