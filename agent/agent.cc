#include "agent/agent.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/edge/files.h"
#include "host/snapshot_reader.h"

namespace hallpass {
namespace {

constexpr Seconds kKeepFloorEvery{600};
constexpr Seconds kTellDamageEvery{3600};
constexpr Seconds kAnomaly{30};  // of the clock

std::vector<InputDirectory> inputs_of(const Layout& layout, const HostConfig& config) {
  std::vector<InputDirectory> inputs;
  for (const std::string& d : config.directories) inputs.push_back({layout.at(d), InputRole::statements});
  if (!config.mirror.empty()) {
    inputs.push_back({layout.at(config.mirror), InputRole::mirror});
    inputs.push_back({layout.at(config.mirror + "/policies"), InputRole::statements});
  }
  if (!config.drop.empty()) inputs.push_back({layout.at(config.drop), InputRole::drop});
  return inputs;
}

SudoDefaults::Where sudo_files(const Layout& layout) {
  SudoDefaults::Where where;
  where.sudoers = layout.sudoers();
  where.defaults = layout.sudo_defaults();
  where.owner = geteuid();
  return where;
}

Result<std::string> read_machine_id(const Layout& layout) {
  Result<std::string> text = read_file(AT_FDCWD, layout.machine_id(), 100, true);
  if (!text) return text;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  if (text->empty()) return Error{Errc::malformed, layout.machine_id() + " is empty: this host has no identity"};
  return text;
}

}  // namespace

Agent::Agent(Layout layout, HostConfig config, Trust trust, AgentSeams seams)
    : layout_(std::move(layout)),
      config_(std::move(config)),
      seams_(std::move(seams)),
      journal_(*seams_.journal),
      policies_(trust, seams_.zones, journal_),
      publisher_(*seams_.store, journal_),
      alarm_(journal_),
      sudo_defaults_(sudo_files(layout_), journal_) {
  intake_ = std::make_unique<Intake>(inputs_of(layout_, config_), static_cast<InputSink&>(*this), journal_);
  if (trust.log) {
    const std::string mirror = config_.mirror.empty() ? "" : layout_.at(config_.mirror);
    log_ = std::make_unique<LogIntake>(mirror, *trust.log, trust.fleet, static_cast<LogSink&>(*this), journal_);
  }
  clock_ = std::make_unique<Timekeeper>(seams_.clock, ClockMemory{});
}

Status Agent::start() {
  Result<std::string> id = read_machine_id(layout_);
  if (!id) return id.error();
  machine_id_ = *id;
  const Status opened = open_ledger();
  sudo_defaults_.look();  // after what matters more
  if (!opened) {
    if (opened.error().code != Errc::malformed) return opened;
    enter_damage(opened.error().message);
    return Unit{};
  }
  if (Status loaded = load(); !loaded) return loaded;
  if (damaged()) return Unit{};
  // Withdrawn by an earlier run: what it could not record may lie in the directories still, so they are read first.
  hold_ = access(layout_.withdrawn().c_str(), F_OK) == 0;
  // The head that is remembered may be old, and the one in the mirror young: the limit in what stands holds until then.
  hold_ = hold_ || (log_ && log_->trust().deny_when_stale);
  publish_if_different();
  policies_.tell_validity(clock_->now());
  tell_clock_at_start();
  intake_->begin_scan(clock_->now());
  return Unit{};
}

Status Agent::open_ledger() {
  Ledger::Options options = seams_.ledger;
  options.directory = layout_.ledger();
  if (const auto wrong = check_ledger(options.directory)) return Error{Errc::malformed, *wrong};
  auto opened = Ledger::open(options);
  if (!opened) return opened.error();
  ledger_ = std::move(*opened);
  return Unit{};
}

// Everything that the ledger knows, judged by the time that it is now. Quiet about what was told before the restart.
Status Agent::load() {
  state_ = ledger_->state();
  clock_ = std::make_unique<Timekeeper>(seams_.clock, state_.clock);
  voided_ = ledger_->voided_keys();
  if (state_.policy_version > 0) {
    if (const auto stored = ledger_->policy(state_.policy_version)) {
      if (Status restored = policies_.restore(*stored, state_.policy_version); !restored) {
        if (restored.error().code == Errc::mismatch) return restored;
        enter_damage(restored.error().message);
        return Unit{};
      }
    } else {
      policies_.set_least_version(state_.policy_version);
    }
  }
  ledger_->each_terminal([&](const Digest& request, const Terminal& t) {
    if (t.at + kRememberEnded > clock_->now()) docket_.restore(request, t);
  });
  reopen_globals();
  if (log_) log_->restore(ledger_->log_position());
  limit_by_freshness();
  std::vector<Digest> open;
  for (const Digest& group : ledger_->groups()) {
    if (docket_.find(group) == nullptr && !ledger_->terminal(group)) open.push_back(group);
  }
  judge_again(open, true);
  count_requests();
  believe_snapshot_if_current();
  ledger_sound();
  return Unit{};
}

SnapshotReader::Where Agent::snapshot_place() const {
  SnapshotReader::Where where;
  where.snapshot = layout_.snapshot();
  where.withdrawn = layout_.withdrawn();
  where.machine_id_file = layout_.machine_id();
  where.owner = geteuid();
  return where;
}

// The snapshot carries the number of the last change to the ledger that it reflects: if that is the last of all,
// nothing that must end is missing in it.
void Agent::believe_snapshot_if_current() {
  const Result<SnapshotReader> standing = SnapshotReader::open(snapshot_place());
  if (standing && standing->meta().generation == state_.generation && standing->meta().host == config_.host.name) {
    fill_content();
    publisher_.believe_standing(docket_.content());
  }
}

// Fail closed without locking anyone out who is in: forgetting how grants ended could revive them, so nothing new is
// admitted until an operator decides, while the snapshot that stands runs out by itself.
void Agent::enter_damage(std::string why) {  // by value: it may be the ledger's own word, and the ledger goes
  damage_ = std::move(why);
  damage_told_ = clock_->reading().boottime;
  ++changes_;
  ledger_.reset();
  journal_.event(Event::ledger_damaged,
                 "the ledger is damaged (" + damage_ +
                     "): nothing new is admitted and no revocation is seen; look at the disk, then run "
                     "`hallpass host ledger reset`",
                 {{"WHY", damage_}, {"FILE", layout_.ledger()}});
}

bool Agent::ledger_sound() {
  if (damaged()) return false;
  if (ledger_->damage().empty()) return true;
  enter_damage(ledger_->damage());
  return false;
}

// The generation counts the changes that take something away: a snapshot of the same generation admits nobody whom it
// should not.
Status Agent::commit(LedgerChange& change, bool narrows) {
  LedgerState next = state_;
  next.clock = clock_->memory();
  if (narrows) ++next.generation;
  change.set(next);
  Status done = ledger_->commit(change);
  if (done) state_ = next;
  if (done && !ledger_->shortage().empty()) alarm_.failed(ledger_->shortage(), clock_->reading().boottime);
  if (!done) alarm_.failed(done.error().message, clock_->reading().boottime);
  return done;
}

bool Agent::work(int milliseconds) {
  if (damaged()) return false;
  clock_->tick();
  bool more = intake_->work(milliseconds);
  if (policies_dirty_) walk_policies();
  more = work_on_log(milliseconds) || more;
  if (!damaged()) record_batch();
  if (!ledger_sound()) return false;
  const bool proofs_kept = keep_proofs();
  if (batch_.empty() && !read_again_ && proofs_kept) intake_->remove_taken();
  limit_by_freshness();
  // While much is waiting, a second may pass between two snapshots that only add; what ends someone's access goes out
  // at once.
  const Seconds now = clock_->reading().boottime;
  if (!more) hold_ = false;
  const bool often = more && now <= published_at_ + Seconds{1};
  if (publish_again_ || !often) publish_if_different();
  return more || intake_->busy();
}

void Agent::minute() {
  clock_->tick();
  tell_steps();
  seams_.alive();
  sudo_defaults_.look();
  if (damaged()) {
    if (clock_->reading().boottime >= damage_told_ + kTellDamageEvery) enter_damage(damage_);
    return;
  }
  if (clock_->stepped()) clock_set();
  tell_clock();
  log_minute();
  limit_by_freshness();
  policies_.tell_validity(clock_->now());
  std::vector<Digest> over;
  for (const auto& [request, grant] : docket_.all()) {
    if (!grant.terminal && grant.over <= clock_->trusted()) over.push_back(request);
  }
  judge_again(over, false);
  keep_floor();
  forget_old();
  if (ledger_sound()) publish_if_different();
  intake_->keep_old(alarm_.failing());
  intake_->begin_scan(clock_->now());
}

void Agent::time_passed() {
  clock_->tick();
  if (damaged()) return;
  judge_again(docket_.due(clock_->now()), false);
  if (ledger_sound()) publish_if_different();
}

// Alerts are for what nobody does in passing: time servers correct by less.
void Agent::tell_steps() {
  const Seconds step = clock_->take_steps();
  if (step > -kAnomaly && step < kAnomaly) return;
  const bool back = step < Seconds{0};
  const std::string by = format_duration(back ? -step : step);
  journal_.event(back ? Event::clock_set_back : Event::clock_set_forward,
                 std::string("the wall clock was set ") + (back ? "back" : "forward") + " by " + by +
                     "; the time that counts is " + format_time(clock_->now()),
                 {{"WHY", by}});
}

void Agent::tell_clock_at_start() {
  const UnixTime floor = clock_->memory().floor.wall, wall = clock_->reading().wall;
  if (same_boot(clock_->reading(), clock_->memory().floor) || wall + kAnomaly > floor) return;
  const std::string behind = format_duration(floor - wall);
  journal_.event(
      Event::clock_in_the_past,
      "the wall clock is " + behind + " behind the time that this host has vouched for before; that time counts",
      {{"WHY", behind}});
}

void Agent::clock_set() {
  clock_->tick();
  tell_steps();
  journal_.event(Event::clock_stepped, "the wall clock was set; the time that counts is " + format_time(clock_->now()));
  if (damaged()) return;
  if (log_) log_->policy_changed();  // what was dated ahead may not be any more
  judge_again(docket_.live(), false);
  if (ledger_sound()) publish_if_different();
}

void Agent::tell_clock() {
  if (clock_->limited() && !limit_told_) {
    journal_.event(
        Event::clock_limited,
        "the clock is further ahead than this host can vouch for: `hallpass host clock accept` if it is right");
  }
  limit_told_ = clock_->limited();
}

// Written every ten minutes at most, for each write is a sync of the disk; any other commit carries it along.
void Agent::keep_floor() {
  const ClockMemory& now = clock_->memory();
  const bool other_boot = now.boot_start.boot_id != state_.clock.boot_start.boot_id ||
                          now.synchronised_boot != state_.clock.synchronised_boot;
  if (!other_boot && now.floor.wall < state_.clock.floor.wall + kKeepFloorEvery) return;
  LedgerChange change;
  [[maybe_unused]] const Status done = commit(change, false);  // the alarm has told
}

std::optional<Seconds> Agent::retry_at() const {
  if (damaged() || !alarm_.failing()) return std::nullopt;
  return alarm_.retry_at();
}

void Agent::retry() {
  clock_->tick();
  if (damaged() || !alarm_.failing()) return;
  const std::vector<std::string> again = std::exchange(unrecorded_, {});
  for (const std::string& envelope : again) {
    const Status taken = statement(envelope);
    if (!taken && taken.error().code == Errc::unavailable) unrecorded_.push_back(envelope);
  }
  if (policies_dirty_) walk_policies();
  record_batch();
  if (!damaged()) keep_voided_keys();
  LedgerChange probe;  // the state alone: does writing work again?
  const bool recorded = ledger_sound() && commit(probe, false) && ledger_->shortage().empty() && unrecorded_.empty();
  if (!ledger_sound()) return;
  if (unrecorded_.empty()) unrecorded_ends_.clear();
  if (recorded && std::exchange(read_again_, false)) {
    intake_->forget_all();
    if (log_) log_->read_everything_again();
  }
  if (recorded && log_) log_->try_again();
  const bool published = publish_if_different();
  if (published && !publisher_.shortage().empty()) publisher_.set_space_aside();
  if (recorded && published && publisher_.shortage().empty()) {
    alarm_.worked();
  } else {
    alarm_.failed(alarm_.why(), clock_->reading().boottime);  // again, and later
  }
}

Status Agent::accept_clock() {
  clock_->tick(true);
  journal_.event(Event::clock_accepted, "an operator accepted the clock: " + format_time(clock_->reading().wall),
                 {{"WHY", format_time(clock_->reading().wall)}});
  if (damaged())
    return Error{Errc::unavailable, "the ledger is damaged: the clock is accepted until the agent restarts"};
  LedgerChange change;
  Status done = commit(change, false);
  judge_again(docket_.live(), false);
  if (ledger_sound()) publish_if_different();
  return done;
}

Status Agent::reset_ledger() {
  if (!damaged()) return Error{Errc::mismatch, "the ledger is sound: there is no reason to give it up"};
  SnapshotReader::Where where = snapshot_place();
  where.withdrawn.clear();  // for its policy's version it is good enough, withdrawn or not
  const Result<SnapshotReader> standing = SnapshotReader::open(where);
  const std::int64_t seen =
      std::max({standing ? standing->meta().policy_version : 0, state_.policy_version, policies_.version()});
  const Result<std::string> aside = set_ledger_aside(layout_.ledger(), clock_->now());
  if (!aside) return aside.error();
  damage_.clear();
  docket_.clear();
  policies_.forget();
  batch_.clear();
  unrecorded_.clear();
  logged_now_.clear();
  if (log_) log_->forget();
  if (Status opened = open_ledger(); !opened) {
    enter_damage(opened.error().message);
    return opened;
  }
  LedgerState fresh;
  fresh.policy_version = seen;
  fresh.reset_at = clock_->now();
  fresh.clock = clock_->memory();
  fresh.generation = standing ? standing->meta().generation + 1 : 1;
  LedgerChange change;
  change.set(fresh);
  if (Status kept = ledger_->commit(change); !kept) {
    enter_damage(kept.error().message);
    return kept;
  }
  hold_ = true;  // until the directories were read: revocations lie there
  journal_.event(Event::ledger_reset, "the ledger was given up; the old one is " + *aside, {{"FILE", *aside}});
  if (Status loaded = load(); !loaded) return loaded;
  policies_dirty_ = true;
  intake_->forget_all();
  intake_->begin_scan(clock_->now());
  return Unit{};
}

}  // namespace hallpass
