#include "host/key_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hallpass {
namespace {

// The beginning of a small file; `owned`: only if it is ours alone. Empty when anything is wrong.
std::string read_small(const std::string& path, bool owned) {
  char bytes[1024];
  struct stat st {};
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return {};
  const bool fits =
      !owned || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0);
  const ssize_t got = fits ? read(fd, bytes, sizeof bytes) : -1;
  close(fd);
  return got > 0 ? std::string(bytes, static_cast<std::size_t>(got)) : std::string();
}

}  // namespace

std::string process_start(pid_t pid) {
  const std::string stat = read_small("/proc/" + std::to_string(pid) + "/stat", false);
  std::size_t at = stat.rfind(')');  // the second field is a name that may hold anything
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos) return {};
  return stat.substr(at + 1, stat.find(' ', at + 1) - at - 1);
}

std::optional<std::string> read_key_record(const std::string& dir, pid_t pid, std::string_view account) {
  const std::string record = read_small(dir + "/" + std::to_string(pid), true);
  const std::string start = process_start(pid);
  const std::string expected = "1 " + start + " " + std::string(account) + " ";
  if (start.empty() || !record.starts_with(expected) || record.find('\n') != record.size() - 1) return std::nullopt;
  return record.substr(expected.size(), record.size() - expected.size() - 1);
}

void remove_key_record(const std::string& dir, pid_t pid) {
  unlink((dir + "/" + std::to_string(pid)).c_str());
}

}  // namespace hallpass
