// A machine in memory for visits: processes in control groups, logind, at's spool and the other directories as
// temporary ones, a journal that is read back. Uptime is moved by hand; files have the real clock's times.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/visits.h"
#include "tests/unit/agent/fake_host.h"
#include "tests/unit/agent/fixture.h"

namespace hallpass::testing {

class VisitHost final : public FakeHost {
 public:
  long ticks_per_second() const override { return 1000; }
  // As the real one, not what is nested too deep.
  std::vector<Process> processes_in(std::string_view group) override {
    std::vector<Process> found = FakeHost::processes_in(group);
    std::erase_if(found, [](const Process& p) { return std::count(p.group.begin(), p.group.end(), '/') > 16; });
    return found;
  }

  void kill_process(const Process& process) override {
    end_those([&](const Process& p) { return p.pid == process.pid; });
  }
  bool kill_group(std::string_view group) override {
    groups_killed.emplace_back(group);
    if (!has_cgroup_kill) return false;
    end_those([&](const Process& p) { return is_below(p.group, group); });
    return true;
  }
  void terminate_session(const std::string& id) override {
    done.push_back("terminate " + id);
    end_those([&](const Process& p) { return p.group.ends_with("/session-" + id + ".scope"); });
    sessions.erase(id);
  }
  void terminate_user(uid_t uid) override {
    done.push_back("terminate-user");
    if (manager_obeys) end_those([&](const Process& p) { return is_below(p.group, manager_group(uid)); });
  }
  std::vector<std::string> sessions_of_user(uid_t) override {
    std::vector<std::string> ids;
    for (const auto& [id, service] : sessions) ids.push_back(id);
    return ids;
  }
  std::string session_service(const std::string& id) override { return sessions.at(id); }
  void disable_linger(uid_t) override {
    done.push_back("disable-linger");
    if (logind_works) ::unlink(linger_file.c_str());
  }
  std::vector<std::string> open_files(const Process& process) override { return files[process.pid]; }

  void end_those(const std::function<bool(const Process&)>& is) {
    std::vector<Process> dead;
    std::copy_if(processes.begin(), processes.end(), std::back_inserter(dead), is);
    std::erase_if(processes, is);
    if (!on_death) return;
    for (const Process& p : dead) on_death(p);
  }

  std::map<pid_t, std::vector<std::string>> files;
  std::map<std::string, std::string> sessions;  // id and service
  std::string linger_file;
  bool manager_obeys = true;
  std::function<void(const Process&)> on_death;
  std::vector<std::string> groups_killed;
};

inline constexpr std::uint32_t kAtAudit = 70, kManagerAudit = 71, kSessionAudit = 5;

struct VisitWorld {
  VisitWorld() {
    places.visits = dir.path() + "/visits";
    places.linger = dir.path() + "/linger";
    places.at_spools = {dir.path() + "/atjobs", dir.path() + "/not-there"};
    places.crontabs = {dir.path() + "/crontabs"};
    places.boot = "boot-1";
    for (const char* d : {"/linger", "/atjobs", "/crontabs"}) std::filesystem::create_directory(dir.path() + d);
    host.linger_file = places.linger + "/alice";
    start_agent();
  }
  void start_agent() {
    visits = std::make_unique<Visits>(places, host, journal);
    visits->load();
  }

  // The host's uptime goes on as the real clock did meanwhile, which files have.
  void sync() {
    const auto real = std::chrono::steady_clock::now();
    const auto gone = std::chrono::duration_cast<Milliseconds>(real - synced_);
    host.now += gone;
    synced_ += gone;
  }
  // By more than the step of the kernel's clock for files.
  void pass() {
    std::this_thread::sleep_for(std::chrono::milliseconds(12));
    sync();
  }
  void linger() { write_text(places.linger + "/alice", ""); }
  bool lingers() const { return std::filesystem::exists(places.linger + "/alice"); }
  std::string job(const std::string& file) {
    const std::string path = places.at_spools[0] + "/" + file;
    write_text(path, "#!/bin/sh\n");
    demand(::lchown(path.c_str(), uid, static_cast<gid_t>(-1)) == 0);
    return path;
  }
  bool has_job(const std::string& file) const { return std::filesystem::exists(places.at_spools[0] + "/" + file); }
  void crontab(std::string_view text) { write_text(places.crontabs[0] + "/alice", text); }

  pid_t add(const std::string& group, std::uint32_t audit, const std::string& name = "sleep") {
    Process p;
    p.pid = next_pid++;
    sync();
    p.start = static_cast<std::uint64_t>(host.now.count());
    p.uid = uid;
    p.login_uid = audit == kNoAudit ? kNoAudit : uid;
    p.audit = audit;
    p.group = group;
    p.name = name;
    host.processes.push_back(p);
    return p.pid;
  }
  Process& process(pid_t pid) {
    return *std::find_if(host.processes.begin(), host.processes.end(), [&](const Process& p) { return p.pid == pid; });
  }
  pid_t manager() { return add(manager_group(uid) + "/init.scope", kManagerAudit, "systemd"); }
  pid_t unit(const std::string& name, const std::string& process = "sleep") {
    return add(manager_group(uid) + "/app.slice/" + name, kManagerAudit, process);
  }
  pid_t of_at(std::uint32_t audit = kAtAudit, const std::string& name = "sh") {
    return add("/system.slice/atd.service", audit, name);
  }

  Session session(std::uint32_t audit = kSessionAudit) {
    sync();
    Session s;
    s.audit = audit;
    s.logind = std::to_string(audit);
    s.subject = s.account = "alice";
    s.uid = uid;
    s.grant_id = "k7m3-9x2d-q4fh";
    s.leader_start = std::to_string(host.now.count());
    return s;
  }
  void login(bool personal = true) {
    began(session(), personal);
    pass();
  }
  void began(const Session& session, bool personal) {
    sync();
    visits->session_began(session, personal);
  }
  // Until it is over, at most `limit_ms`; how long that took. -1: it is not.
  long long end(long long limit_ms = 4000) {
    const Milliseconds asked = host.now;
    while (host.now <= asked + Milliseconds(limit_ms)) {
      if (visits->end("alice", kNow)) return (host.now - asked).count();
      host.now += Visits::kAgain;
    }
    return -1;
  }
  bool open() const { return !visits->open().empty(); }
  std::string record() const { return places.visits + "/alice.json"; }
  std::string why(Event e) const {
    std::string text;
    for (const Told& t : journal.told) {
      if (t.event != e) continue;
      for (const auto& [name, value] : t.fields) {
        if (name == "WHY") text = value;
      }
    }
    return text;
  }

  static constexpr UnixTime kNow{};
  const uid_t uid = ::geteuid() == 0 ? 1000 : ::geteuid();  // root's account is special
  TempDir dir;
  Visits::Places places;
  VisitHost host;
  FakeJournal journal;
  std::unique_ptr<Visits> visits;
  pid_t next_pid = 100;

 private:
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
};

}  // namespace hallpass::testing
