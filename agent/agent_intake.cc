// The agent: from files to the ledger.
#include <algorithm>
#include <iterator>

#include "agent/agent.h"
#include "core/hash.h"

namespace hallpass {
namespace {

// Statements about one request that widen, at most: more than all approvers of a fleet with all their keys.
constexpr std::size_t kMaxStatementsOfOne = 512;
constexpr std::ptrdiff_t kMaxStatementsOfOneKey = 16;    // about one request
constexpr int kMaxEarlyEndings = 200;                    // by one signer, of requests that are not known here
constexpr std::size_t kMaxEndedUnknown = 10000;          // requests that others ended too, at most
constexpr std::int64_t kShares = 4, kLeastShare = 1000;  // of max_grants
constexpr Seconds kMaxAhead{24 * 3600};
constexpr std::size_t kMaxBatch = 512;
constexpr std::size_t kMaxUnrecorded = 1000;
constexpr std::size_t kMaxGlobals = 10000;

bool is_narrowing(const Statement& s) {
  return s.revocation() != nullptr || (s.decision() != nullptr && !s.decision()->approve);
}

Digest group_of(const Statement& s) {
  if (s.request() != nullptr) return s.payload_digest();
  if (s.decision() != nullptr) return s.decision()->request;
  return s.revocation()->form == Revocation::Form::request ? s.revocation()->request : Digest{};
}

bool is_of_subject(const Statement& s) {
  return s.revocation() != nullptr && s.revocation()->form == Revocation::Form::subject;
}

// Two revocations of one subject by one key: the later one ends all that the earlier one does.
bool covers(const Statement& later, const Statement& earlier) {
  return is_of_subject(later) && is_of_subject(earlier) && later.key() == earlier.key() &&
         later.revocation()->subject == earlier.revocation()->subject &&
         later.revocation()->revoked_at >= earlier.revocation()->revoked_at;
}

bool is_covered(const Statement& global, const std::vector<Statement>& later) {
  return std::any_of(later.begin(), later.end(),
                     [&](const Statement& s) { return !(s == global) && covers(s, global); });
}

// Few, and mostly none.
std::vector<Statement> of_subjects(const std::vector<Statement>& statements) {
  std::vector<Statement> found;
  std::copy_if(statements.begin(), statements.end(), std::back_inserter(found), is_of_subject);
  return found;
}

// The latest moment at which this statement can still let anyone in.
UnixTime matters_until(const Statement& s) {
  if (s.request() != nullptr) {
    const Request& r = *s.request();
    return std::max(r.respond_by, r.not_before.value_or(r.respond_by)) + r.duration;
  }
  // A stolen key stays stolen.
  if (s.revocation() != nullptr && s.revocation()->form == Revocation::Form::key) return kNever;
  return s.made_at() + kForgetAfter;
}

}  // namespace

// Read and recorded before? Looks at the outside only: the ledger holds it verified, so nothing of this envelope is
// believed.
std::optional<bool> Agent::known_before(std::string_view wire) const {
  if (wire.size() > kMaxStatementEnvelopeBytes) return std::nullopt;
  const Result<Envelope> envelope = parse_envelope(wire);
  if (!envelope || envelope->signatures.size() != 1) return std::nullopt;
  const Result<Sshsig> signature = parse_sshsig(envelope->signatures.front().signature);
  if (!signature) return std::nullopt;
  return ledger_->knows(sha256(envelope->payload), signature->key.fingerprint());
}

Status Agent::statement(std::string_view wire) {
  if (damaged()) return Error{Errc::unavailable, "the ledger is damaged"};
  if (!policies_.in_force().policy) {
    if (policies_dirty_) walk_policies();
    if (!policies_.in_force().policy) return Error{Errc::unknown_key, "no policy is in force yet"};
  }
  if (known_before(wire).value_or(false)) return Unit{};
  const Policy& policy = *policies_.in_force().policy;
  const Result<Statement> opened = open_statement(wire, policy.fleet, policy);
  if (!opened) return opened.error();
  if (std::find(batch_.begin(), batch_.end(), *opened) != batch_.end()) return Unit{};
  if (Status kept = keep(*opened); !kept) return kept;
  if (batch_.size() >= kMaxBatch) record_batch();
  return Unit{};
}

// Narrowing may use the space that is set aside, so it is kept only from those whom it is a right of. What waits here
// is looked at again: `unknown_key` with the next policy, `unavailable` every minute.
Status Agent::may_narrow(const Statement& s, const Digest& group) {
  const Policy& policy = *policies_.in_force().policy;
  const Revocation* r = s.revocation();
  const bool of_key = r != nullptr && r->form == Revocation::Form::key;
  const bool of_subject = r != nullptr && r->form == Revocation::Form::subject;
  if (of_key || of_subject) {
    const bool may = of_key ? !voided_keys(std::span(&s, 1), policy).empty()
                            : r->by == r->subject || policy.admins.count(r->by) != 0;
    if (may) return Unit{};
    return Error{Errc::unknown_key,
                 r->by + " is neither an admin nor the one whose " + (of_key ? "key" : "grants") + " this ends"};
  }
  Request about;
  const Grant* grant = docket_.find(group);
  const auto same = [&](const Statement& other) {
    return other.request() != nullptr && other.payload_digest() == group;
  };
  const auto read_just_now = std::find_if(batch_.begin(), batch_.end(), same);
  if (grant != nullptr && grant->known) {
    about.subject = grant->subject;
    about.runbook = grant->runbook;
  } else if (read_just_now != batch_.end()) {
    about = *read_just_now->request();
  } else {
    if (++early_endings_[s.signer()] <= kMaxEarlyEndings) return Unit{};
    if (ended_unknown_.size() < kMaxEndedUnknown) ended_unknown_.insert(group);
    return Error{Errc::unavailable, s.signer() + " has ended too many requests that are not known here"};
  }
  if (!may_end(s.signer(), about, policy).empty()) return Unit{};
  return Error{Errc::unknown_key, s.signer() + " may neither deny nor revoke this grant"};
}

Status Agent::keep(const Statement& s) {
  const Digest group = group_of(s);
  if (matters_until(s) < clock_->trusted()) return Unit{};  // long over: nothing to remember
  const bool global = group == Digest{};
  if (!global && ledger_->terminal(group)) return Unit{};
  if (is_narrowing(s)) {
    if (Status may = may_narrow(s, group); !may) return may;
    if (says_nothing_new(s)) return Unit{};
  } else if (s.made_at() > clock_->now() + kMaxAhead) {
    return Error{Errc::unavailable, "it is dated more than a day ahead"};
  }
  if (!is_narrowing(s)) {
    const bool first = docket_.find(group) == nullptr;
    if (first && static_cast<std::int64_t>(docket_.all().size()) >= config_.max_grants) {
      return Error{Errc::too_large,
                   "this host holds " + std::to_string(config_.max_grants) + " requests already (max_grants)"};
    }
    if (first) {
      if (Status room = count_request(s, group); !room) return room;
    }
    const std::vector<std::string> held = first ? std::vector<std::string>{} : ledger_->statement_keys_of(group);
    const auto stored = std::count_if(held.begin(), held.end(), [&](const std::string& key) {
      return std::string_view(key).ends_with(s.key().fingerprint());
    });
    const auto waiting = std::count_if(batch_.begin(), batch_.end(), [&](const Statement& other) {
      return group_of(other) == group && other.key() == s.key();
    });
    if (stored + waiting >= kMaxStatementsOfOneKey) {
      return Error{Errc::too_large, s.signer() + " has said enough about this request"};
    }
    if (held.size() >= kMaxStatementsOfOne) {
      return Error{Errc::too_large,
                   "there are " + std::to_string(kMaxStatementsOfOne) + " statements about this request already"};
    }
  }
  if (global && s.revocation()->form == Revocation::Form::subject && globals_.size() >= kMaxGlobals) {
    return Error{Errc::too_large, "this host holds " + std::to_string(kMaxGlobals) + " revocations of people already"};
  }
  // How this request ended was read before, and waits.
  if (s.request() != nullptr && log_ && (ended_unknown_.count(group) != 0 || ended_unknown_.size() >= kMaxEndedUnknown))
    log_->policy_changed();
  std::erase_if(batch_, [&](const Statement& other) { return covers(s, other); });
  batch_.push_back(s);
  return Unit{};
}

// Nobody may fill the room of all: each person has a share of it, and so have all requests together of which only
// approvals are known.
Status Agent::count_request(const Statement& s, const Digest& group) {
  const auto same = [&](const Statement& other) { return group_of(other) == group; };
  if (std::any_of(batch_.begin(), batch_.end(), same)) return Unit{};
  const std::int64_t share =
      std::max(config_.max_grants / kShares, std::min<std::int64_t>(config_.max_grants, kLeastShare));
  const std::string whose = s.request() != nullptr ? s.signer() : "";
  std::int64_t& held = held_[whose];
  if (held >= share) {
    return Error{Errc::too_large, (whose.empty() ? "requests that never came here have " : whose + " has ") +
                                      std::to_string(held) +
                                      " places of this host's max_grants already, the share of one"};
  }
  ++held;
  return Unit{};
}

void Agent::count_requests() {
  held_.clear();
  for (const auto& entry : docket_.all()) ++held_[entry.second.subject];
}

// Who revokes himself or his key every minute must not use up the room for the revocations of others.
bool Agent::says_nothing_new(const Statement& s) const {
  const Revocation* r = s.revocation();
  if (r == nullptr) return false;
  if (r->form == Revocation::Form::key) return voided_.count(r->key) != 0;
  const auto covered = [&](const Statement& other) { return covers(other, s); };
  return std::any_of(globals_.begin(), globals_.end(), covered) || std::any_of(batch_.begin(), batch_.end(), covered);
}

void Agent::take_global(const Statement& s, LedgerChange& change, std::set<Digest>& affected) {
  const Revocation& r = *s.revocation();
  if (r.form == Revocation::Form::subject) {
    for (const Digest& request : docket_.of_subject(r.subject)) affected.insert(request);
    return;
  }
  for (const std::string& key : voided_keys(std::span(&s, 1), *policies_.in_force().policy)) {
    change.void_key(key);
    std::string owner;
    policies_.in_force().policy->find_fingerprint(key, &owner);
    journal_.event(Event::key_voided,
                   "the key " + key + (owner.empty() ? "" : " of " + owner) + " is void: revoked by " + r.by,
                   {{"KEY", key}, {"SUBJECT", owner}, {"WHY", r.reason}});
    voided_.insert(key);
    for (const Digest& request : docket_.live()) affected.insert(request);
  }
}

// One transaction for what was read: the statements, and how that leaves their grants.
void Agent::record_batch() {
  if (batch_.empty() || damaged()) return;
  LedgerChange change;
  std::set<Digest> affected;
  const std::set<std::string> voided_before = voided_;
  const std::size_t globals_before = globals_.size();
  const std::vector<Statement> later = of_subjects(batch_);
  const auto covered = [&later](const Statement& global) { return is_covered(global, later); };
  for (const Statement& global : globals_) {
    if (covered(global)) change.forget(global);
  }
  for (const Statement& s : batch_) {
    change.add(s);
    if (group_of(s) == Digest{}) {
      globals_.push_back(s);
      take_global(s, change, affected);
    } else {
      affected.insert(group_of(s));
    }
  }
  std::vector<Verdict> verdicts;
  for (const Digest& request : affected) {
    verdicts.push_back(judge_one(request));
    if (verdicts.back().terminal) change.end(request, *verdicts.back().terminal);
  }
  const bool narrowing = change.narrowing();
  if (const Status done = commit(change, narrowing); !done) {
    voided_ = voided_before;
    globals_.resize(globals_before, batch_.front());
    end_unrecorded(verdicts);
    batch_failed(done.error().message);
    return;
  }
  std::erase_if(globals_, covered);
  batch_.clear();
  for (Verdict& v : verdicts) apply(std::move(v), false);
  if (narrowing) publish_again_ = true;
}

// Not recorded, so not believed; but what ends someone's access must not wait for the disk: then nobody is admitted.
void Agent::batch_failed(const std::string& why) {
  read_again_ = true;
  bool narrowing = false;
  for (const Statement& s : batch_) {
    if (!is_narrowing(s)) continue;
    narrowing = true;
    if (unrecorded_.size() < kMaxUnrecorded) unrecorded_.push_back(s.envelope());
  }
  batch_.clear();
  if (narrowing) publisher_.withdraw(why);
}

void Agent::walk_policies() {
  policies_dirty_ = false;
  bool any = false;
  // Version 8 may lie in another directory than 9, so until none goes on.
  for (bool progress = true; progress && !policies_dirty_;) {
    progress = false;
    for (const auto& directory : intake_->directories()) {
      // Opened by the intake alone, which watches it from then on.
      if (directory->is_open() && walk_directory(*directory)) progress = any = true;
      if (damaged()) return;
    }
  }
  if (!any) return;
  policies_.tell_validity(clock_->now());
  judge_again(docket_.live(), false);
  intake_->forget_waiting();
  if (log_) log_->policy_changed();
  publish_again_ = true;
}

bool Agent::walk_directory(const WatchedDirectory& directory) {
  bool any = false;
  // The same version too: two policies under one number are an alert.
  read_policy_files(directory.fd(), directory.path(), policies_.version() - 1, [&](PolicyCandidate&& candidate) {
    std::shared_ptr<const Policy> next = policies_.consider(candidate, voided_);
    if (!next) return true;
    if (!accept(candidate, std::move(next))) return false;
    any = true;
    return true;
  });
  return any;
}

bool Agent::accept(const PolicyCandidate& candidate, std::shared_ptr<const Policy> policy) {
  LedgerChange change;
  change.accept(policy->version, candidate.files);
  const std::int64_t before = std::exchange(state_.policy_version, policy->version);
  if (const Status done = commit(change, true); !done) {
    state_.policy_version = before;
    policies_dirty_ = true;
    publisher_.withdraw(done.error().message);
    return false;
  }
  const std::string version = std::to_string(policy->version);
  journal_.event(Event::policy_accepted, "policy version " + version + " is in force",
                 {{"POLICY", version}, {"FILE", candidate.name}});
  policies_.adopt(std::move(policy), candidate.files.toml);
  reopen_globals();
  return true;
}

}  // namespace hallpass
