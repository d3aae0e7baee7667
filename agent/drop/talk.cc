#include "agent/drop/talk.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace hallpass::drop {
namespace {

// False: not by then. Errors show in the call that follows.
bool await(int fd, short what, Clock::time_point until) {
  pollfd waiting{fd, what, 0};
  for (;;) {
    const int ready = poll(&waiting, 1, left_until(until));
    if (ready < 0 && errno == EINTR) continue;
    return ready != 0;
  }
}

}  // namespace

int left_until(Clock::time_point then) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(then - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

Result<std::string> read_to_end(int fd, std::size_t limit, Clock::time_point until) {
  std::string all;
  std::array<char, 65536> buffer;
  for (;;) {
    // Looked at each time, or a client that always has one byte more would never be late.
    if (Clock::now() >= until || !await(fd, POLLIN, until)) {
      return Error{Errc::unavailable, "what you hand in did not end in time; end it, as `hallpass carry` does"};
    }
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return Error{Errc::unavailable, "cannot read: " + std::generic_category().message(errno)};
    if (n == 0) return all;
    if (static_cast<std::size_t>(n) > limit - all.size()) {
      return Error{Errc::too_large, "over " + std::to_string(limit) + " bytes; hand them in in several runs"};
    }
    all.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

void say(int fd, std::string_view text, Clock::time_point until) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return;
  while (!text.empty() && await(fd, POLLOUT, until)) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && Clock::now() < until) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace hallpass::drop
