// Leaving a key record: hallpass-keys' part, kept out of what sshd loads.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "host/key_record.h"
#include "host/small_file.h"

namespace hallpass {
namespace {

Error failed(const char* what, const std::string& path) {
  return {Errc::unavailable, std::string(what) + " " + path + ": " + std::generic_category().message(errno)};
}

// Logins that never came to PAM leave records behind. A few a call keep the directory as small as sshd's own process
// table.
void remove_dead(const std::string& dir) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  for (int looked = 0; entries && looked < 64; ++looked) {
    const dirent* entry = readdir(entries.get());
    if (entry == nullptr) return;
    const long pid = strtol(entry->d_name, nullptr, 10);
    if (pid > 0 && process_start(static_cast<pid_t>(pid)).empty()) unlink((dir + "/" + entry->d_name).c_str());
  }
}

}  // namespace

Status write_key_record(const std::string& dir, pid_t pid, std::string_view account, std::string_view fingerprint) {
  const std::string start = process_start(pid);
  if (start.empty()) return Error{Errc::not_found, "no process " + std::to_string(pid)};
  const auto slash = dir.rfind('/');
  if (slash != std::string::npos && slash > 0) (void)mkdir(dir.substr(0, slash).c_str(), 0755);
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return failed("making", dir);
  if (const Status ours = private_directory(dir); !ours) return ours;
  remove_dead(dir);
  const std::string path = dir + "/" + std::to_string(pid), next = path + ".new";
  const std::string record = "1 " + start + " " + std::string(account) + " " + std::string(fingerprint) + "\n";
  unlink(next.c_str());
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return failed("opening", next);
  const bool written = write(fd, record.data(), record.size()) == static_cast<ssize_t>(record.size());
  close(fd);
  if (written && rename(next.c_str(), path.c_str()) == 0) return Unit{};
  const Error error = failed("writing", path);
  unlink(next.c_str());
  return error;
}

}  // namespace hallpass
