// A machine in memory: processes, control groups and logind's sessions that do as they are told, or do not.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/session_host.h"

namespace hallpass::testing {

class FakeHost : public SessionHost {
 public:
  Milliseconds uptime() const override { return now; }
  Milliseconds slept() const override { return asleep; }
  long ticks_per_second() const override { return 100; }

  std::vector<Process> processes_of_audit(std::uint32_t audit) override {
    return those([&](const Process& p) { return audit != kNoAudit && p.audit == audit; });
  }
  std::vector<Process> processes_of_login(uid_t uid) override {
    return those([&](const Process& p) { return p.login_uid == uid; });
  }
  std::vector<Process> processes_in(std::string_view group) override {
    return those([&](const Process& p) { return is_below(p.group, group); });
  }
  bool group_empty(std::string_view group) override { return processes_in(group).empty(); }

  void kill_process(const Process& process) override {
    done.push_back("kill " + std::to_string(process.pid));
    drop([&](const Process& p) { return p.pid == process.pid && p.start == process.start && p.state != 'D'; });
    if (on_kill) on_kill(process);
  }
  bool kill_group(std::string_view group) override {
    if (!has_cgroup_kill) return false;
    done.push_back("kill_group " + std::string(group));
    drop([&](const Process& p) { return is_below(p.group, group) && p.state != 'D'; });
    return true;
  }
  void terminate_session(const std::string& id) override {
    done.push_back("terminate " + id);
    if (!logind_works) return;
    drop([&](const Process& p) { return p.group.ends_with("/session-" + id + ".scope") && obeys(p); });
  }
  void kill_session(const std::string& id) override {
    done.push_back("kill_session " + id);
    if (logind_works) drop([&](const Process& p) { return p.group.ends_with("/session-" + id + ".scope"); });
  }
  // logind lists a session as long as its scope has processes; one that hangs, for ever.
  bool session_listed(const std::string& id) override {
    return !logind_works || std::any_of(processes.begin(), processes.end(), [&](const Process& p) {
      return p.group.ends_with("/session-" + id + ".scope");
    });
  }
  void terminate_user(uid_t uid) override {
    done.push_back("terminate_user " + std::to_string(uid));
    drop([&](const Process& p) {
      return p.group.find("/user@" + std::to_string(uid) + ".service") != std::string::npos;
    });
  }
  std::vector<std::string> sessions_of_user(uid_t uid) override { return user_sessions[uid]; }
  void disable_linger(uid_t uid) override { done.push_back("disable_linger " + std::to_string(uid)); }
  void limit_session(const std::string& id, Milliseconds left) override { limits[id] = left; }
  bool session_abandoned(const std::string& id) override { return abandoned.count(id) != 0; }
  void limit_left_behind(const std::string& id, Milliseconds left) override { left_limits[id] = left; }
  void forget_limit(const std::string& id) override { limits.erase(id), left_limits.erase(id); }
  void write_terminal(int terminal, const std::set<uid_t>& owners, std::string_view text) override {
    if (owners.count(1000) != 0) terminals[terminal] += text;
  }

  // A process of the session "session-<id>.scope" with that audit id, unless `group` says otherwise.
  Process& add(pid_t pid, std::uint32_t audit, std::string group) {
    Process p;
    p.pid = pid;
    p.start = ++starts_;
    p.uid = p.login_uid = 1000;
    p.audit = audit;
    p.group = std::move(group);
    p.name = "sleep";
    p.state = 'S';
    processes.push_back(p);
    return processes.back();
  }
  bool has(pid_t pid) const {
    return std::any_of(processes.begin(), processes.end(), [&](const Process& p) { return p.pid == pid; });
  }
  int did(const std::string& what) const { return static_cast<int>(std::count(done.begin(), done.end(), what)); }

  Milliseconds now{1'000'000}, asleep{0};
  bool logind_works = true, has_cgroup_kill = true;
  std::vector<Process> processes;
  std::set<pid_t> deaf;  // to SIGTERM and SIGHUP
  std::map<uid_t, std::vector<std::string>> user_sessions;
  std::map<std::string, Milliseconds> limits, left_limits;
  std::set<std::string> abandoned;
  std::map<int, std::string> terminals;
  std::vector<std::string> done;
  std::function<void(const Process&)> on_kill;

 private:
  bool obeys(const Process& p) const { return deaf.count(p.pid) == 0 && p.state != 'D' && p.state != 'T'; }
  template <class Is>
  std::vector<Process> those(Is is) const {
    std::vector<Process> found;
    std::copy_if(processes.begin(), processes.end(), std::back_inserter(found), is);
    return found;
  }
  template <class Is>
  void drop(Is is) {
    std::erase_if(processes, is);
  }
  std::uint64_t starts_ = 100;
};

}  // namespace hallpass::testing
