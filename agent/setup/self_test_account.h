// The self-test's throw-away account. It is a real one, for logind must know it; it has no password, and the key that
// opens it stands in a mount namespace that nobody else sees.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

inline constexpr char kSelfTestPrefix[] = "hallpass-selftest-";

struct ThrowAway {
  std::string name, home;
  uid_t uid = 0;
  gid_t gid = 0;
};

// "hallpass-selftest-k3v9": for the account, and for what else one self-test makes.
std::string new_self_test_name();
// Errors: unavailable (useradd's own words).
Result<ThrowAway> make_throw_away(const std::string& name, const std::string& home);
// Ends its processes and removes it and its group. Nothing to do is no error. Errors: unavailable (what is left).
Status remove_throw_away(const std::string& name);
// Accounts and groups of earlier self-tests, by /etc/passwd and /etc/group.
std::vector<std::string> throw_aways(std::string_view passwd_file, std::string_view group_file);

// Kills them until there is none. `which` is asked about every process but the caller's. False: some are left.
bool end_processes(bool (*which)(pid_t pid, const void* what), const void* what);

}  // namespace hallpass
