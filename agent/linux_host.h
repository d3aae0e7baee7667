// The real SessionHost: /proc, control groups, logind and PID 1 over D-Bus, terminals.
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/processes.h"
#include "agent/session_host.h"
#include "core/values/result.h"

namespace hallpass {

class LinuxHost final : public SessionHost {
 public:
  // `limit_failed`: PID 1 did not take a session's limit; its name for logind, and why.
  using LimitFailed = std::function<void(const std::string& id, const std::string& why)>;
  LinuxHost(sd_event* event, LimitFailed limit_failed);
  ~LinuxHost() override;

  Milliseconds uptime() const override;
  Milliseconds slept() const override;
  long ticks_per_second() const override;
  void look_again() override { looked_us_ = 0; }
  std::vector<Process> processes_of_audit(std::uint32_t audit) override { return of_audit(audit, {}); }
  std::vector<Process> processes_of_audit_outside(std::uint32_t audit, std::string_view group) override;
  std::vector<Process> processes_of_login(uid_t login_uid) override;
  std::vector<Process> processes_in(std::string_view group) override;
  bool group_empty(std::string_view group) override { return table_.group_empty(group); }
  void kill_process(const Process& process) override { kill_exactly(table_, process); }
  bool kill_group(std::string_view group) override { return table_.kill_group(group); }
  void terminate_session(const std::string& id) override;
  void kill_session(const std::string& id) override;
  bool session_listed(const std::string& id) override;
  void terminate_user(uid_t uid) override;
  std::vector<std::string> sessions_of_user(uid_t uid) override;
  std::vector<std::string> open_files(const Process& process) override { return table_.open_files(process); }
  std::string session_service(const std::string& id) override;
  bool session_abandoned(const std::string& id) override;
  void disable_linger(uid_t uid) override;
  void limit_session(const std::string& id, Milliseconds left) override;
  void limit_left_behind(const std::string& id, Milliseconds left) override;
  void forget_limit(const std::string& id) override;
  void write_terminal(int terminal, const std::set<uid_t>& owners, std::string_view text) override;

  // No user manager for this user from now on, or again one; after the next reload of PID 1, which is asked for.
  void forbid_user_manager(uid_t uid, bool forbidden);

 private:
  // What PID 1 shall hold, and what came of asking it.
  struct Limit {
    std::uint64_t end_us = 0;     // CLOCK_MONOTONIC, which the scope's timer counts
    std::uint64_t active_us = 0;  // since when the scope is
    bool written = false;         // a drop-in says so: PID 1 is to be asked once more, after the next reload
    bool read_again = false;      // it was: now it must hold what the drop-in says
    std::uint64_t timer_us = 0;   // CLOCK_MONOTONIC: when hallpass-end-<id>.timer shall end what was left behind
    bool timer_written = false;   // it is to be started, after the next reload
  };
  struct Asked;  // a question under way
  void look();
  std::vector<Process> of_audit(std::uint32_t audit, const std::set<pid_t>& without);
  sd_bus* bus();
  void call_logind(const char* method, const char* types, const std::string& id);
  void ask_property(const std::string& id, const char* interface, const char* property);
  void took(const std::string& id, const std::string& property, std::uint64_t value);
  void compare(const std::string& id, std::uint64_t runtime_us);
  Status write_drop_in(const std::string& id, std::uint64_t runtime_us);
  void write_timer(const std::string& id, std::uint64_t started_us);
  void tell_timer(const std::string& id, const char* method);
  void reload_soon();
  void reload();
  static int on_property(sd_bus_message* reply, void* p, sd_bus_error*);
  static int on_reloaded(sd_bus_message* reply, void* p, sd_bus_error*);
  static int on_reload_time(sd_event_source*, std::uint64_t, void* p);

  ProcessTable table_;
  std::uint64_t looked_us_ = 0;  // CLOCK_BOOTTIME of the look that filled `by_audit_`; 0: none
  std::map<std::uint32_t, std::vector<pid_t>> by_audit_;
  sd_event* event_;
  LimitFailed limit_failed_;
  sd_bus* bus_ = nullptr;
  sd_event_source* reload_time_ = nullptr;
  std::uint64_t reloaded_us_ = 0;  // last
  bool reloading_ = false, reload_again_ = false;
  std::map<std::string, Limit> limits_;
  std::set<std::unique_ptr<Asked>> asked_;
};

}  // namespace hallpass
