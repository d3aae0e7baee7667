// The three lines of hallpass in /etc/pam.d/sshd: where they have to stand, put in and taken out. Text only; no file is
// read here. docs/operations.md says why they stand there.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

// The content of another file of /etc/pam.d, for what is included; nullopt: there is none.
using PamFile = std::function<std::optional<std::string>(const std::string& name)>;

struct PamLines {
  int count = 0;         // lines of ours
  bool observe = false;  // all of them say mode=observe
};
PamLines pam_lines_in(std::string_view text);

// `text` with our lines, and without those that it had before: the account line before the first thing that may end the
// account stack, the session line between pam_loginuid and what brings pam_systemd, `post` directly after that. Knows
// the layouts of Debian (@include common-...) and of Red Hat, SUSE and Arch (include, substack).
// Errors: mismatch (a layout that it does not understand: which line, and what to do by hand).
Result<std::string> put_pam_lines(std::string_view text, bool observe, const PamFile& other);
std::string without_pam_lines(std::string_view text);

}  // namespace hallpass
