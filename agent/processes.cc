#include "agent/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>
#include <sstream>

#include "core/values/text.h"
#include "host/session.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxFile = std::size_t{256} * 1024;
constexpr int kMaxDepth = 16;

struct Closed {
  int fd;
  ~Closed() {
    if (fd >= 0) close(fd);
  }
};
using Entries = std::unique_ptr<DIR, int (*)(DIR*)>;

template <class Number>
bool parse(std::string_view text, Number& number) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end && !text.empty();
}

// The value of a line "Uid:\t1000\t..." in /proc/<pid>/status.
std::optional<uid_t> real_user(const std::string& status) {
  const auto at = status.find("\nUid:\t");
  if (at == std::string::npos) return std::nullopt;
  const auto from = at + 6, to = status.find('\t', from);
  uid_t uid = 0;
  if (to == std::string::npos || !parse(std::string_view(status).substr(from, to - from), uid)) return std::nullopt;
  return uid;
}

void add_pids(const std::string& directory, int depth, std::vector<pid_t>& pids) {
  const Entries entries(opendir(directory.c_str()), closedir);
  if (!entries || depth > kMaxDepth) return;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") add_pids(directory + "/" + name, depth + 1, pids);
  }
  const Closed file{openat(dirfd(entries.get()), "cgroup.procs", O_RDONLY | O_CLOEXEC)};
  std::array<char, 4096> buffer{};
  std::string text;
  for (ssize_t n = 0; file.fd >= 0 && (n = ::read(file.fd, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  std::istringstream lines(text);
  for (pid_t pid = 0; lines >> pid;) {
    if (pid > 0) pids.push_back(pid);  // 0: of another namespace
  }
}

}  // namespace

ProcessTable::ProcessTable(const std::string& proc, std::string groups)
    : proc_(open(proc.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), groups_(std::move(groups)) {
  const auto there = [&](const char* name) { return access((groups_ + name).c_str(), F_OK) == 0; };
  if (there("/cgroup.controllers")) return;
  if (there("/unified/cgroup.procs")) groups_ += "/unified";  // beside the old hierarchies
  if (there("/systemd/cgroup.procs")) groups_ += "/systemd";  // the old one alone
}

ProcessTable::~ProcessTable() {
  if (proc_ >= 0) close(proc_);
}

std::string ProcessTable::read_file(const std::string& path) const {
  const Closed file{openat(proc_, path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0;
       file.fd >= 0 && text.size() < kMaxFile && (n = ::read(file.fd, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  return text;
}

void ProcessTable::each(const std::function<void(pid_t)>& call) const {
  const Entries entries(fdopendir(openat(proc_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), closedir);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    pid_t pid = 0;
    if (parse(std::string_view(entry->d_name), pid)) call(pid);
  }
}

std::uint32_t ProcessTable::number(pid_t pid, const char* name) const {
  std::uint32_t value = kNoAudit;
  return parse(read_file(std::to_string(pid) + "/" + name), value) ? value : kNoAudit;
}

// proc(5). The name stands in parentheses and may hold anything; what follows its last one is fields from the third on.
std::optional<Process> ProcessTable::read(pid_t pid) const {
  const std::string directory = std::to_string(pid), stat = read_file(directory + "/stat");
  const auto open = stat.find('('), closed = stat.rfind(')');
  const std::optional<uid_t> uid = real_user(read_file(directory + "/status"));
  if (open == std::string::npos || closed == std::string::npos || closed < open || !uid) return std::nullopt;
  Process p;
  p.pid = pid;
  p.uid = *uid;
  p.name = printable(stat.substr(open + 1, closed - open - 1), 64);
  std::istringstream fields(stat.substr(closed + 1));
  std::string skipped;
  int group = 0, session = 0;
  fields >> p.state >> p.parent >> group >> session >> p.terminal;
  int threads = 0;
  for (int field = 8; field < 20; ++field) fields >> skipped;
  fields >> threads >> skipped >> p.start;
  if (!fields) return std::nullopt;
  // Only its first thread is dead: the others run on, and so does the process.
  if (p.state == 'Z' && threads > 1) p.state = '?';
  p.login_uid = number(pid, "loginuid");
  p.audit = number(pid, "sessionid");
  p.group = control_group(pid);
  return p;
}

std::vector<std::string> ProcessTable::open_files(const Process& process) const {
  std::vector<std::string> names;
  const std::string directory = std::to_string(process.pid) + "/fd";
  const int fd = openat(proc_, directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Entries entries(fd < 0 ? nullptr : fdopendir(fd), closedir);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    std::array<char, 4096> target{};
    const ssize_t length = readlinkat(dirfd(entries.get()), entry->d_name, target.data(), target.size());
    if (length > 0) names.emplace_back(target.data(), static_cast<std::size_t>(length));
  }
  const auto now = read(process.pid);
  if (!now || now->start != process.start) names.clear();  // they were another's
  return names;
}

std::optional<std::string> ProcessTable::group_path(std::string_view group) const {
  if (!group.starts_with('/') || group == "/" || (std::string(group) + "/").find("/../") != std::string::npos)
    return std::nullopt;
  return groups_ + std::string(group);
}

std::vector<pid_t> ProcessTable::in_group(std::string_view group) const {
  std::vector<pid_t> pids;
  if (const auto path = group_path(group)) add_pids(*path, 0, pids);
  return pids;
}

bool ProcessTable::group_empty(std::string_view group) const {
  const auto path = group_path(group);
  if (!path) return true;
  const std::string events = read_file(*path + "/cgroup.events");
  if (events.find("populated 0\n") != std::string::npos) return true;
  if (events.find("populated 1\n") != std::string::npos) return false;
  return in_group(group).empty();  // gone, or the old hierarchy
}

bool ProcessTable::kill_group(std::string_view group) const {
  const auto path = group_path(group);
  const Closed file{path ? open((*path + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC) : -1};
  return file.fd >= 0 && write(file.fd, "1", 1) == 1;
}

void kill_exactly(const ProcessTable& table, const Process& process) {
  const Closed handle{static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0))};
  if (handle.fd < 0) return;
  const auto now = table.read(process.pid);  // after the handle was taken: it stands for this very process
  if (now && now->start == process.start) syscall(SYS_pidfd_send_signal, handle.fd, SIGKILL, nullptr, 0);
}

}  // namespace hallpass
