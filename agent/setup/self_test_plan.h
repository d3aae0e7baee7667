// What the self-test shows its programs in place of the real files: worked out from the changes alone, so that it can
// be tried without root.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/setup/activation.h"

namespace hallpass {

// A file that is there before and after is covered by a copy. One that comes or goes changes its directory: that one is
// built anew, with everything else of it bound into the new one.
struct MountPlan {
  using File = std::pair<std::string, FileContent>;
  std::vector<File> covered;
  std::vector<std::string> rebuilt;   // directories, parents before children
  std::vector<File> added;            // below one of `rebuilt`; directories on the way may be missing
  std::vector<std::string> removed;   // directly in one of `rebuilt`
  std::vector<std::string> left_out;  // read by PID 1 and polkitd, which a mount namespace does not reach
};
// `exists`: of a file or directory of this machine.
MountPlan plan_mounts(const Changes& changes, const std::function<bool(const std::string&)>& exists);

// An /etc/group in which `account` is a member of `group`, which is added when there is none.
std::string with_member(std::string_view group_file, std::string_view group, std::string_view account);

// The group that hallpass's lines of a PAM file exempt.
std::string exempt_group_of(std::string_view pam_file);

// An access.conf that pam_access lets `account` in by: the first line that fits counts. Empty: it has no rule, and
// nothing needs doing.
std::string with_access(std::string_view access_conf, std::string_view account);

}  // namespace hallpass
