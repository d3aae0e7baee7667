#include "agent/local_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hallpass {
namespace {

constexpr int kBacklog = 128;

}  // namespace

Result<int> bind_local_socket(const std::string& path, int type, mode_t mode) {
  const auto failed = [&](const char* what) {
    return Error{Errc::unavailable, std::string(what) + " " + path + ": " + std::strerror(errno)};
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Errc::too_large, path + " is too long for a socket"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed("cannot make");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    Error error = failed("cannot replace");
    close(fd);
    return error;
  }
  const mode_t before = umask(~mode & 0777);  // so from the first moment on
  const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  umask(before);
  if (bound != 0 || (type != SOCK_DGRAM && listen(fd, kBacklog) != 0)) {
    Error error = failed("cannot bind");
    close(fd);
    return error;
  }
  return fd;
}

std::optional<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return Peer{credentials.pid, credentials.uid};
}

}  // namespace hallpass
