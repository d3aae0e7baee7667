// What is told of visits.
#include <algorithm>

#include "agent/visits.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr Milliseconds kFailedAfter{5000};
constexpr Milliseconds kTellAgain{60'000};
constexpr Milliseconds kTellAgainOfDoor{3'600'000};  // somebody sits at the console, which is no fault
constexpr std::size_t kMostLines = 5;
constexpr std::size_t kMostTold = 4096;  // processes of one account that are remembered

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// Lines that came: each line of `before` stands for one line only.
std::vector<std::string> lines_that_came(const std::vector<std::string>& before, const std::vector<std::string>& now) {
  std::multiset<std::string> known(before.begin(), before.end());
  std::vector<std::string> came;
  for (const std::string& line : now) {
    const auto found = known.find(line_digest(line));
    if (found == known.end()) {
      came.push_back(line);
    } else {
      known.erase(found);
    }
  }
  return came;
}

// Empty: nothing changed. Order counts: what stands above a line sets its shell and its path.
std::string change_of(const std::vector<std::string>& before, const std::vector<std::string>& now) {
  std::vector<std::string> digests;
  for (const std::string& line : now) digests.push_back(line_digest(line));
  if (digests == before) return "";
  const std::vector<std::string> came = lines_that_came(before, now);
  if (came.empty()) return "lines were removed or moved";
  std::string text;
  for (std::size_t i = 0; i < std::min(came.size(), kMostLines); ++i) {
    text += (i == 0 ? "" : "; ") + printable(came[i]);
  }
  if (came.size() > kMostLines) text += "; and " + std::to_string(came.size() - kMostLines) + " lines more";
  return text;
}

}  // namespace

EventFields Visits::fields(const Visit& visit) const {
  return {{"ACCOUNT", visit.account}, {"SUBJECT", visit.subject}, {"GRANT", visit.grant_id}};
}

// Once for each change: what was told is what stands from then on.
bool Visits::tell_crontabs(Entry& e) {
  bool told = false;
  std::vector<Visit::Crontab> now;
  for (const Crontab& crontab : crontabs_of(places_, e.visit.account)) {
    Visit::Crontab next{crontab.path, crontab.changed, {}};
    for (const std::string& line : crontab.lines) next.lines.push_back(line_digest(line));
    const auto before = std::find_if(e.visit.crontabs.begin(), e.visit.crontabs.end(),
                                     [&](const Visit::Crontab& c) { return c.path == crontab.path; });
    const bool known = before != e.visit.crontabs.end();
    const std::string change = change_of(known ? before->lines : std::vector<std::string>{}, crontab.lines);
    now.push_back(std::move(next));
    if (change.empty()) continue;
    told = true;
    EventFields f = fields(e.visit);
    f.emplace_back("FILE", crontab.path);
    f.emplace_back("WHY", change);
    journal_.event(Event::crontab_changed, "the crontab of " + e.visit.account + " changed during a grant: " + change,
                   f);
  }
  e.visit.crontabs = std::move(now);
  return told;
}

void Visits::tell_cleaned(Entry& e) {
  const std::vector<std::string> ended = e.ending->ended();
  if (ended.empty()) return;
  EventFields f = fields(e.visit);
  f.emplace_back("WHY", joined(ended));
  journal_.event(Event::visit_cleaned, "what was left on " + e.visit.account + " was ended: " + joined(ended), f);
}

void Visits::tell_in_doubt(const Entry& e) {
  const std::vector<std::string> doubtful = e.ending->in_doubt();
  if (doubtful.empty()) return;
  const std::string why = "may be of an at job that stood before, so it was left alone: " + joined(doubtful);
  EventFields f = fields(e.visit);
  f.emplace_back("WHY", why);
  journal_.event(Event::visit_not_cleaned, "on " + e.visit.account + " something is left: " + why, f);
}

void Visits::tell_not_cleaned(Entry& e) {
  const Milliseconds now = host_.uptime();
  if (now < e.ending->began() + kFailedAfter) return;
  if (e.told && now < *e.told + (e.ending->waits_for_door() ? kTellAgainOfDoor : kTellAgain)) return;
  e.told = now;
  const std::string why = joined(e.ending->left());
  EventFields f = fields(e.visit);
  f.emplace_back("WHY", why);
  journal_.event(Event::visit_not_cleaned, "on " + e.visit.account + " something is left: " + why, f);
}

// --- what is only told

std::vector<std::string> Visits::things_left(const Visit& visit) {
  std::vector<std::string> things;
  if (!visit.linger && lingering_since(places_, visit.account)) things.push_back("lingering");
  for (const AtJob& job : at_jobs(places_.at_spools, visit.uid)) {
    if (!visit.had_job(job.name())) things.push_back("at job " + at_job_number(job.name()));
  }
  return things;
}

// Where an unprivileged visitor can leave something outside of his session: the user manager, at, and sessions that su
// makes of what runs there. (cron is told by its crontab.) Only these are looked at: a look at all processes for each
// of a thousand sessions that end at once would hold up their ends.
std::vector<Process> Visits::left_running(const Visit& visit, const std::set<std::uint32_t>& audits) {
  const std::string manager = manager_group(visit.uid);
  std::vector<Process> left = processes_of_manager(host_, visit.uid, false);
  std::erase_if(left, [&](const Process& p) {
    const std::string unit = unit_of(p.group, manager);
    // The manager itself goes, or lingers, which is told; the bus comes with it.
    return is_manager_itself(p, manager) || visit.had_unit(unit) || unit == manager + "/session.slice/dbus.service";
  });
  const auto add = [&](const std::vector<Process>& processes) {
    for (const Process& p : processes) {
      if (p.uid == visit.uid && p.login_uid == visit.uid && !visit.had_login(p.audit, places_.boot)) left.push_back(p);
    }
  };
  add(processes_of_at(host_, visit.uid));
  for (const std::string& id : host_.sessions_of_user(visit.uid)) {
    if (changes_user(host_.session_service(id))) add(host_.processes_in(session_group(visit.uid, id)));
  }
  const std::uint64_t since = visit.since(places_.boot);
  std::erase_if(left, [&](const Process& p) { return p.start < since || audits.count(p.audit) != 0; });
  return left;
}

void Visits::tell_left(Entry& e, const std::set<std::uint32_t>& audits) {
  if (tell_crontabs(e)) save(e);
  std::vector<Process> processes = left_running(e.visit, audits);
  std::erase_if(processes, [&](const Process& p) { return e.told_processes.count({p.pid, p.start}) != 0; });
  std::vector<std::string> things = things_left(e.visit);
  std::erase_if(things, [&](const std::string& thing) { return e.told_things.count(thing) != 0; });
  if (processes.empty() && things.empty()) return;
  if (e.told_processes.size() > kMostTold) e.told_processes.clear();
  for (const Process& p : processes) e.told_processes.insert({p.pid, p.start});
  e.told_things.insert(things.begin(), things.end());
  const std::string names = named_processes(processes);
  const std::string why = joined(things);
  EventFields f = fields(e.visit);
  f.emplace_back("PROCESS", names);
  f.emplace_back("COUNT", std::to_string(processes.size()));
  f.emplace_back("WHY", why);
  journal_.event(Event::account_left_running,
                 "on the shared account " + e.visit.account + " something is left outside of every session: " + names +
                     (names.empty() || why.empty() ? "" : ", ") + why,
                 f);
}

void Visits::tell_unknown(const Entry& e) {
  std::vector<std::string> found = things_left(e.visit);
  std::vector<Process> processes = processes_of_manager(host_, e.visit.uid, true);
  std::erase_if(processes, [&](const Process& p) { return is_manager_itself(p, manager_group(e.visit.uid)); });
  if (!processes.empty()) found.push_back("the user manager with " + named_processes(processes));
  const std::string why =
      "what stood before is not known; there is now: " + (found.empty() ? std::string("nothing seen") : joined(found));
  EventFields f = fields(e.visit);
  f.emplace_back("WHY", why);
  journal_.event(Event::visit_not_cleaned, "nothing was ended on " + e.visit.account + ": " + why, f);
}

}  // namespace hallpass
