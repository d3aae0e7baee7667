#include "agent/at_spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <limits>
#include <memory>
#include <system_error>

namespace hallpass {
namespace {

constexpr std::size_t kNumberDigits = 5, kDueDigits = 8;

struct CloseDirectory {
  void operator()(DIR* d) const { ::closedir(d); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory open_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* directory = fd < 0 ? nullptr : ::fdopendir(fd);
  if (fd >= 0 && directory == nullptr) ::close(fd);
  return Directory(directory);
}

std::int64_t nanoseconds(const struct timespec& t) {
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

std::uint64_t from_hex(std::string_view digits) {
  std::uint64_t n = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), n, 16);
  return n;
}

bool is_job_name(std::string_view name) {
  return name.size() >= kNumberDigits + kDueDigits && name.size() <= 32 &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_job_file(std::string_view file) {
  if (file.empty()) return false;
  const char queue = file.front();
  return (queue == '=' || (queue >= 'a' && queue <= 'z') || (queue >= 'A' && queue <= 'Z')) &&
         is_job_name(file.substr(1));
}

}  // namespace

std::vector<AtJob> at_jobs(const std::vector<std::string>& spools, uid_t owner) {
  std::vector<AtJob> jobs;
  for (const std::string& spool : spools) {
    const Directory directory = open_directory(spool);
    if (!directory) continue;
    while (const dirent* entry = ::readdir(directory.get())) {
      struct stat st {};
      if (!is_job_file(entry->d_name) ||
          ::fstatat(::dirfd(directory.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
          st.st_uid != owner)
        continue;
      jobs.push_back({spool, entry->d_name, nanoseconds(st.st_ctim), nanoseconds(st.st_mtim)});
    }
  }
  return jobs;
}

std::int64_t at_job_due(std::string_view name) {
  if (!is_job_name(name)) return 0;
  constexpr std::int64_t kMinute = 60'000'000'000, kMost = std::numeric_limits<std::int64_t>::max();
  const auto minutes = static_cast<std::int64_t>(from_hex(name.substr(name.size() - kDueDigits)));
  return minutes > kMost / kMinute ? kMost : minutes * kMinute;
}

std::string at_job_number(std::string_view name) {
  if (!is_job_name(name)) return "?";
  return std::to_string(from_hex(name.substr(0, name.size() - kDueDigits)));
}

Status remove_at_job(const AtJob& job, uid_t owner) {
  const auto refused = [&](const char* what, int error) {
    return Error{Errc::unavailable,
                 std::string("cannot ") + what + " " + job.spool + ": " + std::generic_category().message(error)};
  };
  const Directory directory = open_directory(job.spool);
  if (!directory) return refused("open", errno);
  // Between the look and the removal only root and atd's own user could exchange the file.
  struct stat st {};
  if (::fstatat(::dirfd(directory.get()), job.file.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Unit{};
    return refused("look into", errno);
  }
  if (!S_ISREG(st.st_mode) || st.st_uid != owner)
    return Error{Errc::mismatch, job.spool + "/" + job.file + " is another's now"};
  if (::unlinkat(::dirfd(directory.get()), job.file.c_str(), 0) != 0 && errno != ENOENT)
    return refused("remove a job from", errno);
  return Unit{};
}

}  // namespace hallpass
