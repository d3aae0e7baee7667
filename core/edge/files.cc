#include "core/edge/files.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "core/values/bytes.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  // Close errors are the last that some filesystems (NFS) report.
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

Error failed(const std::string& what, const std::string& path, int error) {
  const Errc code = error == ENOENT ? Errc::not_found : Errc::unavailable;
  return {code, "cannot " + what + " " + printable(path) + ": " + std::generic_category().message(error)};
}

// Anything that cannot be done to a file that we write is the machine's refusal, also a directory that is not there.
Error refused(const std::string& what, const std::string& path, int error) {
  return {Errc::unavailable, failed(what, path, error).message};
}

Error not_regular(const std::string& path, const char* found) {
  return {Errc::malformed, printable(path) + " is " + found + ", not a regular file"};
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something else";
}

// The directory part for opening ("." when there is none) and the last component.
std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<std::string> temporary_name(const std::string& name) {
  std::array<std::uint8_t, 12> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return refused("draw a random name for", name, errno);
  }
  return "." + name + "." + hex_encode(random);
}

Status write_temporary(int dir, const std::string& temporary, const std::string& path, std::string_view content,
                       unsigned mode) {
  Descriptor file(::openat(dir, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.ok()) return refused("create a file beside", path, errno);
  // fchmod, because the umask must not decide who reads it.
  if (::fchmod(file.get(), static_cast<mode_t>(mode)) != 0) return refused("set the mode of", path, errno);
  if (!write_all(file.get(), content)) return refused("write", path, errno);
  if (::fsync(file.get()) != 0) return refused("flush", path, errno);
  if (!file.close()) return refused("close", path, errno);
  return Unit{};
}

// Gives the temporary its name if that name is free. A filesystem without RENAME_NOREPLACE gets a hard link, which is
// as exclusive.
bool move_exclusively(int dir, const std::string& temporary, const std::string& name) {
  if (::renameat2(dir, temporary.c_str(), dir, name.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  if (::linkat(dir, temporary.c_str(), dir, name.c_str(), 0) != 0) return false;
  ::unlinkat(dir, temporary.c_str(), 0);
  return true;
}

// Crash after create or write: the old file and a temporary. After rename: the new file, or the old one until the
// directory is flushed.
Status publish(const std::string& path, std::string_view content, unsigned mode, bool replace) {
  const auto [folder, name] = split(path);
  if (name.empty() || name == "." || name == "..") return Error{Errc::unavailable, printable(path) + " names no file"};
  const Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok()) return refused("open the directory of", path, errno);
  const auto temporary = temporary_name(name);
  if (!temporary) return temporary.error();
  if (const Status done = write_temporary(dir.get(), *temporary, path, content, mode); !done) {
    ::unlinkat(dir.get(), temporary->c_str(), 0);
    return done;
  }
  const bool moved = replace ? ::renameat(dir.get(), temporary->c_str(), dir.get(), name.c_str()) == 0
                             : move_exclusively(dir.get(), *temporary, name);
  if (!moved) {
    const int error = errno;
    ::unlinkat(dir.get(), temporary->c_str(), 0);
    if (!replace && error == EEXIST) return Error{Errc::mismatch, printable(path) + " exists already"};
    return refused("rename into place", path, error);
  }
  if (::fsync(dir.get()) != 0) return refused("flush the directory of", path, errno);
  return Unit{};
}

}  // namespace

Result<std::string> read_file(int dir_fd, const std::string& name, std::size_t limit, bool follow) {
  const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (follow ? 0 : O_NOFOLLOW);
  const Descriptor file(::openat(dir_fd, name.c_str(), flags));
  if (!file.ok()) {
    if (errno == ELOOP && !follow) return not_regular(name, "a symbolic link");
    if (errno == ENXIO) return not_regular(name, "a socket, FIFO or device");
    return failed("open", name, errno);
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed("look at", name, errno);
  if (!S_ISREG(info.st_mode)) return not_regular(name, kind_of(info.st_mode));
  const Error large{Errc::too_large, printable(name) + " is larger than " + std::to_string(limit) + " bytes"};
  if (info.st_size < 0 || static_cast<std::uintmax_t>(info.st_size) > limit) return large;
  std::string content;
  content.reserve(static_cast<std::size_t>(info.st_size) + 1);
  std::array<char, 16384> buffer;
  while (true) {
    // Read to the end, not to st_size: the file may grow meanwhile, and /proc says 0.
    const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", name, errno);
    if (n == 0) return content;
    if (static_cast<std::size_t>(n) > limit - content.size()) return large;
    content.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (n == 0) errno = EIO;
      return false;
    }
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

Status write_file_durably(const std::string& path, std::string_view content, unsigned mode) {
  return publish(path, content, mode, true);
}

Status create_file_durably(const std::string& path, std::string_view content, unsigned mode) {
  return publish(path, content, mode, false);
}

}  // namespace hallpass
