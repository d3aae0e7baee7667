#include "agent/control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/local_socket.h"
#include "core/json.h"

namespace hallpass {
namespace {

constexpr int kPatience_ms = 200;
constexpr time_t kAnswerWithin_s = 30;

std::string answer_to(const Result<std::string>& result) {
  return to_json(
      Json(JsonObject{{"ok", Json(result.has_value())}, {"text", Json(result ? *result : result.error().message)}}));
}

}  // namespace

ControlSocket::~ControlSocket() {
  if (fd_ >= 0) close(fd_);
}

Status ControlSocket::open(const std::string& path) {
  const Result<int> bound = bind_local_socket(path, SOCK_SEQPACKET);
  if (!bound) return bound.error();
  fd_ = *bound;
  return Unit{};
}

void ControlSocket::serve() {
  const int client = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  std::array<char, 256> buffer{};
  pollfd waiting{client, POLLIN, 0};
  const bool asked = peer_uid(client) == 0 && poll(&waiting, 1, kPatience_ms) == 1;
  const ssize_t got = asked ? recv(client, buffer.data(), buffer.size(), 0) : -1;
  if (got > 0) {
    const std::string answer = answer_to(handler_({buffer.data(), static_cast<std::size_t>(got)}));
    [[maybe_unused]] const ssize_t sent = send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  close(client);
}

Result<std::string> ask_agent(const std::string& path, std::string_view command) {
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (fd < 0 || path.size() >= sizeof address.sun_path) return Error{Errc::unavailable, "cannot make a socket"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const timeval patience{kAnswerWithin_s, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string buffer(std::size_t{64} * 1024, '\0');
  ssize_t got = -1;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      send(fd, command.data(), command.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(command.size())) {
    got = recv(fd, buffer.data(), buffer.size(), 0);
  }
  const int error = errno;
  close(fd);
  if (got == 0) return Error{Errc::mismatch, "the agent answers root only"};
  if (got < 0)
    return Error{Errc::unavailable, "hallpass-agent does not answer at " + path + ": " + std::strerror(error)};
  const Result<Json> answer = parse_json(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
  const Json* ok = answer ? answer->find("ok") : nullptr;
  const Json* text = answer ? answer->find("text") : nullptr;
  if (ok == nullptr || ok->as_bool() == nullptr || text == nullptr || text->as_string() == nullptr) {
    return Error{Errc::malformed, "hallpass-agent's answer cannot be read"};
  }
  if (!*ok->as_bool()) return Error{Errc::mismatch, *text->as_string()};
  return *text->as_string();
}

}  // namespace hallpass
