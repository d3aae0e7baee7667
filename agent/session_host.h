// What the agent does to a machine to end sessions: processes, control groups, logind, PID 1, terminals. A seam: the
// real one is agent/linux_host.h, unit tests have one in memory.
//
// Nothing here waits: what goes over D-Bus is sent, and what came of it is looked at later, by what the machine shows.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hallpass {

using Milliseconds = std::chrono::milliseconds;

inline constexpr std::uint32_t kNoAudit = 0xffffffff;

struct Process {
  pid_t pid = 0, parent = 0;
  std::uint64_t start = 0;         // field 22 of /proc/<pid>/stat: clock ticks since boot
  uid_t uid = 0;                   // its real user
  uid_t login_uid = kNoAudit;      // whose login it descends from
  std::uint32_t audit = kNoAudit;  // audit session id
  int terminal = 0;                // device number of its controlling terminal; 0: none
  std::string group;               // control group: "/user.slice/user-1000.slice/session-5.scope"
  std::string name;                // "sleep", printable
  char state = '?';                // 'D': waits for a disk, cannot be killed
};

// Whether a control group is `ancestor`, or below it.
inline bool is_below(std::string_view group, std::string_view ancestor) {
  return group.starts_with(ancestor) && (group.size() == ancestor.size() || group[ancestor.size()] == '/');
}

class SessionHost {
 public:
  virtual ~SessionHost() = default;

  virtual Milliseconds uptime() const = 0;           // CLOCK_BOOTTIME
  virtual Milliseconds slept() const { return {}; }  // of that, how long the machine was suspended
  virtual long ticks_per_second() const = 0;         // of Process::start, which counts CLOCK_BOOTTIME too

  // --- what runs. Kernel threads are left out. A process that ends meanwhile is left out, too.
  // processes_of_audit() may answer from one look at all processes for a moment: nobody gets an audit id but from his
  // parent, so "none" stays true. From this call on it looks anew.
  virtual void look_again() {}
  virtual std::vector<Process> processes_of_audit(std::uint32_t audit) = 0;
  // Those of them that are neither in `group` nor below it.
  virtual std::vector<Process> processes_of_audit_outside(std::uint32_t audit, std::string_view group) {
    std::vector<Process> found = processes_of_audit(audit);
    std::erase_if(found, [&](const Process& p) { return is_below(p.group, group); });
    return found;
  }
  virtual std::vector<Process> processes_of_login(uid_t login_uid) = 0;   // that descend from any login of this user
  virtual std::vector<Process> processes_in(std::string_view group) = 0;  // and in groups below it
  virtual bool group_empty(std::string_view group) = 0;                   // or gone
  // What a process has open, as the kernel spells it: "/var/spool/cron/atspool/a0000201c88f83 (deleted)". Read from the
  // links alone: a look at the files themselves could wait for a file server. Needs CAP_SYS_PTRACE. A process in a
  // mount namespace of its own can make such names mean what it likes.
  virtual std::vector<std::string> open_files(const Process& /*process*/) { return {}; }

  // --- ending. SIGKILL, to exactly this process (by pid and start, through a pidfd).
  virtual void kill_process(const Process& process) = 0;
  // All of a control group at once; false: this kernel or hierarchy cannot.
  virtual bool kill_group(std::string_view group) = 0;

  // --- logind. `id`: "5". Asked for, not waited for.
  virtual void terminate_session(const std::string& id) = 0;
  virtual void kill_session(const std::string& id) = 0;              // SIGKILL to all of it: where kill_group cannot
  virtual bool session_listed(const std::string& id) = 0;            // logind still knows it
  virtual void terminate_user(uid_t uid) = 0;                        // its sessions and its user manager
  virtual std::vector<std::string> sessions_of_user(uid_t uid) = 0;  // ids, as logind lists them
  virtual void disable_linger(uid_t uid) = 0;
  // logind gave it up, and PID 1 with it: the scope's own limit counts no more (see limit_left_behind). Its person
  // logged out, or asked logind for just that (ReleaseSession), which everybody may for his own.
  virtual bool session_abandoned(const std::string& /*id*/) { return false; }
  // The PAM service that made it: "sshd", "login", "su-l". Empty: unknown, which callers take for a login by itself.
  virtual std::string session_service(const std::string& /*id*/) { return {}; }

  // --- PID 1: it ends the session's scope by itself `left` from now, whatever becomes of the agent.
  virtual void limit_session(const std::string& id, Milliseconds left) = 0;

  // The same for a session that is left behind or abandoned: systemd no longer looks at the scope's own limit then.
  virtual void limit_left_behind(const std::string& /*id*/, Milliseconds /*left*/) {}

  // What these two left behind, of a session that is over.
  virtual void forget_limit(const std::string& id) = 0;

  // Writes to a terminal by its device number, without waiting. Only pseudo-terminals, and only one of these users: who
  // has a /dev/pts of his own (a mount namespace) has numbers there that are others' terminals here.
  virtual void write_terminal(int terminal, const std::set<uid_t>& owners, std::string_view text) = 0;
};

}  // namespace hallpass
