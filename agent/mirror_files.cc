#include "agent/mirror_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hallpass {
namespace {

Error failed(const std::string& path, int code) {
  if (code == ENOENT) return {Errc::not_found, path + " is not there"};
  return {Errc::unavailable, "cannot read " + path + ": " + std::strerror(code)};
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != "..";
}

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int descriptor) : fd(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  bool is_open() const { return fd >= 0; }
  bool move_to(const std::string& folder, int from) {
    const int next = openat(from, folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) return false;
    if (fd >= 0) ::close(fd);
    fd = next;
    return true;
  }
};

}  // namespace

MirrorFiles::~MirrorFiles() {
  if (fd_ >= 0) ::close(fd_);
}

Status MirrorFiles::open() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd_ < 0) return failed(directory_, errno);
  return Unit{};
}

// One component at a time, each without following a link: openat2(2) would do it at once, but containers forbid it.
Result<std::string> MirrorFiles::read(const std::string& path, std::size_t limit) const {
  Descriptor at;
  std::string_view rest = path;
  for (std::size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string folder(rest.substr(0, slash));
    rest.remove_prefix(slash + 1);
    if (!is_plain_name(folder)) return Error{Errc::malformed, path + " is no path of the mirror"};
    if (!at.move_to(folder, at.is_open() ? at.fd : fd_)) return failed(path, errno);
  }
  if (!is_plain_name(rest)) return Error{Errc::malformed, path + " is no path of the mirror"};
  const Descriptor file{openat(at.is_open() ? at.fd : fd_, std::string(rest).c_str(),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  if (!file.is_open()) return failed(path, errno);
  struct stat st {};
  if (fstat(file.fd, &st) != 0) return failed(path, errno);
  if (!S_ISREG(st.st_mode)) return Error{Errc::malformed, path + " is not a regular file"};
  std::string content;
  const auto most = std::min<std::size_t>(limit, static_cast<std::size_t>(st.st_size)) + 1;
  content.resize(most);
  std::size_t size = 0;
  while (size < most) {
    const ssize_t got = ::read(file.fd, content.data() + size, most - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  // A file that grows while it is read is no more than one that is too large.
  if (size == most) return Error{Errc::too_large, path + " is over " + std::to_string(limit) + " bytes"};
  content.resize(size);
  return content;
}

LogFiles MirrorFiles::files() const {
  return [this](const std::string& path, std::size_t limit) { return read(path, limit); };
}

}  // namespace hallpass
