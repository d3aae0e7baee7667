#include "hub/registry.h"

#include <algorithm>

namespace hallpass::hub {
namespace {

// A revocation reaches what was asked for before it, and that ends by itself; two days for clocks.
constexpr Seconds kRevocationMatters = kMaxRespondBy + kMaxNotBefore + kMaxDuration + Seconds{2 * 86400};
// A request that is over stays listed for a day.
constexpr Seconds kListedAfterEnd{86400};

// Of one subject; beyond, those that a later one of the same key covers are forgotten.
constexpr std::size_t kKeptOfSubject = 64;

bool is_terminal(GrantState state) {
  return state == GrantState::denied || state == GrantState::revoked || state == GrantState::void_;
}

bool owner_still_holds(const Statement& s, const Policy& policy) {
  const auto owner = policy.find(s.key());
  return owner && owner->name == s.signer();
}

// Would `known` do what `next`, by the same person, is meant to do?
bool covers(const Statement& known, const Statement& next) {
  if (known.signer() != next.signer() || known.kind() != next.kind()) return false;
  if (next.decision() != nullptr) return !known.decision()->approve;
  const Revocation &a = *known.revocation(), &b = *next.revocation();
  if (a.form != b.form) return false;
  if (a.form == Revocation::Form::request) return true;  // both are in the list of one grant
  if (a.form == Revocation::Form::subject) return a.revoked_at >= b.revoked_at;
  return a.key == b.key;
}

}  // namespace

StatementId id_of(const Statement& statement) {
  return {statement.payload_digest(), statement.key().fingerprint()};
}

bool narrows(const Statement& statement) {
  return statement.revocation() != nullptr || (statement.decision() != nullptr && !statement.decision()->approve);
}

std::optional<Digest> grant_of(const Statement& statement) {
  if (statement.request() != nullptr) return statement.payload_digest();
  if (const Decision* decision = statement.decision()) return decision->request;
  const Revocation& revocation = *statement.revocation();
  if (revocation.form == Revocation::Form::request) return revocation.request;
  return std::nullopt;
}

std::vector<Statement> statements_of(std::span<const KnownStatement> known) {
  std::vector<Statement> out;
  out.reserve(known.size());
  for (const KnownStatement& k : known) out.push_back(k.statement);
  return out;
}

UnixTime latest_end(const Request& request) {
  return std::max(request.respond_by, request.not_before.value_or(request.respond_by)) + request.duration;
}

bool KnownGrant::is_live(UnixTime now) const {
  return !is_terminal(state) && now < over_at;
}

Registry::Place Registry::place_of(const Statement& statement) {
  if (const auto grant = grant_of(statement)) return {Place::In::grant, *grant, {}};
  const Revocation& revocation = *statement.revocation();
  if (revocation.form == Revocation::Form::key) return {Place::In::key, {}, revocation.key};
  return {Place::In::subject, {}, revocation.subject};
}

std::vector<KnownStatement>* Registry::list_of(const Place& place) {
  if (place.in == Place::In::grant) {
    const auto found = grants_.find(place.grant);
    return found == grants_.end() ? nullptr : &found->second.statements;
  }
  ByName& all = place.in == Place::In::key ? of_keys_ : of_subjects_;
  const auto found = all.find(place.name);
  return found == all.end() ? nullptr : &found->second;
}

const std::vector<KnownStatement>* Registry::list_of(const Place& place) const {
  return const_cast<Registry*>(this)->list_of(place);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

void Registry::set_policy(PolicyInForce next, UnixTime now) {
  in_force_ = std::make_shared<const PolicyInForce>(std::move(next));
  judge_all_again(now);
}

const KnownStatement* Registry::find(const StatementId& id) const {
  const auto place = places_.find(id);
  if (place == places_.end()) return nullptr;
  const std::vector<KnownStatement>* list = list_of(place->second);
  if (list == nullptr) return nullptr;
  const auto found = std::find_if(list->begin(), list->end(), [&](const auto& k) { return id_of(k.statement) == id; });
  return found == list->end() ? nullptr : &*found;
}

const KnownGrant* Registry::grant(const Digest& request) const {
  const auto found = grants_.find(request);
  return found == grants_.end() ? nullptr : &found->second;
}

bool Registry::add(const Statement& statement, std::optional<std::uint64_t> index, UnixTime now) {
  if (find(id_of(statement)) != nullptr) {
    if (index) settle(id_of(statement), *index);  // put into the log again: the newer entry is the one readers find
    return true;
  }
  const Place place = place_of(statement);
  if (const Request* request = statement.request()) {
    KnownGrant& grant = grants_[place.grant];
    if (grant.statements.empty()) {
      grant = {place.grant, request->subject, request->requested_at, {}, {}, hub::latest_end(*request), {}};
      by_subject_[request->subject].insert(place.grant);
      ids_.emplace(grant_id(place.grant), place.grant);
    }
  }
  if (place.in == Place::In::subject) of_subjects_.try_emplace(place.name);
  if (place.in == Place::In::key) of_keys_.try_emplace(place.name);
  std::vector<KnownStatement>* list = list_of(place);
  if (list == nullptr) return false;
  list->push_back({statement, index});
  places_.emplace(id_of(statement), place);
  if (place.in == Place::In::subject) forget_covered(*list);
  judge_affected(place, now);
  return true;
}

// Who revokes himself twice a minute must not make everything about him slow.
void Registry::forget_covered(std::vector<KnownStatement>& of_subject) {
  if (of_subject.size() <= kKeptOfSubject) return;
  const auto covering = [&](const KnownStatement& old) {
    return std::any_of(of_subject.begin(), of_subject.end(), [&](const KnownStatement& k) {
      return &k != &old && k.index && k.statement.key() == old.statement.key() && covers(k.statement, old.statement);
    });
  };
  const auto found = std::find_if(of_subject.begin(), of_subject.end(),
                                  [&](const KnownStatement& old) { return old.index && covering(old); });
  if (found == of_subject.end()) return;
  places_.erase(id_of(found->statement));
  of_subject.erase(found);
}

void Registry::judge_affected(const Place& place, UnixTime now) {
  if (place.in == Place::In::grant) {
    if (const auto found = grants_.find(place.grant); found != grants_.end()) judge_again(found->second, now);
  } else if (place.in == Place::In::subject) {
    const auto mine = by_subject_.find(place.name);
    if (mine == by_subject_.end()) return;
    for (const Digest& request : mine->second) judge_again(grants_.at(request), now);
  } else {
    for (auto& [digest, grant] : grants_) {
      const bool used = std::any_of(grant.statements.begin(), grant.statements.end(), [&](const KnownStatement& k) {
        return k.statement.key().fingerprint() == place.name;
      });
      if (used) judge_again(grant, now);
    }
  }
}

void Registry::settle(const StatementId& id, std::uint64_t index) {
  const auto place = places_.find(id);
  if (place == places_.end()) return;
  std::vector<KnownStatement>* list = list_of(place->second);
  if (list == nullptr) return;
  for (KnownStatement& known : *list) {
    if (id_of(known.statement) == id) known.index = index;
  }
}

void Registry::forget(const StatementId& id, UnixTime now) {
  const auto at = places_.find(id);
  if (at == places_.end()) return;
  const Place place = at->second;
  places_.erase(at);
  std::vector<KnownStatement>* list = list_of(place);
  if (list == nullptr) return;
  std::erase_if(*list, [&](const KnownStatement& known) { return id_of(known.statement) == id; });
  const auto grant = grants_.find(place.grant);
  const bool orphaned = grant != grants_.end() && (list->empty() || list->front().statement.request() == nullptr);
  if (place.in != Place::In::grant || !orphaned) return judge_affected(place, now);
  for (const KnownStatement& known : *list) places_.erase(id_of(known.statement));
  erase_grant(grant);
}

const KnownStatement* Registry::same_narrowing(const Statement& statement) const {
  if (!narrows(statement) || !has_policy()) return nullptr;
  const std::vector<KnownStatement>* list = list_of(place_of(statement));
  if (list == nullptr) return nullptr;
  const auto found = std::find_if(list->begin(), list->end(), [&](const KnownStatement& k) {
    return covers(k.statement, statement) && owner_still_holds(k.statement, *in_force_->policy);
  });
  return found == list->end() ? nullptr : &*found;
}

// Of revocations of keys only those whose key signed something here: nothing else can come of them.
std::vector<KnownStatement> Registry::bearing_on(const KnownGrant& grant, const Statement* more) const {
  std::vector<KnownStatement> all = grant.statements;
  const auto append = [&](const ByName& from, const std::string& name) {
    const auto found = from.find(name);
    if (found != from.end()) all.insert(all.end(), found->second.begin(), found->second.end());
  };
  std::set<std::string> keys;
  for (const KnownStatement& known : grant.statements) keys.insert(known.statement.key().fingerprint());
  if (more != nullptr) keys.insert(more->key().fingerprint());
  append(of_subjects_, grant.subject);
  for (const std::string& key : keys) append(of_keys_, key);
  return all;
}

Judgement Registry::judge(const Digest& request, UnixTime now) const {
  const KnownGrant* known = grant(request);
  if (known == nullptr || !has_policy()) return {};
  return hallpass::judge(request, statements_of(bearing_on(*known)), *in_force_->policy, nullptr, now,
                         in_force_->zones);
}

Judgement Registry::judge_with(const Digest& request, const Statement& more, UnixTime now) const {
  if (!has_policy()) return {};
  KnownGrant empty;
  if (more.request() != nullptr) empty.subject = more.request()->subject;
  const KnownGrant* known = grant(request);
  std::vector<Statement> all = statements_of(bearing_on(known == nullptr ? empty : *known, &more));
  all.push_back(more);
  return hallpass::judge(request, all, *in_force_->policy, nullptr, now, in_force_->zones);
}

void Registry::judge_again(KnownGrant& grant, UnixTime now) {
  if (!has_policy()) return;
  const Judgement j = judge(grant.digest, now);
  grant.state = j.state;
  grant.over_at = grant.latest_end;
  if (j.window && (j.state == GrantState::active || j.step == Step::not_started || j.step == Step::over)) {
    grant.over_at = std::min(grant.over_at, j.window->end);
  }
}

void Registry::judge_all_again(UnixTime now) {
  for (auto& [digest, grant] : grants_) judge_again(grant, now);
}

GrantCase Registry::case_of(const Digest& request) const {
  GrantCase out;
  if (const KnownGrant* known = grant(request)) out = {request, known->statements, bearing_on(*known)};
  return out;
}

std::vector<GrantCase> Registry::cases(std::string_view subject) const {
  std::vector<const KnownGrant*> chosen;
  if (subject.empty()) {
    for (const auto& [digest, grant] : grants_) chosen.push_back(&grant);
  } else if (const auto mine = by_subject_.find(subject); mine != by_subject_.end()) {
    for (const Digest& request : mine->second) chosen.push_back(&grants_.at(request));
  }
  std::sort(chosen.begin(), chosen.end(), [](const KnownGrant* a, const KnownGrant* b) {
    return std::pair(a->requested_at, a->digest) < std::pair(b->requested_at, b->digest);
  });
  std::vector<GrantCase> out;
  out.reserve(chosen.size());
  for (const KnownGrant* grant : chosen) out.push_back({grant->digest, grant->statements, bearing_on(*grant)});
  return out;
}

std::set<std::string> Registry::voided() const {
  if (!has_policy()) return {};
  std::vector<KnownStatement> all;
  for (const auto& [key, list] : of_keys_) all.insert(all.end(), list.begin(), list.end());
  return voided_keys(statements_of(all), *in_force_->policy);
}

std::size_t Registry::live_requests(std::string_view subject, UnixTime now) const {
  const auto mine = by_subject_.find(subject);
  if (mine == by_subject_.end()) return 0;
  return static_cast<std::size_t>(std::count_if(mine->second.begin(), mine->second.end(), [&](const Digest& request) {
    return grants_.at(request).is_live(now);
  }));
}

bool Registry::id_is_taken(const Digest& request) const {
  const auto found = ids_.find(grant_id(request));
  return found != ids_.end() && found->second != request;
}

std::vector<Statement> Registry::key_revocations_before(std::uint64_t index) const {
  std::vector<Statement> out;
  for (const auto& [key, list] : of_keys_) {
    std::string owner;
    if (!has_policy() || in_force_->policy->find_fingerprint(key, &owner) == nullptr) continue;
    for (const KnownStatement& known : list) {
      if (known.index && *known.index < index) out.push_back(known.statement);
    }
  }
  return out;
}

Registry::Grants::iterator Registry::erase_grant(Grants::iterator at) {
  const KnownGrant& grant = at->second;
  if (const auto id = ids_.find(grant_id(grant.digest)); id != ids_.end() && id->second == grant.digest) ids_.erase(id);
  const auto mine = by_subject_.find(grant.subject);
  mine->second.erase(grant.digest);
  if (mine->second.empty()) by_subject_.erase(mine);
  return grants_.erase(at);
}

std::size_t Registry::forget_old(UnixTime now) {
  const std::size_t before = places_.size();
  for (auto at = grants_.begin(); at != grants_.end();) {
    const KnownGrant& grant = at->second;
    if (grant.latest_end + kListedAfterEnd > now) {
      ++at;
      continue;
    }
    for (const KnownStatement& known : grant.statements) places_.erase(id_of(known.statement));
    at = erase_grant(at);
  }
  forget_old_of(of_subjects_, now);
  forget_old_of(of_keys_, now);
  return before - places_.size();
}

// A revocation of a key that the policy lists matters for good.
void Registry::forget_old_of(ByName& all, UnixTime now) {
  for (auto& [name, list] : all) {
    std::string owner;
    if (&all == &of_keys_ && has_policy() && in_force_->policy->find_fingerprint(name, &owner) != nullptr) continue;
    std::erase_if(list, [&](const KnownStatement& known) {
      const bool old = known.index && known.statement.made_at() + kRevocationMatters <= now;
      if (old) places_.erase(id_of(known.statement));
      return old;
    });
  }
  std::erase_if(all, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace hallpass::hub
