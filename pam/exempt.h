// Who is let in without a grant: asked of the machine's own files, never through NSS, before anything of hallpass is
// opened.
#pragma once

#include <string>

namespace hallpass {

// True when `account` is a member of `group`, or has it as its primary group. An unreadable file makes nobody exempt.
bool in_exempt_group(const std::string& account, const std::string& group, const char* group_file = "/etc/group",
                     const char* passwd_file = "/etc/passwd");

}  // namespace hallpass
