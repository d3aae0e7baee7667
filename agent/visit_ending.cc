#include "agent/visit_ending.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr Milliseconds kAskAgain{1000};     // logind, for what it has not done
constexpr Milliseconds kThenUnits{300};     // after asking: what the manager runs is killed
constexpr Milliseconds kThenManager{2000};  // and the manager itself
constexpr int kPasses = 4;                  // over processes that may multiply
constexpr std::size_t kJobsAStep = 1000;
constexpr std::size_t kMostNames = 5;
constexpr std::size_t kMostKept = 1000;  // names, of what comes back under another one each time
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

std::string list(const std::set<std::string>& names) {
  std::string text;
  std::size_t n = 0;
  for (const std::string& name : names) {
    if (n++ == kMostNames) return text + " and " + std::to_string(names.size() - kMostNames) + " more";
    text += (text.empty() ? "" : ", ") + printable(name);
  }
  return text;
}

void keep(std::set<std::string>& names, std::string name) {
  if (names.size() < kMostKept) names.insert(std::move(name));
}

std::string counted(std::size_t n, const std::string& one, const std::string& many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

bool is_slice(std::string_view group) {
  constexpr std::string_view kEnd = ".slice";
  return group.size() >= kEnd.size() && group.substr(group.size() - kEnd.size()) == kEnd;
}

}  // namespace

struct VisitEnding::Bounds {
  std::int64_t jobs = kNever, processes = kNever;  // wall clock
};

VisitEnding::VisitEnding(const Visit& visit, const AccountPlaces& places, SessionHost& host, std::string boot)
    : visit_(visit),
      places_(places),
      host_(host),
      boot_(std::move(boot)),
      manager_(manager_group(visit.uid)),
      since_(visit.since(boot_)),
      began_(host.uptime()) {}

bool VisitEnding::step() {
  left_.clear();
  door_ = false;
  look_at_sessions();
  end_jobs();
  end_linger();
  end_manager();
  door_ = door_ && left_.size() == 1;
  clean_ = left_.empty() ? clean_ + 1 : 0;
  return clean_ >= 2;
}

bool VisitEnding::is_since(const Process& process) const {
  return process.start >= since_;
}

// --- at

VisitEnding::Bounds VisitEnding::bounds(const std::vector<AtJob>& jobs) const {
  Bounds b;
  for (const Visit::Job& old : visit_.jobs) {
    // One that ran at the beginning is known by its login, until a reboot; it makes a successor when it ends, if at
    // all.
    const bool ran_known = old.ran && visit_.boot == boot_;
    const bool as_it_was = std::any_of(jobs.begin(), jobs.end(),
                                       [&](const AtJob& j) { return j.name() == old.name && j.runs() == ran_known; });
    if (as_it_was) continue;
    b.jobs = std::min(b.jobs, old.ran ? visit_.began : at_job_due(old.name));
    if (!ran_known) b.processes = std::min(b.processes, at_job_due(old.name));
  }
  return b;
}

void VisitEnding::end_jobs() {
  const std::vector<AtJob> jobs = at_jobs(places_.at_spools, visit_.uid);
  const Bounds b = bounds(jobs);
  remove_jobs(jobs, b);
  end_at_processes(b);
}

void VisitEnding::remove_jobs(const std::vector<AtJob>& jobs, const Bounds& b) {
  std::size_t removed = 0;
  for (const AtJob& job : jobs) {
    if (visit_.had_job(job.name())) continue;
    if ((job.runs() ? std::min(job.changed, job.written) : job.changed) >= b.jobs) {
      keep(doubtful_, "at job " + at_job_number(job.name()));
      continue;
    }
    if (removed++ == kJobsAStep) {
      left_.push_back("more at jobs");
      return;
    }
    const Status done = remove_at_job(job, visit_.uid);
    if (done) {
      removed_jobs_.insert(job.name());
    } else {
      left_.push_back("at job " + at_job_number(job.name()) + " (" + done.error().message + ")");
    }
  }
}

std::vector<Process> VisitEnding::at_processes() {
  std::vector<Process> processes = processes_of_at(host_, visit_.uid);
  std::erase_if(processes, [&](const Process& p) { return !is_since(p) || visit_.had_login(p.audit, boot_); });
  return processes;
}

// Logins of jobs that were removed, by what their processes have open: the job itself, or the file for its output,
// which has the same name in another directory.
std::set<std::uint32_t> VisitEnding::audits_of_removed(const std::vector<Process>& processes) {
  std::set<std::uint32_t> audits;
  for (const Process& p : processes) {
    for (const std::string& path : host_.open_files(p)) {
      const std::size_t slash = path.rfind('/');
      if (path.rfind("/var/spool/", 0) != 0 || slash == std::string::npos || slash + 2 > path.size()) continue;
      const std::string name = path.substr(slash + 2);
      if (p.audit != kNoAudit && removed_jobs_.count(name.substr(0, name.find(' '))) != 0) audits.insert(p.audit);
    }
  }
  return audits;
}

void VisitEnding::end_at_processes(const Bounds& b) {
  std::vector<Process> fresh;
  for (int pass = 0; pass < kPasses; ++pass) {
    fresh = at_processes();
    if (b.processes != kNever) {
      const std::set<std::uint32_t> audits = audits_of_removed(fresh);
      const auto doubtful = std::stable_partition(fresh.begin(), fresh.end(), [&](const Process& p) {
        return wall_start(host_, p.start) < b.processes || audits.count(p.audit) != 0;
      });
      for (auto p = doubtful; p != fresh.end(); ++p) keep(doubtful_, "process " + named_processes({*p}) + " of at");
      fresh.erase(doubtful, fresh.end());
    }
    if (fresh.empty()) return;
    for (const Process& p : fresh) {
      host_.kill_process(p);
      ended_at_.insert(p.pid);
    }
  }
  left_.push_back("processes of at jobs: " + named_processes(fresh));
}

// --- sessions that are not ours

// What `su` makes of a process that logind finds in no session, as at's and a user service's are, is a session like any
// other. It must not pass for another door.
bool VisitEnding::made_from_within(const std::string& id, const std::string& service) {
  if (!changes_user(service)) return false;
  const std::vector<Process> processes = host_.processes_in(session_group(visit_.uid, id));
  return std::all_of(processes.begin(), processes.end(), [&](const Process& p) {
    return p.login_uid == visit_.uid && is_since(p) && !visit_.had_login(p.audit, boot_);
  });
}

void VisitEnding::end_session(const std::string& id, const std::string& service) {
  left_.push_back("session " + id + " (" + printable(service) + ")");
  ended_sessions_.insert(printable(service));
  const Milliseconds now = host_.uptime();
  const auto [asked, first] = sessions_asked_.emplace(id, now);
  if (first) return host_.terminate_session(id);
  if (now < asked->second + kThenUnits) return;
  const std::string group = session_group(visit_.uid, id);
  kill_all(group, host_.processes_in(group));
}

void VisitEnding::look_at_sessions() {
  door_by_.clear();
  foreign_sessions_ = false;
  for (const std::string& id : host_.sessions_of_user(visit_.uid)) {
    const std::string service = host_.session_service(id);
    if (made_from_within(id, service)) {
      end_session(id, service);
    } else if (changes_user(service) || runs_jobs(service)) {
      foreign_sessions_ = true;
    } else {
      door_by_ = "session " + id + (service.empty() ? "" : " (" + printable(service) + ")");
    }
  }
}

// --- the user manager

void VisitEnding::end_manager() {
  std::vector<Process> processes = processes_of_manager(host_, visit_.uid, visit_.linger.has_value());
  if (visit_.linger) {
    std::erase_if(processes, [&](const Process& p) {
      return is_manager_itself(p, manager_) || visit_.had_unit(unit_of(p.group, manager_));
    });
  }
  if (processes.empty() && (visit_.linger || host_.group_empty(manager_))) return;
  if (!door_by_.empty()) {
    door_ = true;
    left_.push_back("the user manager, while " + visit_.account + " is logged in by " + door_by_);
    return;
  }
  for (const Process& p : processes) {
    // The bus comes with every login.
    if (!is_manager_itself(p, manager_) && p.name.rfind("dbus-", 0) != 0) keep(ended_services_, p.name);
  }
  left_.push_back("the user manager: " + named_processes(processes));
  visit_.linger ? end_new_units(processes) : end_whole_manager(processes);
}

// What the manager restarts is killed again, at each step, for as long as it comes back.
void VisitEnding::end_new_units(const std::vector<Process>& processes) {
  kill_units(processes);
}

// Asked for first, so that systemd knows it as stopped and not as failed. A service may hold that up; so may a logind
// that does not answer.
void VisitEnding::end_whole_manager(const std::vector<Process>& processes) {
  const Milliseconds now = host_.uptime();
  if (!manager_asked_) {
    manager_asked_ = now;
    // It would end all of the user's sessions: what cron runs, where that has a session, is not ours to end.
    if (!foreign_sessions_) host_.terminate_user(visit_.uid);
  } else if (now >= *manager_asked_ + kThenManager) {
    kill_all(manager_, processes);
  } else if (now >= *manager_asked_ + kThenUnits) {
    kill_units(processes);
  }
}

// Each unit at once by its control group, but what lies in no unit of its own one by one: its group holds others'
// units.
void VisitEnding::kill_units(const std::vector<Process>& processes) {
  std::set<std::string> units;
  for (const Process& p : processes) {
    if (is_manager_itself(p, manager_)) continue;
    const std::string unit = unit_of(p.group, manager_);
    if (is_slice(unit) || unit == manager_ || !(units.count(unit) != 0 || host_.kill_group(unit))) {
      host_.kill_process(p);
    } else {
      units.insert(unit);
    }
  }
}

void VisitEnding::kill_all(std::string_view group, const std::vector<Process>& processes) {
  if (host_.kill_group(group)) return;
  for (const Process& p : processes) host_.kill_process(p);
}

void VisitEnding::end_linger() {
  if (visit_.linger || !lingering_since(places_, visit_.account)) return;
  left_.push_back("lingering");
  ended_linger_ = true;
  const Milliseconds now = host_.uptime();
  if (linger_asked_ && now < *linger_asked_ + kAskAgain) return;
  linger_asked_ = now;
  host_.disable_linger(visit_.uid);
}

// --- for people

std::vector<std::string> VisitEnding::ended() const {
  std::vector<std::string> lines;
  if (ended_linger_) lines.push_back("lingering");
  if (!ended_services_.empty()) lines.push_back("user manager with " + list(ended_services_));
  if (!removed_jobs_.empty()) lines.push_back(counted(removed_jobs_.size(), "at job", "at jobs"));
  if (!ended_at_.empty()) lines.push_back(counted(ended_at_.size(), "process", "processes") + " of at jobs");
  for (const std::string& service : ended_sessions_) lines.push_back("a session made by " + service);
  return lines;
}

std::vector<std::string> VisitEnding::in_doubt() const {
  return {doubtful_.begin(), doubtful_.end()};
}

}  // namespace hallpass
