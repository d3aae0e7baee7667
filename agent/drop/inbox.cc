#include "agent/drop/inbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "core/edge/files.h"
#include "core/hash.h"
#include "core/values/bytes.h"

namespace hallpass::drop {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;  // name and content
constexpr auto kLockRetry = std::chrono::milliseconds{20};
constexpr int kLookAgainMs = 100;  // where inotify gave no watch

Error failed(const std::string& what, const std::string& path) {
  const Errc code = errno == ENOENT ? Errc::not_found : Errc::unavailable;
  return {code, "cannot " + what + " " + path + ": " + std::generic_category().message(errno)};
}

Files files_of(const Documents& documents) {
  Files files;
  std::string lines;
  for (const std::string& s : documents.statements) lines += s + '\n';
  if (!lines.empty()) files.emplace_back(hex_encode(sha256(lines).bytes) + ".grant", lines);
  for (const std::string& p : documents.proofs) files.emplace_back(hex_encode(sha256(p).bytes) + ".tlog-proof", p);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

// Every name in the directory but . and ..; false when it cannot be read.
bool each_name(int fd, const std::function<void(const char*)>& see) {
  const int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return false;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(own), closedir);
  if (!stream) {
    close(own);
    return false;
  }
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") see(entry->d_name);
    errno = 0;
  }
  return errno == 0;
}

bool is_there(int fd, const std::string& name) {
  struct stat info {};
  return fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

class Unlock {
 public:
  explicit Unlock(int fd) : fd_(fd) {}
  ~Unlock() { flock(fd_, LOCK_UN); }
  Unlock(const Unlock&) = delete;
  Unlock& operator=(const Unlock&) = delete;

 private:
  int fd_;
};

}  // namespace

Inbox::Inbox(std::string path, int fd, int watch, Quota quota)
    : path_(std::move(path)), fd_(fd), watch_(watch), quota_(quota) {}

Inbox::Inbox(Inbox&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      watch_(std::exchange(other.watch_, -1)),
      quota_(other.quota_) {}

Inbox::~Inbox() {
  if (fd_ >= 0) close(fd_);
  if (watch_ >= 0) close(watch_);
}

Result<Inbox> Inbox::open(const std::string& path, Quota quota) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return failed("open", path);
  // Before anything is written: no removal goes unseen.
  int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (watch >= 0 && inotify_add_watch(watch, path.c_str(), IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR) < 0) {
    close(std::exchange(watch, -1));
  }
  return Inbox(path, fd, watch, quota);
}

// The kernel lets go of it when the holder ends, however it ends.
Status Inbox::lock(Clock::time_point until) const {
  while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("lock", path_);
    if (Clock::now() >= until) return Error{Errc::unavailable, "others are handing in now; try again"};
    std::this_thread::sleep_for(kLockRetry);
  }
  return Unit{};
}

Status Inbox::check_quota(const Files& files) const {
  std::size_t count = files.size(), bytes = 0;
  for (const auto& [name, content] : files) bytes += content.size();
  const auto is_ours = [&](std::string_view name) {
    return std::any_of(files.begin(), files.end(), [&](const auto& f) { return f.first == name; });
  };
  const bool read = each_name(fd_, [&](const char* name) {
    if (is_ours(name)) return;
    struct stat info {};
    // Under the lock nobody is writing: a temporary is what a run left that was cut short.
    if (*name == '.' && unlinkat(fd_, name, 0) == 0) return;
    ++count;
    if (fstatat(fd_, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_size > 0)
      bytes += static_cast<std::size_t>(info.st_size);
  });
  if (!read) return failed("list", path_);
  if (count <= quota_.files && bytes <= quota_.bytes) return Unit{};
  return Error{Errc::too_large, "too much waits here already, for the agent has not read it (at most " +
                                    std::to_string(quota_.files) + " files and " + std::to_string(quota_.bytes) +
                                    " bytes); is hallpass-agent running?"};
}

Result<std::vector<std::string>> Inbox::store(const Documents& documents, Clock::time_point until) {
  const Files files = files_of(documents);
  if (const Status locked = lock(until); !locked) return locked.error();
  const Unlock unlock(fd_);
  if (const Status fits = check_quota(files); !fits) return fits.error();
  std::vector<std::string> names, added;
  for (const auto& [name, content] : files) {
    const bool known = is_there(fd_, name);
    if (!known) added.push_back(name);
    names.push_back(name);
    const Status written = write_file_durably(path_ + "/" + name, content, 0600);
    if (written) continue;
    for (const std::string& half : added) unlinkat(fd_, half.c_str(), 0);
    return written.error();
  }
  return names;
}

std::size_t Inbox::await_taken(const std::vector<std::string>& names, Clock::time_point until) {
  for (;;) {
    const auto left = static_cast<std::size_t>(
        std::count_if(names.begin(), names.end(), [&](const std::string& name) { return is_there(fd_, name); }));
    if (left == 0 || Clock::now() >= until) return left;
    pollfd waiting{watch_, POLLIN, 0};
    poll(&waiting, 1, watch_ >= 0 ? left_until(until) : std::min(kLookAgainMs, left_until(until)));
    std::array<char, 4096> events;
    while (watch_ >= 0 && ::read(watch_, events.data(), events.size()) > 0) {
    }
  }
}

}  // namespace hallpass::drop
