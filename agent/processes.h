// What /proc and the control groups' file system say of processes: for agent/linux_host.h, without D-Bus.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/session_host.h"

namespace hallpass {

class ProcessTable {
 public:
  explicit ProcessTable(const std::string& proc = "/proc", std::string groups = "/sys/fs/cgroup");
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // Calls each(pid) for every process there is.
  void each(const std::function<void(pid_t)>& call) const;
  // The number in /proc/<pid>/<name> ("sessionid", "loginuid"); kNoAudit: none, or the process is gone.
  std::uint32_t number(pid_t pid, const char* name) const;
  std::optional<Process> read(pid_t pid) const;  // nullopt: it is gone

  // What it has open, as the kernel spells it; the files themselves are not looked at.
  std::vector<std::string> open_files(const Process& process) const;

  // Pids in a control group and in those below it.
  std::vector<pid_t> in_group(std::string_view group) const;
  bool group_empty(std::string_view group) const;  // or gone
  bool kill_group(std::string_view group) const;   // false: not possible here

 private:
  std::string read_file(const std::string& path) const;
  std::optional<std::string> group_path(std::string_view group) const;

  int proc_ = -1;
  std::string groups_;  // where systemd's hierarchy is mounted
};

// SIGKILL to exactly this process: by pid, and by start, so that a number used again harms nobody.
void kill_exactly(const ProcessTable& table, const Process& process);

}  // namespace hallpass
