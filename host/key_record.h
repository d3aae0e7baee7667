// Which key a login in progress offered last: left by hallpass-keys for PAM's account phase, which sshd does not tell
// (docs/architecture.md, "Login"). One file a sshd process, /run/hallpass/offers/<pid>, root's alone:
// "1 <start time of the process> <account> <fingerprint>\n".
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

// Field 22 of /proc/<pid>/stat, which tells a process from a later one with its pid; empty when there is no such
// process.
std::string process_start(pid_t pid);

// The fingerprint recorded for this very process and account; nullopt when there is none that can be believed.
std::optional<std::string> read_key_record(const std::string& dir, pid_t pid, std::string_view account);
void remove_key_record(const std::string& dir, pid_t pid);
// Replaces the process's record, and removes some that dead processes left. Makes `dir` (0700) when it is missing.
Status write_key_record(const std::string& dir, pid_t pid, std::string_view account, std::string_view fingerprint);

}  // namespace hallpass
