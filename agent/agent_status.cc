// The agent: what `hallpass host status` shows. docs/formats.md, "Status".
#include "agent/agent.h"
#include "core/hash.h"

namespace hallpass {
namespace {

Json time_or_null(UnixTime t) {
  return t == UnixTime{} || t == kNever ? Json() : Json(format_time(t));
}

Json policy_status(const PolicyInForce& in_force) {
  if (!in_force.policy) return Json();
  const Policy& p = *in_force.policy;
  return Json(JsonObject{{"version", Json(p.version)},
                         {"digest", Json(format_digest(p.digest))},
                         {"valid_until", Json(format_time(p.valid_until))}});
}

Json counts(const Docket& docket) {
  JsonObject object;
  for (const auto& [state, count] : docket.by_state())
    object.emplace_back(std::string(to_string(state)), Json(static_cast<std::int64_t>(count)));
  return Json(std::move(object));
}

Json directory_status(const DirectoryReport& d) {
  return Json(JsonObject{{"path", Json(d.path)},
                         {"files", Json(static_cast<std::int64_t>(d.files))},
                         {"last_scan", time_or_null(d.last_scan)},
                         {"error", d.error.empty() ? Json() : Json(d.error)}});
}

Json session_counts(const Sessions* sessions) {
  if (sessions == nullptr) return Json();
  const auto by_state = sessions->by_state();
  return Json(JsonObject{{"live", Json(static_cast<std::int64_t>(by_state[0]))},
                         {"left_behind", Json(static_cast<std::int64_t>(by_state[1]))},
                         {"ending", Json(static_cast<std::int64_t>(by_state[2]))},
                         {"not_ended", Json(static_cast<std::int64_t>(sessions->not_ended()))}});
}

}  // namespace

std::vector<std::string> Agent::problems() const {
  std::vector<std::string> found;
  if (damaged()) found.push_back("the ledger is damaged (" + damage_ + "): `hallpass host ledger reset` gives it up");
  if (publisher_.withdrawn()) found.emplace_back("the snapshot is withdrawn: nobody but the exempt group can log in");
  if (alarm_.failing()) found.push_back("cannot write: " + alarm_.why());
  for (const DirectoryReport& d : intake_->report()) {
    if (!d.error.empty() && !damaged()) found.push_back("cannot read " + d.path + ": " + d.error);
  }
  const auto& policy = policies_.in_force().policy;
  if (!policy && !damaged()) found.emplace_back("no policy is in force: nobody is admitted");
  if (policy && clock_->now() >= policy->valid_until) found.emplace_back("the policy has expired: nobody is admitted");
  if (policy && clock_->now() < policy->valid_until && policy->valid_until - clock_->now() < Seconds{30 * 24 * 3600}) {
    found.push_back("the policy is valid for " + format_duration(policy->valid_until - clock_->now()) + " only");
  }
  if (clock_->limited())
    found.emplace_back(
        "the clock is ahead of what this host can vouch for: `hallpass host clock accept` if it is right");
  if (sudo_defaults_.state() == SudoDefaults::State::unusable)
    found.push_back("no grant gives sudo, sudoers cannot be taken over: " + sudo_defaults_.why());
  if (log_ && !log_->fault().empty()) found.push_back("the log is not followed: " + log_->fault());
  if (log_ && !config_.mirror.empty()) {
    if (const std::string why = log_->why_stale(clock_->reading()); !why.empty())
      found.push_back("the log is stale: " + why);
  }
  if (config_.strict_clock && !clock_->synchronised_this_boot())
    found.emplace_back("nobody is admitted until the clock is synchronised");
  return found;
}

Json Agent::status(const Sessions* sessions) const {
  const ClockReading& reading = clock_->reading();
  JsonArray directories, wrong;
  for (const DirectoryReport& d : intake_->report()) directories.push_back(directory_status(d));
  for (std::string& p : problems()) wrong.emplace_back(std::move(p));
  if (sessions != nullptr && sessions->not_ended() > 0)
    wrong.emplace_back(std::to_string(sessions->not_ended()) +
                       " sessions could not be ended: `hallpass host sessions`");
  const std::string storage = publisher_.withdrawn() ? "withdrawn"
                              : alarm_.failing()     ? "failing"
                              : damaged()            ? "damaged"
                                                     : "ok";
  const Json clock(JsonObject{{"now", Json(format_time(clock_->now()))},
                              {"wall", Json(format_time(reading.wall))},
                              {"floor", time_or_null(clock_->memory().floor.wall)},
                              {"synchronised", Json(reading.synchronised)},
                              {"strict", Json(config_.strict_clock)},
                              {"limited", Json(clock_->limited())}});
  const Json inputs(JsonObject{{"refused", Json(static_cast<std::int64_t>(intake_->refusals().total()))}});
  return Json(JsonObject{{"hallpass", Json("status/1")},
                         {"host", Json(config_.host.name)},
                         {"written_at", Json(format_time(clock_->now()))},
                         {"uptime", Json(static_cast<std::int64_t>(reading.boottime.count()))},
                         {"policy", policy_status(policies_.in_force())},
                         {"generation", Json(static_cast<std::int64_t>(state_.generation))},
                         {"grants", counts(docket_)},
                         {"admissions", Json(static_cast<std::int64_t>(docket_.admissions().size()))},
                         {"next_change", time_or_null(next_due())},
                         {"directories", Json(std::move(directories))},
                         {"inputs", inputs},
                         {"clock", clock},
                         {"log", log_status()},
                         {"storage", Json(storage)},
                         {"sudo", sudo_defaults_.status()},
                         {"sessions", session_counts(sessions)},
                         {"problems", Json(std::move(wrong))}});
}

}  // namespace hallpass
