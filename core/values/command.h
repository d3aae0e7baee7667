// One entry of a runbook's `sudo` list: what may be run, as whom, and how. Plain data; the same shape stands in the
// policy, in the runbook's digest and in the snapshot. Patterns are kept as written, parsed with core/values/pattern.h.
#pragma once

#include <string>
#include <vector>

namespace hallpass {

enum class Subcommands { allow, deny, check };  // sudoers: nothing, NOEXEC, INTERCEPT

struct Command {
  enum class Kind { run, shell, any, edit };
  Kind kind = Kind::run;
  std::string as_user;                   // "root"
  std::string as_group;                  // empty: the user's own groups
  std::vector<std::string> executables;  // kind run: absolute paths, any of them (distributions differ); else empty
  std::vector<std::string> arguments;    // kind run: tokens; kind edit: one <path:...> or literal token a file allowed
  std::string sha256;                    // hex digest of the executable's content, or empty
  Subcommands subcommands = Subcommands::allow;
  std::vector<std::string> env_keep;  // names of variables the requester may pass
  bool unbounded = false;             // must be true when the last token is `**`
  bool password = false;              // sudo asks for the user's password
  bool operator==(const Command&) const = default;
};

// One line for people: `as root: /usr/bin/systemctl {restart,reload} nginx`.
std::string describe_command(const Command& command);

}  // namespace hallpass
