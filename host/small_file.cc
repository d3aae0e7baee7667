#include "host/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace hallpass {

Result<std::string> read_small_file(const std::string& path, Keeper keeper) {
  char bytes[16385];
  std::size_t size = 0;
  struct stat st {};
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Error{errno == ENOENT ? Errc::not_found : Errc::unavailable, path + " cannot be opened"};
  const mode_t others = keeper == Keeper::us ? 022 : 077;
  const bool trusted = keeper == Keeper::anyone || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink <= 1 &&
                                                    st.st_uid == geteuid() && (st.st_mode & others) == 0);
  ssize_t got = trusted ? 1 : 0;
  while (got > 0 && size < sizeof bytes) {
    got = read(fd, bytes + size, sizeof bytes - size);
    if (got > 0) size += static_cast<std::size_t>(got);
  }
  close(fd);
  if (!trusted) return Error{Errc::untrusted, path + " has the wrong owner, mode or links"};
  if (got < 0) return Error{Errc::unavailable, path + " cannot be read"};
  if (size == sizeof bytes) return Error{Errc::too_large, path + " is too large"};
  return std::string(bytes, size);
}

Status private_directory(const std::string& path) {
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0) return Error{Errc::not_found, path + " is missing"};
  if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0) return Unit{};
  return Error{Errc::untrusted, path + " is not a directory of root's alone"};
}

}  // namespace hallpass
