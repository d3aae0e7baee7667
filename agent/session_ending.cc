#include "agent/session_ending.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hallpass {
namespace {

constexpr Milliseconds kWords{30}, kGentle{200};
constexpr Milliseconds kShortestPause{10}, kLongestPause{1000};
constexpr Milliseconds kLongestTurn{100};  // other sessions end too
constexpr int kSweeps = 20;  // one after the other, while each finds something new: what forks is faster than a timer
constexpr std::size_t kNamed = 5;

}  // namespace

bool in_system_service(std::string_view group) {
  constexpr std::string_view kSlice = "/system.slice/";
  if (!group.starts_with(kSlice)) return false;
  // "/system.slice/system-getty.slice/getty@tty1.service"; sshd's own children before their session begins are its.
  group.remove_prefix(kSlice.size());
  while (true) {
    const std::string_view name = group.substr(0, group.find('/'));
    if (name.ends_with(".service")) return true;
    if (!name.ends_with(".slice") || name.size() == group.size()) return false;
    group.remove_prefix(name.size() + 1);
  }
}

SessionEnding::SessionEnding(Session session, SessionHost& host)
    : session_(std::move(session)), host_(host), began_(host.uptime()), next_(began_ + kWords) {}

// Alive, of this session, and not to be spared. An audit id that others have too says nothing.
std::vector<Process> SessionEnding::strays(bool outside_only) {
  if (session_.audit == kNoAuditSession) return {};
  std::vector<Process> found = outside_only ? host_.processes_of_audit_outside(session_.audit, session_.control_group)
                                            : host_.processes_of_audit(session_.audit);
  std::erase_if(found, [&](const Process& p) {
    if (p.state == 'Z' || p.state == 'X') return true;  // dead, and its parent has not looked yet
    if (!in_system_service(p.group)) return false;
    if (spared_.emplace(p.pid, p.start).second) left_alone_.push_back(p);
    return true;
  });
  return found;
}

bool SessionEnding::proven() {
  if (!host_.group_empty(session_.control_group) || host_.session_listed(session_.logind) || !strays().empty())
    return false;
  if (killed_.empty()) return true;
  // What forks and exits all the time can be behind whoever reads /proc: where something had escaped, nothing is seen
  // twice.
  host_.look_again();
  return strays().empty();
}

// A control group that holds nothing but the session's is killed whole: no fork escapes that. What is still seen of the
// session's own, killed already, only needs time to die. True: there was something new to the last.
bool SessionEnding::kill_strays(bool group_killed) {
  const Milliseconds until = host_.uptime() + kLongestTurn;
  for (int sweep = 0; sweep < kSweeps && host_.uptime() < until; ++sweep) {
    const std::vector<Process> found = strays(group_killed);
    bool news = false;
    std::map<std::string, std::vector<const Process*>> by_group;
    for (const Process& p : found) by_group[p.group].push_back(&p);
    for (const auto& [group, members] : by_group) {
      const std::vector<Process> all = group.empty() ? std::vector<Process>() : host_.processes_in(group);
      const bool ours = !all.empty() && std::all_of(all.begin(), all.end(),
                                                    [&](const Process& p) { return p.audit == session_.audit; });
      if (ours && group != "/") host_.kill_group(group);
      for (const Process* p : members) {
        host_.kill_process(*p);
        news = killed_.emplace(p->pid, p->start).second || news;
      }
    }
    if (!news) return false;  // what was killed before needs time to die
    host_.look_again();
  }
  return true;
}

bool SessionEnding::step() {
  const Milliseconds now = host_.uptime();
  if (now < next_) return false;
  if (!std::exchange(asked_, true)) host_.terminate_session(session_.logind);
  if (now >= began_ + kGentle) {
    const bool group_killed = host_.group_empty(session_.control_group) || host_.kill_group(session_.control_group);
    if (!group_killed) host_.kill_session(session_.logind);
    const bool more = kill_strays(group_killed);
    pause_ = more || !killing_ ? kShortestPause : std::min(pause_ * 2, kLongestPause);
    killing_ = true;
  }
  if (proven()) return true;
  next_ = host_.uptime() + pause_;
  if (!killing_) next_ = std::min(next_, began_ + kGentle);
  return false;
}

std::vector<Process> SessionEnding::take_left_alone() {
  return std::exchange(left_alone_, {});
}

std::string SessionEnding::remains() {
  std::string text;
  const auto say = [&](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  std::vector<Process> left = strays();
  for (Process& p : host_.processes_in(session_.control_group)) {
    if (std::none_of(left.begin(), left.end(), [&](const Process& q) { return q.pid == p.pid; })) left.push_back(p);
  }
  for (std::size_t i = 0; i < left.size() && i < kNamed; ++i) {
    say("process " + std::to_string(left[i].pid) + " (" + left[i].name +
        (left[i].state == 'D' ? ", waits for a disk" : "") + ")");
  }
  if (left.size() > kNamed) say(std::to_string(left.size() - kNamed) + " more processes");
  if (left.empty() && !host_.group_empty(session_.control_group)) say("its control group is not empty");
  if (host_.session_listed(session_.logind)) say("systemd-logind still lists session " + session_.logind);
  return text;
}

}  // namespace hallpass
