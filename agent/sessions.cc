#include "agent/sessions.h"

#include <algorithm>

#include "host/spoken_time.h"

namespace hallpass {
namespace {

constexpr Seconds kGraceLeftBehind{1};
constexpr Seconds kGrace{2};                // PID 1 acts this much later than the agent
constexpr Milliseconds kFailedAfter{5000};  // an end that is not proven by then is an alert
constexpr Milliseconds kTellAgainAfter{60000};
constexpr Milliseconds kSleep{2000};  // worth telling

std::string id_of(const Digest& grant) {
  return grant == Digest{} ? "" : grant_id(grant);
}

std::optional<Seconds> next_below(const std::vector<Seconds>& warn, Seconds left) {
  for (const Seconds w : warn) {
    if (w < left) return w;
  }
  return std::nullopt;
}

}  // namespace

Sessions::Sessions(Seams seams, std::vector<Seconds> warn) : seams_(std::move(seams)) {
  set_warnings(std::move(warn));
}

void Sessions::set_warnings(std::vector<Seconds> warn) {
  std::sort(warn.begin(), warn.end(), std::greater<>());
  warn_ = std::move(warn);
}

// "session 5 of alice on deploy"
std::string Sessions::who(const Entry& e) {
  return "session " + session_name(e.session) + " of " + e.session.subject + " on " + e.session.account;
}

EventFields Sessions::fields(const Entry& e) const {
  return {{"SESSION", session_name(e.session)},
          {"SUBJECT", e.session.subject},
          {"ACCOUNT", e.session.account},
          {"GRANT", e.session.grant_id}};
}

void Sessions::start() {
  slept_ = seams_.host->slept();
  now_ = seams_.now();
  look_at_registry();
  std::size_t live = 0;
  for (const auto& [name, e] : entries_) live += e.session.observed ? 0 : 1;
  if (live > 0) {
    seams_.journal->event(Event::sessions_at_restart,
                          "hallpass-agent starts while " + std::to_string(live) + " sessions are registered",
                          {{"COUNT", std::to_string(live)}});
  }
  started_ = true;
  look();
}

// --- the registry

void Sessions::look_at_registry() {
  auto registry = read_registry(seams_.registry);
  if (!registry) return;  // made by the first login
  noted_ = std::move(registry->used);
  const std::vector<std::string>& names = registry->names;
  for (const std::string& name : names) {
    if (entries_.count(name) != 0) continue;
    Result<Session> session = read_session(seams_.registry, name);
    if (session) {
      unreadable_.erase(name);
      enter(name, std::move(*session));
    } else if (session.error().code != Errc::not_found && unreadable_.insert(name).second) {
      seams_.journal->event(Event::session_record_damaged, session.error().message,
                            {{"FILE", seams_.registry + "/" + name}, {"WHY", session.error().message}});
    }
  }
  for (auto& [name, e] : entries_) e.record_gone = !std::binary_search(names.begin(), names.end(), name);
  std::erase_if(unreadable_, [&](const auto& n) { return !std::binary_search(names.begin(), names.end(), n); });
}

void Sessions::enter(const std::string& name, Session session) {
  Entry& e = entries_[name];
  e.session = std::move(session);
  e.personal = seams_.personal(e.session.account, e.session.subject);
  if (!e.session.observed) seams_.visits->session_began(e.session, e.personal);
  move_deadline(e, deadline(e), true);
}

// What a used grant allows is kept, for when it is over nobody else knows.
void Sessions::note_use(Entry& e, const std::vector<Power>& powers) {
  const auto noted = noted_.find(session_name(e.session));
  if (noted == noted_.end()) return;
  for (const Digest& grant : noted->second) {
    auto& commands = e.used[grant];
    const auto power = std::find_if(powers.begin(), powers.end(), [&](const Power& p) { return p.grant == grant; });
    if (commands.empty() && power != powers.end() && power->commands != nullptr) commands = *power->commands;
  }
}

// --- judging

Deadline Sessions::deadline(Entry& e) {
  const auto powers = seams_.powers(e.session.account, e.session.subject);
  note_use(e, powers);
  std::vector<UsedGrant> used;
  for (const auto& [grant, commands] : e.used) used.push_back({grant, commands.empty() ? nullptr : &commands});
  return deadline_of(now_, powers, used);
}

void Sessions::judge(Entry& e) {
  const Deadline before = e.deadline, next = deadline(e);
  if (next.at > now_) {
    move_deadline(e, next, false);
    e.told_would_end = false;
    return;
  }
  // What held it last is what ended it.
  const Digest last = next.grant == Digest{} ? (before.grant == Digest{} ? e.session.grant : before.grant) : next.grant;
  const GrantOver over = seams_.how_over(last);
  const std::string why =
      (next.by_use ? "grant " + id_of(last) + ", whose sudo was used in it, is over: " : "") + over.why;
  if (!e.session.observed) return begin(e, why, over.at);
  if (std::exchange(e.told_would_end, true)) return;
  EventFields f = fields(e);
  f.emplace_back("WHY", why);
  seams_.journal->event(
      Event::session_would_end,
      "session " + session_name(e.session) + " of " + e.session.subject + " would have been ended: " + why, f);
}

void Sessions::move_deadline(Entry& e, const Deadline& next, bool first) {
  const bool moved = next.at != e.deadline.at, longer = next.at > e.deadline.at;
  e.deadline = next;
  if (e.session.observed || next.at <= now_ || !(first || moved)) return;
  e.next_warning = next_below(warn_, next.at - now_);
  seams_.host->limit_session(e.session.logind, next.at + kGrace - now_);
  e.left_limited = false;
  if (first || !longer) return;
  EventFields f = fields(e);
  f.emplace_back("EXPIRES", format_time(next.at));
  seams_.journal->event(Event::session_extended, who(e) + " may go on until " + format_time(next.at), f);
}

// --- on the terminals

void Sessions::write_terminals(const Entry& e, const std::string& text) {
  std::map<int, std::set<uid_t>> terminals;  // and who may own them
  const auto processes = e.session.audit == kNoAudit ? seams_.host->processes_in(e.session.control_group)
                                                     : seams_.host->processes_of_audit(e.session.audit);
  for (const Process& p : processes) {
    if (p.terminal != 0) terminals[p.terminal].insert({p.uid, e.session.uid});
  }
  for (const auto& [terminal, owners] : terminals)
    seams_.host->write_terminal(terminal, owners, "\r\n" + text + "\r\n");
}

void Sessions::warn(Entry& e) {
  const Seconds left = e.deadline.at - now_;
  if (e.session.observed || !e.next_warning || left > *e.next_warning || left <= Seconds{0}) return;
  e.next_warning = next_below(warn_, left);
  const std::string runbook = seams_.runbook(e.deadline.grant);
  write_terminals(
      e, "hallpass: your access to " + seams_.host_name + " as " + e.session.account + " ends in " + length_of(left) +
             ", at " + clock_of(e.deadline.at, now_) + " (grant " + id_of(e.deadline.grant) +
             ").\r\nWhat was started in this session ends then. To stay longer, on your own machine:\r\n"
             "  hallpass request " +
             (runbook.empty() ? "RUNBOOK" : runbook) + " --target host=" + seams_.host_name + " --reason \"...\"");
}

// --- ending

void Sessions::begin(Entry& e, const std::string& why, std::optional<UnixTime> due) {
  e.why = why;
  e.due = due && *due <= now_ ? *due : now_;
  e.late_at_begin = now_ - e.due;
  write_terminals(e, "hallpass: your access to " + seams_.host_name + " as " + e.session.account + " is over (" + why +
                         ").\r\nThis session and what was started in it end now.");
  e.ending = std::make_unique<SessionEnding>(e.session, *seams_.host);
}

Milliseconds Sessions::delay(const Entry& e) const {
  return e.late_at_begin + (seams_.host->uptime() - e.ending->began());
}

// True when it is over.
bool Sessions::go_on(Entry& e) {
  const bool over = e.ending->step();
  for (const Process& p : e.ending->take_left_alone()) {
    EventFields f = fields(e);
    f.emplace_back("PROCESS", std::to_string(p.pid) + " " + p.name);
    f.emplace_back("WHY", p.group);
    seams_.journal->event(Event::session_process_left,
                          "process " + std::to_string(p.pid) + " (" + p.name + ") of session " +
                              session_name(e.session) + " belongs to " + p.group + " and was left alone",
                          f);
  }
  if (over) {
    tell_ended(e);
  } else if (seams_.host->uptime() - e.ending->began() >= kFailedAfter) {
    tell_remains(e);
  }
  return over;
}

void Sessions::tell_remains(Entry& e) {
  const Milliseconds now = seams_.host->uptime();
  if (e.told_at != Milliseconds{0} && now < e.told_at + kTellAgainAfter) return;
  e.told_at = now;
  const std::string what = e.ending->remains();
  EventFields f = fields(e);
  f.emplace_back("WHY", what);
  f.emplace_back("EXPIRES", format_time(e.due));
  f.emplace_back("DELAY", std::to_string(delay(e).count()));
  seams_.journal->event(
      Event::session_not_ended,
      who(e) + " is not over, " + length_of(std::chrono::duration_cast<Seconds>(delay(e))) + " after its time: " + what,
      f);
}

void Sessions::tell_ended(const Entry& e) {
  const Milliseconds late = delay(e);
  EventFields f = fields(e);
  f.emplace_back("WHY", e.why);
  f.emplace_back("EXPIRES", format_time(e.due));
  f.emplace_back("DELAY", std::to_string(late.count()));
  f.emplace_back("COUNT", std::to_string(e.ending->killed()));
  seams_.journal->event(Event::session_ended,
                        who(e) + " was ended: " + e.why + "; nothing of it was left " + std::to_string(late.count()) +
                            " ms after its time",
                        f);
  if (e.told_at != Milliseconds{0}) seams_.journal->event(Event::session_not_ended_cleared, who(e) + " is over now", f);
  if (late > kFailedAfter) {
    seams_.journal->event(Event::session_end_late,
                          who(e) + " ended " + length_of(std::chrono::duration_cast<Seconds>(late)) + " after its time",
                          f);
  }
  const double seconds = static_cast<double>(late.count()) / 1000;
  const auto* bound = std::lower_bound(std::begin(EndDelays::kBounds), std::end(EndDelays::kBounds), seconds);
  ++delays_.counts[static_cast<std::size_t>(bound - std::begin(EndDelays::kBounds))];
  delays_.sum += seconds;
}

// --- over without us

// Its person logged out. What he left running may run on as long as he is admitted; when nothing is left it is over.
bool Sessions::closed(Entry& e) {
  e.left_behind = !leader_lives(e.session);
  if (!e.left_behind && !seams_.host->session_abandoned(e.session.logind)) return false;
  if (e.left_at == Milliseconds{0}) e.left_at = seams_.host->uptime();
  limit_left_behind(e);
  if (!e.left_behind) return false;
  if (!seams_.host->group_empty(e.session.control_group)) return false;
  return e.session.audit == kNoAudit || seams_.host->processes_of_audit(e.session.audit).empty();
}

void Sessions::limit_left_behind(Entry& e) {
  if (e.session.observed || e.left_limited || e.deadline.at <= now_) return;
  if (seams_.host->uptime() < e.left_at + kLeftBehindAfter) return;
  e.left_limited = true;
  seams_.host->limit_left_behind(e.session.logind, e.deadline.at + kGraceLeftBehind - now_);
}

void Sessions::forget(const std::string& name) {
  const auto found = entries_.find(name);
  const Session session = found->second.session;
  const bool personal = found->second.personal;
  unregister_session(seams_.registry, name);
  seams_.host->forget_limit(session.logind);
  entries_.erase(found);
  if (session.observed) return;
  std::set<std::uint32_t> audits;
  for (const auto& [other, e] : entries_) audits.insert(e.session.audit);
  seams_.visits->session_over(session, personal, audits);
}

void Sessions::end_visits() {
  visits_next_.reset();
  for (const std::string& account : seams_.visits->open()) {
    const bool here = std::any_of(entries_.begin(), entries_.end(),
                                  [&](const auto& named) { return named.second.session.account == account; });
    if (here || seams_.anyone_admitted(account)) continue;
    if (seams_.visits->end(account, now_)) continue;
    const Milliseconds next = seams_.host->uptime() + seams_.visits->again(account);
    visits_next_ = visits_next_ ? std::min(*visits_next_, next) : next;
  }
}

void Sessions::look() {
  if (!started_) return;
  now_ = seams_.now();
  look_at_registry();
  std::vector<std::string> over;
  for (auto& [name, e] : entries_) {
    if (!e.ending) judge(e);
    if (!e.ending) warn(e);
    if (e.ending && go_on(e)) {
      over.push_back(name);
    } else if (!e.ending && closed(e)) {
      if (!e.record_gone) seams_.journal->event(Event::session_closed, who(e) + " is over", fields(e));
      over.push_back(name);
    }
  }
  for (const std::string& name : over) forget(name);
  end_visits();
}

// PID 1's limits count no time that the machine slept; ours do.
void Sessions::tell_sleep() {
  const Milliseconds slept = seams_.host->slept(), more = slept - std::exchange(slept_, slept);
  if (more < kSleep) return;
  const std::string length = length_of(std::chrono::duration_cast<Seconds>(more));
  seams_.journal->event(Event::clock_suspended, "the host slept for " + length, {{"WHY", length}});
  for (auto& [name, e] : entries_) {
    if (!e.session.observed && !e.ending && e.deadline.at > now_)
      seams_.host->limit_session(e.session.logind, e.deadline.at + kGrace - now_);
  }
}

// A record that is gone while its session lives: a login refused at the last moment takes its record back, and is over
// in a moment; for longer only root can have done it. The session is known here all the same.
void Sessions::minute() {
  now_ = seams_.now();
  tell_sleep();
  for (auto& [name, e] : entries_) {
    if (!e.record_gone || e.ending || std::exchange(e.told_gone, true)) continue;
    const std::string file = seams_.registry + "/" + name;
    seams_.journal->event(Event::session_record_damaged, "the record of session " + name + " was taken away",
                          {{"FILE", file}, {"WHY", "it was taken away while the session lives"}});
  }
  look();
}

}  // namespace hallpass
