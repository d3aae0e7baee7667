#include "pam/exempt.h"

#include <grp.h>
#include <pwd.h>

#include <cstdio>
#include <memory>

namespace hallpass {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

}  // namespace

bool in_exempt_group(const std::string& account, const std::string& group, const char* group_file,
                     const char* passwd_file) {
  const File groups(fopen(group_file, "re"), fclose);
  const struct group* entry = nullptr;
  while (groups && (entry = fgetgrent(groups.get())) != nullptr) {
    if (group == entry->gr_name) break;
  }
  if (entry == nullptr || account.empty()) return false;
  for (char** member = entry->gr_mem; *member != nullptr; ++member) {
    if (account == *member) return true;
  }
  const gid_t gid = entry->gr_gid;
  const File users(fopen(passwd_file, "re"), fclose);
  const struct passwd* user = nullptr;
  while (users && (user = fgetpwent(users.get())) != nullptr) {
    if (account == user->pw_name) return user->pw_gid == gid;
  }
  return false;
}

}  // namespace hallpass
