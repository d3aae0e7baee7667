#include "agent/ctl/ask.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/json.h"

namespace hallpass {
namespace {

constexpr time_t kPatience_s = 30;
constexpr std::size_t kPacketBytes = std::size_t{256} * 1024;
constexpr std::size_t kMaxAnswerBytes = std::size_t{16} * 1024 * 1024;

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor)

 private:
  int fd_;
};

std::string words_of(int error) {
  if (error == ENOENT || error == ECONNREFUSED)
    return "hallpass-agent does not run here: `systemctl status hallpass-agent`";
  if (error == EAGAIN) return "hallpass-agent does not answer in time; try again";
  return std::string("hallpass-agent does not answer: ") + std::strerror(error);
}

// Packets until the agent closes. Who is refused before his command was read finds a reset connection, with the answer
// behind it.
Result<std::string> whole_answer(int fd) {
  std::string answer, packet(kPacketBytes, '\0');
  bool reset = false;
  for (;;) {
    const ssize_t got = recv(fd, packet.data(), packet.size(), 0);
    if (got == 0) return answer;
    if (got > 0) {
      answer.append(packet, 0, static_cast<std::size_t>(got));
    } else if (errno == ECONNRESET && !reset) {
      reset = true;
    } else if (errno != EINTR) {
      return Error{Errc::unavailable, words_of(errno)};
    }
    if (answer.size() > kMaxAnswerBytes) return Error{Errc::too_large, "hallpass-agent's answer is too long"};
  }
}

Result<std::string> exchange(const std::string& path, std::string_view command) {
  const Connection fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (fd < 0 || path.size() >= sizeof address.sun_path) return Error{Errc::unavailable, "cannot make a socket"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const timeval patience{kPatience_s, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);  // connecting, too
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error{Errc::unavailable, words_of(errno)};
  // Sent or not: who was refused at the door has an answer waiting.
  [[maybe_unused]] const ssize_t sent = send(fd, command.data(), command.size(), MSG_NOSIGNAL);
  return whole_answer(fd);
}

}  // namespace

Result<std::string> ask_agent(const std::string& path, std::string_view command) {
  const Result<std::string> said = exchange(path, command);
  if (!said) return said;
  if (said->empty()) return Error{Errc::unavailable, "hallpass-agent hung up; try again"};
  const Result<Json> answer = parse_json(*said);
  const Json* ok = answer ? answer->find("ok") : nullptr;
  const Json* text = answer ? answer->find("text") : nullptr;
  if (ok == nullptr || ok->as_bool() == nullptr || text == nullptr || text->as_string() == nullptr)
    return Error{Errc::malformed, "hallpass-agent's answer cannot be read"};
  if (!*ok->as_bool()) return Error{Errc::mismatch, *text->as_string()};
  return *text->as_string();
}

}  // namespace hallpass
