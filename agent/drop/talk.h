// Reading from and answering a client that may do neither in time.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass::drop {

using Clock = std::chrono::steady_clock;

// Milliseconds from now until then, for poll(2); 0 when past.
int left_until(Clock::time_point then);

// Everything until the end of input. Errors: too_large (over `limit`), unavailable (read error, or no end by `until`).
Result<std::string> read_to_end(int fd, std::size_t limit, Clock::time_point until);

// Writes what the reader takes by `until` and gives up on the rest: nobody is waited for. Sets O_NONBLOCK on `fd`.
void say(int fd, std::string_view text, Clock::time_point until);

}  // namespace hallpass::drop
