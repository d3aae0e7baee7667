#include "agent/mirror_files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hallpass {
namespace {

Error failed(const std::string& path, int code) {
  if (code == ENOENT) return {Errc::not_found, path + " is not there"};
  return {Errc::unavailable, "cannot read " + path + ": " + std::strerror(code)};
}

struct Closer {
  int fd;
  ~Closer() {
    if (fd >= 0) ::close(fd);
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

Result<std::string> MirrorFiles::read(const std::string& path, std::size_t limit) const {
  struct open_how how {};
  how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const Closer file{static_cast<int>(syscall(SYS_openat2, fd_, path.c_str(), &how, sizeof how))};
  if (file.fd < 0) return failed(path, errno);
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
