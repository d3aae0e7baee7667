#include "agent/relay.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/local_socket.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxDatagram = std::size_t{128} * 1024;
constexpr std::size_t kMaxQueued = 256;
constexpr std::size_t kMaxQueuedBytes = std::size_t{1024} * 1024;
constexpr int kAtOnce = 64;  // datagrams taken before other work gets its turn

// The kernel's word on who sent it; it cannot be forged but by root.
bool from_root(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) continue;
    ucred credentials{};
    std::memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
    return credentials.uid == 0;
  }
  return false;
}

}  // namespace

EventRelay::~EventRelay() {
  if (fd_ >= 0) close(fd_);
}

Status EventRelay::open(const std::string& path) {
  const Result<int> bound = bind_local_socket(path, SOCK_DGRAM, 0600);
  if (!bound) return bound.error();
  fd_ = *bound;
  const int yes = 1;
  if (setsockopt(fd_, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) {
    return Error{Errc::unavailable, "cannot ask for credentials on " + path + ": " + std::strerror(errno)};
  }
  return Unit{};
}

void EventRelay::receive() {
  std::string buffer(kMaxDatagram, '\0');
  for (int i = 0; i < kAtOnce; ++i) {
    // No room for descriptors: a sender that passes some gets them closed by the kernel.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return;
    if (got == 0 || (message.msg_flags & MSG_TRUNC) != 0 || !from_root(message)) continue;
    const std::string datagram = buffer.substr(0, static_cast<std::size_t>(got));
    forward(datagram);
    if (observer_) observer_(datagram);
  }
}

void EventRelay::forward(const std::string& datagram) {
  if (queue_.empty() && send_to_journald(datagram) != Taken::nobody) return;
  if (queue_.size() >= kMaxQueued || queued_bytes_ + datagram.size() > kMaxQueuedBytes) {
    ++dropped_;
    return;
  }
  queued_bytes_ += datagram.size();
  queue_.push_back(datagram);
}

bool EventRelay::flush() {
  while (!queue_.empty()) {
    if (send_to_journald(queue_.front()) == Taken::nobody) return true;
    queued_bytes_ -= queue_.front().size();
    queue_.pop_front();
  }
  if (dropped_ > 0) {
    const std::string count = std::to_string(std::exchange(dropped_, 0));
    journal_.event(Event::events_dropped, count + " journal entries were lost: journald did not take them",
                   {{"COUNT", count}});
  }
  return false;
}

}  // namespace hallpass
