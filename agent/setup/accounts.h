// The accounts of this host, as its own files say (/etc/passwd, /etc/group, /etc/shadow), not NSS: what PAM's modules
// of hallpass read, and what cannot hang.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/layout.h"
#include "core/values/result.h"

namespace hallpass {

struct Account {
  std::string name, home, shell;
  uid_t uid = 0;
  gid_t gid = 0;
  bool can_log_in = false;    // a shell that is not nologin or false, and not expired
  bool has_password = false;  // a usable hash in /etc/shadow
};

// All of /etc/passwd, in its order. Errors: unavailable.
Result<std::vector<Account>> read_accounts(const Layout& layout);

// The members of a group of /etc/group, primary members of `accounts` included; sorted. Errors: not_found (no such
// group), unavailable.
Result<std::vector<std::string>> group_members(const Layout& layout, std::string_view group,
                                               const std::vector<Account>& accounts);

// The public keys of an account's key files (sshd's AuthorizedKeysFile patterns %h and %u, or the default two): what it
// could log in with today.
struct AuthorizedKey {
  std::string file;  // where it stands
  int line = 0;
  std::string key;  // "ssh-ed25519 AAAA…", without options and comment
  std::string fingerprint;
  std::string comment;
  std::string options;  // as they stand before it: `command="…",no-pty`
};
// Files are opened without following links of the account's and with a size limit; what cannot be read is left out.
std::vector<AuthorizedKey> authorized_keys(const Layout& layout, const Account& account,
                                           const std::vector<std::string>& patterns);

}  // namespace hallpass
