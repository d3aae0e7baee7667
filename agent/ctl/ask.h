// The other side of the agent's control socket.
#pragma once

#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

// What the agent says to `command`. Errors: unavailable (no agent, or it is too busy), mismatch (it refused; its
// words), malformed.
Result<std::string> ask_agent(const std::string& path, std::string_view command);

}  // namespace hallpass
