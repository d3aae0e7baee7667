#include "agent/control.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/json.h"

namespace hallpass {
namespace {

constexpr std::size_t kPacketBytes = std::size_t{32} * 1024;
constexpr std::chrono::milliseconds kOutOfDescriptors{200};

std::string answer_to(const Result<std::string>& result) {
  return to_json(
      Json(JsonObject{{"ok", Json(result.has_value())}, {"text", Json(result ? *result : result.error().message)}}));
}

// To somebody who is not kept. What he sent is read away: closing with it unread would make his next read fail.
void refuse(int fd, const char* why) {
  std::array<char, kMaxCommandBytes> ignored{};
  (void)recv(fd, ignored.data(), ignored.size(), MSG_DONTWAIT);
  const std::string answer = answer_to(Error{Errc::unavailable, why});
  (void)send(fd, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(fd);
}

bool would_block() {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

bool open_to_all(std::string_view command) {
  return command == "time" || command == "done";
}

struct ControlSocket::Client {
  int fd = -1;
  Peer peer;
  Moment deadline;
  std::string answer;    // empty: his command is not there yet
  std::size_t sent = 0;  // of the answer
  bool finished = false;
};

ControlSocket::ControlSocket(Handler handler, const Limits& limits, Who who)
    : handler_(std::move(handler)), limits_(limits), who_(std::move(who)) {}

ControlSocket::~ControlSocket() {
  for (const Client& c : clients_) close(c.fd);
  for (const int fd : {listener_, timer_, epoll_})
    if (fd >= 0) close(fd);
}

Status ControlSocket::open(const std::string& path) {
  const Result<int> bound = bind_local_socket(path, SOCK_SEQPACKET, 0666);
  if (!bound) return bound.error();
  listener_ = *bound;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  epoll_event listener{0, {&listener_}}, timer{EPOLLIN, {&timer_}};
  if (epoll_ < 0 || timer_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &listener) != 0 ||
      epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &timer) != 0)
    return Error{Errc::unavailable, "cannot watch " + path + ": " + std::strerror(errno)};
  watch_listener(true);
  return Unit{};
}

void ControlSocket::watch_listener(bool on) {
  epoll_event listener{on ? EPOLLIN : 0U, {&listener_}};
  listening_ = epoll_ctl(epoll_, EPOLL_CTL_MOD, listener_, &listener) == 0 && on;
}

void ControlSocket::serve() {
  std::array<epoll_event, 64> events{};
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
  const Moment now = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    void* const what = events[static_cast<std::size_t>(i)].data.ptr;
    if (what == &timer_) continue;  // it is set anew below
    if (what == &listener_) {
      accept_some(now);
    } else {
      auto& client = *static_cast<Client*>(what);
      client.answer.empty() ? read_command(client) : write_answer(client);
    }
  }
  if (!listening_ && now >= listen_at_) watch_listener(true);
  clients_.remove_if([&](const Client& c) {
    const bool over = c.finished || now >= c.deadline;
    if (over) close(c.fd);
    return over;
  });
  arm_timer(now);
}

void ControlSocket::accept_some(Moment now) {
  for (std::size_t i = 0; i < limits_.accepts; ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == ECONNABORTED || errno == EINTR)) continue;
    if (fd < 0 && errno == EAGAIN) return;
    if (fd < 0) {  // no descriptors or no memory: the listener stays readable, so leave it alone for a while
      watch_listener(false);
      listen_at_ = now + kOutOfDescriptors;
      return;
    }
    const std::optional<Peer> peer = who_(fd);
    if (!peer || !room_for(peer->uid)) {
      refuse(fd, "too many ask at once; try again");
    } else {
      take(fd, *peer, now);
    }
  }
  watch_listener(false);
  listen_at_ = now + limits_.pause;
}

bool ControlSocket::room_for(uid_t uid) const {
  if (clients_.size() >= limits_.connections) return false;
  if (uid == 0) return true;
  const auto users = std::count_if(clients_.begin(), clients_.end(), [](const Client& c) { return c.peer.uid != 0; });
  const auto his = std::count_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.peer.uid == uid; });
  return static_cast<std::size_t>(users) < limits_.of_users && static_cast<std::size_t>(his) < limits_.of_one_user;
}

void ControlSocket::take(int fd, const Peer& peer, Moment now) {
  Client& client = clients_.emplace_back();
  client.fd = fd;
  client.peer = peer;
  client.deadline = now + limits_.patience;
  epoll_event event{EPOLLIN, {&client}};
  client.finished = epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0;
}

void ControlSocket::read_command(Client& client) {
  std::array<char, kMaxCommandBytes> buffer{};
  const ssize_t got = recv(client.fd, buffer.data(), buffer.size(), MSG_TRUNC);
  if (got < 0 && would_block()) return;
  client.finished = got <= 0;
  if (client.finished) return;
  const auto size = static_cast<std::size_t>(got);
  if (size > buffer.size()) {
    client.answer = answer_to(Error{Errc::too_large, "the command is too long"});
  } else if (const std::string_view command(buffer.data(), size); client.peer.uid != 0 && !open_to_all(command)) {
    client.answer = answer_to(Error{Errc::untrusted, "only root may ask that"});
  } else {
    client.answer = answer_to(handler_(client.peer, command));
  }
  client.deadline = std::chrono::steady_clock::now() + limits_.patience;  // the handler may have taken its time
  write_answer(client);
}

// In packets, for one would have to fit the buffers of both sides.
void ControlSocket::write_answer(Client& client) {
  while (client.sent < client.answer.size()) {
    const std::string_view rest = std::string_view(client.answer).substr(client.sent, kPacketBytes);
    const ssize_t sent = send(client.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && would_block()) {
      epoll_event event{EPOLLOUT, {&client}};
      client.finished = epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event) != 0;
      return;
    }
    if (sent < 0) break;
    client.sent += static_cast<std::size_t>(sent);
  }
  client.finished = true;
}

void ControlSocket::arm_timer(Moment now) {
  std::optional<Moment> next;
  if (!listening_) next = listen_at_;
  for (const Client& c : clients_) next = next ? std::min(*next, c.deadline) : c.deadline;
  // All zero disarms; what is due already must not.
  const auto left =
      next ? std::max<std::chrono::nanoseconds>(*next - now, std::chrono::nanoseconds{1}) : std::chrono::nanoseconds{0};
  itimerspec at{};
  at.it_value.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
  at.it_value.tv_nsec = (left % std::chrono::seconds{1}).count();
  timerfd_settime(timer_, 0, &at, nullptr);
}

}  // namespace hallpass
