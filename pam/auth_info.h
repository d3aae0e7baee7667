// What sshd proved about a login, as it tells PAM in SSH_AUTH_INFO_0: one line a method (docs/architecture.md,
// "Login").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hallpass {

struct AuthInfo {
  bool readable =
      false;  // false: absent, empty, or a publickey line that is not well formed. Decides nothing but "no".
  std::vector<std::string>
      keys;  // "<type> <base64>" of every publickey line; a certificate stands as the key that it certifies
};

AuthInfo parse_auth_info(std::string_view text);

// The key that an OpenSSH certificate certifies, "<type> <base64>"; empty when it is not a user certificate of a known
// type.
std::string certified_key(std::string_view type, std::string_view base64);

}  // namespace hallpass
