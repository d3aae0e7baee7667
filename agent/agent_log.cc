// The agent: what the log says.
#include <algorithm>
#include <chrono>

#include "agent/agent.h"
#include "core/hash.h"

namespace hallpass {
namespace {

constexpr Seconds kSlack{180};          // between a signer's clock and the hub's
constexpr Seconds kTellStaleAfter{60};  // of this run: the fetcher may need a moment

struct Identity {
  Digest payload;
  std::string fingerprint;
};

// Of an envelope that was verified before.
std::optional<Identity> identity_of(std::string_view wire) {
  const Result<Envelope> envelope = parse_envelope(wire);
  if (!envelope || envelope->signatures.size() != 1) return std::nullopt;
  const Result<Sshsig> signature = parse_sshsig(envelope->signatures.front().signature);
  if (!signature) return std::nullopt;
  return Identity{sha256(envelope->payload), signature->key.fingerprint()};
}

const char* kind_of(const Statement& s) {
  return s.request() != nullptr ? "request" : s.decision() != nullptr ? "decision" : "revocation";
}

bool voids_a_key(const Statement& s) {
  return s.revocation() != nullptr && s.revocation()->form == Revocation::Form::key;
}

}  // namespace

Status Agent::take_logged(std::string_view wire, std::uint64_t index) {
  if (Status taken = statement(wire); !taken) return taken;
  if (const std::optional<Identity> id = identity_of(wire)) logged_now_[{id->payload, id->fingerprint}] = index;
  return Unit{};
}

Status Agent::logged(std::string_view wire, std::uint64_t index, bool proven) {
  Status taken = proven ? take_logged(wire, index) : statement(wire);
  if (taken || taken.error().code != Errc::unavailable || damaged()) return taken;
  // Dated ahead, or about a request that is not known here: that is no reason to read the whole log again and again.
  return Error{Errc::unknown_key, taken.error().message};
}

bool Agent::is_logged(const Statement& s) const {
  const std::string& fingerprint = s.key().fingerprint();
  return logged_now_.count({s.payload_digest(), fingerprint}) != 0 ||
         ledger_->logged(s.payload_digest(), fingerprint).has_value();
}

// Where trust.toml says so, nobody is let in by what the log does not hold; what ends access needs no log.
bool Agent::counts_without_log(const Statement& s) const {
  const bool widens = s.request() != nullptr || (s.decision() != nullptr && s.decision()->approve);
  return !widens || !log_ || !log_->trust().require_log;
}

void Agent::log_head_changed() {
  if (log_) log_->head_changed();
  intake_->open_missing();  // the fetcher may just have made the folder of policies
}

// Policies come first: their files arrive before the head that follows them.
bool Agent::work_on_log(int milliseconds) {
  if (!log_ || damaged() || !policies_.in_force().policy) return false;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  while (log_->busy() && std::chrono::steady_clock::now() < until) log_->step();
  return log_->busy();
}

Status Agent::remember(const LogPosition& position) {
  record_batch();
  if (damaged() || !batch_.empty() || read_again_) return Error{Errc::unavailable, "the ledger takes nothing"};
  LedgerChange change;
  keep_logged(change);
  change.set(position);
  if (Status done = commit(change, false); !done) return done;
  judge_newly_logged();
  return Unit{};
}

// Only of statements that were kept: what was over long ago needs no memory.
void Agent::keep_logged(LedgerChange& change) {
  for (const auto& [id, index] : logged_now_) {
    if (ledger_->knows(id.first, id.second) && ledger_->logged(id.first, id.second).value_or(0) <= index)
      change.logged(id.first, id.second, index);
  }
}

// What was known before, and is proven only now.
void Agent::judge_newly_logged() {
  const bool matters = log_->trust().require_log && !logged_now_.empty();
  logged_now_.clear();
  if (!matters) return;
  std::vector<Digest> pending;
  for (const auto& [request, grant] : docket_.all()) {
    if (!grant.terminal && grant.state != GrantState::active) pending.push_back(request);
  }
  judge_again(pending, false);
}

Status Agent::proof(std::string_view text) {
  Result<LogProof> proof = parse_proof(text);
  if (!proof) return proof.error();
  if (!log_) return statement(proof->entry);  // it is signed all the same
  const Result<std::uint64_t> index = verify_proof(*proof, log_->trust());
  if (!index) {
    if (Status taken = statement(proof->entry); !taken) return taken;
    return Error{Errc::bad_signature, "its statement is taken, but not as proven: " + index.error().message};
  }
  if (Status taken = take_logged(proof->entry, *index); !taken) return taken;
  proofs_taken_ = true;
  return Unit{};
}

// Proofs that people carried, with the batch that holds their statements.
// False: they could not be written yet, and are tried again.
bool Agent::keep_proofs() {
  if (!proofs_taken_) return true;
  if (damaged() || !batch_.empty()) return false;
  LedgerChange change;
  keep_logged(change);
  if (!change.empty()) {
    if (const Status done = commit(change, false); !done) return false;
  }
  proofs_taken_ = false;
  judge_newly_logged();
  return true;
}

// A new host begins at live_from, so nothing that still matters may lie before it. This host was there.
void Agent::epoch_read(const Epoch& epoch, std::uint64_t index) {
  const std::string which = "epoch " + std::to_string(index);
  const auto tell = [&](const std::string& wrong) { journal_.event(Event::log_epoch_wrong, wrong, {{"WHY", wrong}}); };
  if (clock_->reading().synchronised && epoch.at > clock_->reading().wall + kSlack)
    tell(which + " is dated " + format_time(epoch.at) + ", which has not come yet");
  const auto& policy = policies_.in_force().policy;
  if (!policy) return;
  for (const std::string& envelope : ledger_->logged_before(epoch.live_from)) {
    const Result<Statement> s = open_statement(envelope, policy->fleet, *policy);
    if (!s) continue;  // its signer has left the policy
    const bool forever = voids_a_key(*s) && !voided_keys(std::span(&*s, 1), *policy).empty();
    if (!forever && s->made_at() <= epoch.at - kLogHorizon + kSlack) continue;
    return tell(which + " tells new hosts to begin at entry " + std::to_string(epoch.live_from) +
                ", which leaves out a " + kind_of(*s) + " of " + s->signer() + " of " + format_time(s->made_at()));
  }
}

void Agent::log_minute() {
  if (!log_) return;
  log_->head_changed();
  tell_staleness();
  if (log_->seen_at()) clock_->vouch(*log_->seen_at());
}

void Agent::tell_staleness() {
  if (config_.mirror.empty()) return;
  const std::string why = log_->why_stale(clock_->reading());
  const Seconds up = clock_->reading().boottime;
  if (log_started_ == Seconds{0}) log_started_ = up;
  if (why.empty() == !stale_told_) return;
  if (!why.empty() && up < log_started_ + kTellStaleAfter) return;
  stale_told_ = !why.empty();
  journal_.event(stale_told_ ? Event::log_stale : Event::log_fresh,
                 stale_told_ ? "the log is stale: " + why : "the log is fresh again", {{"WHY", why}});
}

// Until when anyone may be admitted where stale means deny: readers enforce it alone, so it moves on in steps, not with
// every cosignature.
void Agent::limit_by_freshness() {
  if (!log_ || !log_->trust().deny_when_stale || config_.mirror.empty()) return;
  const Seconds max_age = log_->trust().max_age;
  const ClockReading& reading = clock_->reading();
  const auto seen = log_->seen_at();
  const bool known = seen && reading.synchronised && *seen <= reading.wall + LogIntake::kMaxAheadOfUs;
  const UnixTime until = known ? *seen + max_age : UnixTime{}, limit = docket_.limit();
  const bool promised = limit != kNever && clock_->now() < limit;  // and what was promised holds
  if (until == limit || (promised && until < limit + max_age / 3)) return;
  docket_.set_limit(until);
  publish_again_ = true;
}

Json Agent::log_status() const {
  if (!log_) return Json();
  const ClockReading& reading = clock_->reading();
  const LogPosition& at = log_->position();
  const std::string stale = config_.mirror.empty() ? "" : log_->why_stale(reading);
  return Json(JsonObject{{"origin", Json(log_->trust().log.name)},
                         {"mirror", config_.mirror.empty() ? Json() : Json(layout_.at(config_.mirror))},
                         {"size", Json(static_cast<std::int64_t>(at.frontier.size()))},
                         {"root", Json(format_digest(at.frontier.root()))},
                         {"seen_at", log_->seen_at() ? Json(format_time(*log_->seen_at())) : Json()},
                         {"live_from", Json(static_cast<std::int64_t>(at.live_from))},
                         {"stale", stale.empty() ? Json() : Json(stale)},
                         {"fault", log_->fault().empty() ? Json() : Json(log_->fault())},
                         {"waiting", Json(static_cast<std::int64_t>(log_->waiting()))},
                         {"refused", Json(static_cast<std::int64_t>(log_->refused()))},
                         {"required", Json(log_->trust().require_log)}});
}

}  // namespace hallpass
