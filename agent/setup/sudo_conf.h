// The three lines of hallpass in /etc/sudo.conf, put in and taken out. Text only. packaging/sudo/sudo.conf,
// docs/operations.md "Switch sudo on".
#pragma once

#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

inline constexpr std::string_view kSudoPlugin = "/usr/lib/hallpass/hallpass_sudo.so";

// Both plugins of ours are named.
bool has_sudo_lines(std::string_view text);

// `text` with our policy, sudoers' I/O log and our audit plugin in place of every line that names sudoers_policy,
// sudoers_io, sudoers_audit or ours; options that those had go with them. Everything else stays. Errors: mismatch
// (another policy plugin, or another library than sudoers.so).
Result<std::string> put_sudo_lines(std::string_view text);

// The same rules without us: sudoers' own three plugins where ours stood, and nothing where no line of ours is.
std::string without_sudo_lines(std::string_view text);

}  // namespace hallpass
