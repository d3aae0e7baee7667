#include "agent/alerts.h"

#include <fcntl.h>

#include <algorithm>
#include <sstream>

#include "agent/module_event.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxKey = 128;
constexpr std::size_t kMaxMemory = std::size_t{1024} * 1024;

// What an alert is about, for telling repetitions from news.
std::string about(const EventFields& fields) {
  for (const char* name : {"GRANT", "ACCOUNT", "FILE", "ZONE"}) {
    const auto found =
        std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name && !f.second.empty(); });
    if (found != fields.end()) return printable(found->second, kMaxKey);
  }
  return {};
}

}  // namespace

bool is_alert(Event event) {
  switch (event) {
    // Somebody may be trying to get in, or is in by a way that is for emergencies.
    case Event::logins_refused_often:
    case Event::login_outside_hours:
    case Event::login_exempt:
    case Event::alert_grant_used:
    case Event::duplicate_grant_id:
    // Access that was to be over is not, or left something behind that goes on.
    case Event::session_not_ended:
    case Event::session_not_ended_cleared:
    case Event::session_end_late:
    case Event::session_process_left:
    case Event::session_limit_failed:
    case Event::session_record_damaged:
    case Event::sessions_at_restart:
    case Event::visit_not_cleaned:
    case Event::visit_damaged:
    case Event::crontab_changed:
    // Nobody is admitted, or sudo under grants does not work, until somebody mends it.
    case Event::snapshot_unusable:
    case Event::snapshot_record_skipped:
    case Event::snapshot_withdrawn:
    case Event::module_misconfigured:
    case Event::login_fault:
    case Event::sudo_degraded:
    case Event::sudoers_unusable:
    case Event::activation_went_back:
    case Event::activation_way_back_failed:
    // A policy that nobody of ours made, or that stops counting.
    case Event::policy_refused:
    case Event::policy_conflict:
    case Event::policy_unsupported:
    case Event::policy_expiring:
    case Event::policy_expired:
    case Event::zone_missing:
    // The log is not what it was, or says nothing new.
    case Event::log_stale:
    case Event::log_fresh:
    case Event::log_rollback:
    case Event::log_fork:
    case Event::log_damaged:
    case Event::log_untrusted:
    case Event::log_epoch_wrong:
    // What the agent stands on is damaged; and that it is well again, so that an alarm can be closed.
    case Event::directory_unreadable:
    case Event::directory_readable:
    case Event::ledger_damaged:
    case Event::ledger_reset:
    case Event::storage_failed:
    case Event::storage_recovered:
    case Event::config_refused:
    case Event::events_dropped:
    // The clock, by which everything ends.
    case Event::clock_behind_floor:
    case Event::clock_limited:
    case Event::clock_set_back:
    case Event::clock_set_forward:
    case Event::clock_in_the_past:
    case Event::clock_suspended:
      return true;
    default:
      return false;
  }
}

AlertingJournal::AlertingJournal(Journal& inner, AlertSink& queue, std::string host, ClockSource clock,
                                 std::string memory)
    : inner_(inner), queue_(queue), host_(std::move(host)), clock_(std::move(clock)), memory_(std::move(memory)) {
  if (!memory_.empty()) recall();
}

// A line each: seconds since boot, the event's name, what it was about. What cannot be read is not remembered.
void AlertingJournal::recall() {
  const Result<std::string> text = read_file(AT_FDCWD, memory_, kMaxMemory);
  if (!text) return;
  const Seconds now = clock_().boottime;
  std::istringstream lines(*text);
  std::string name, key;
  for (std::int64_t told = 0; recent_.size() < kMaxAlertKeys && lines >> told >> name && std::getline(lines, key);) {
    const std::optional<Event> event = event_named(name);
    if (!event || key.empty() || told < 0 || Seconds{told} > now) continue;
    recent_[{*event, key.substr(1)}].told = Seconds{told};
  }
}

void AlertingJournal::remember() const {
  if (memory_.empty()) return;
  std::string text;
  for (const auto& [key, recent] : recent_) {
    text +=
        std::to_string(recent.told.count()) + " " + std::string(event_info(key.first).name) + " " + key.second + "\n";
  }
  [[maybe_unused]] const Status kept = write_file_durably(memory_, text, 0600);
}

void AlertingJournal::event(Event event, std::string_view message, const EventFields& fields) {
  inner_.event(event, message, fields);
  alert(event, message, fields);
}

void AlertingJournal::alert(Event event, std::string_view message, const EventFields& fields) {
  if (!is_alert(event)) return;
  try {
    take(event, message, fields);
  } catch (...) {  // no memory: the journal has it
    ++counts_.lost;
  }
}

void AlertingJournal::take(Event event, std::string_view message, const EventFields& fields) {
  const ClockReading now = clock_();
  const EventInfo& info = event_info(event);
  Alert alert{host_, now.wall, std::string(info.name), info.priority, std::string(message), fields};
  Recent& r = recent({event, about(fields)}, now.boottime);
  // It comes once a minute by itself, for each session of a grant.
  const bool due = event == Event::session_not_ended || now.boottime - r.told >= kAlertAgain;
  if (due && within_budget(event, now.boottime)) {
    const std::uint64_t left_out = std::exchange(r.left_out, 0);
    r.last_left_out.reset();
    r.told = now.boottime;
    put(std::move(alert), left_out, now.boottime);
    return;
  }
  ++r.left_out;
  ++counts_.left_out;
  r.last_left_out = std::move(alert);
}

void AlertingJournal::minute() {
  try {
    const Seconds now = clock_().boottime;
    for (auto at = recent_.begin(); at != recent_.end();) {
      Recent& r = at->second;
      if (now - r.told < kAlertAgain) {
        ++at;
      } else if (!r.last_left_out) {
        at = recent_.erase(at);
      } else {
        if (within_budget(at->first.first, now)) {
          Alert alert = std::move(*r.last_left_out);
          r.last_left_out.reset();
          r.told = now;
          --counts_.left_out;
          put(std::move(alert), std::exchange(r.left_out, 0) - 1, now);
        }
        ++at;
      }
    }
  } catch (...) {
    ++counts_.lost;
  }
}

// A new key was never told, and may be at once. When there are too many, the one told longest ago makes room.
AlertingJournal::Recent& AlertingJournal::recent(const Key& key, Seconds now) {
  const auto found = recent_.find(key);
  if (found != recent_.end()) return found->second;
  if (recent_.size() >= kMaxAlertKeys) {
    recent_.erase(std::min_element(recent_.begin(), recent_.end(),
                                   [](const auto& a, const auto& b) { return a.second.told < b.second.told; }));
  }
  Recent& made = recent_[key];
  made.told = now - kAlertAgain;
  return made;
}

bool AlertingJournal::within_budget(Event event, Seconds now) {
  Budget& b = budgets_[event];
  if (b.used == 0 || now - b.since >= kAlertAgain) b = {now, 0};
  if (b.used >= kAlertsAMinute) return false;
  ++b.used;
  return true;
}

void AlertingJournal::put(Alert alert, std::uint64_t left_out, Seconds now) {
  if (left_out > 0) alert.fields.emplace_back("LEFT_OUT", std::to_string(left_out));
  const Status queued = queue_.put(alert);
  remember();
  if (!queued) return lost(queued.error(), now);
  ++counts_.queued;
  no_queue_told_ = false;
}

// A host without hallpass-notify has no queue: that is said once.
void AlertingJournal::lost(const Error& error, Seconds now) {
  ++counts_.lost;
  ++lost_untold_;
  const bool no_queue = error.code == Errc::not_found;
  if (no_queue ? no_queue_told_ : (loss_told_ && now - *loss_told_ < kLossAgain)) return;
  if (no_queue) {
    no_queue_told_ = true;
  } else {
    loss_told_ = now;
  }
  const std::string count = std::to_string(std::exchange(lost_untold_, 0));
  inner_.event(Event::alerts_not_queued, "alerts are not queued for delivery: " + error.message,
               {{"WHY", error.message}, {"COUNT", count}});
}

}  // namespace hallpass
