// The site's sudo rules, as `cvtsudoers -f json -e` writes them: whom each reaches. sudoers(5).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/values/result.h"

namespace hallpass {

struct SudoRule {
  struct Member {
    std::string kind, name;  // "username", "usergroup", "userid", ...
    bool negated = false;
  };
  std::vector<Member> users;
  std::string text;  // "%ops ALL=(root) NOPASSWD: /usr/bin/systemctl"
  bool any_command = false, no_password = false;
};

// Errors: malformed (not what cvtsudoers writes).
Result<std::vector<SudoRule>> parse_sudo_rules(const Json& sudoers);

// in_group: of the account, by name or as "#gid". Of the rule's users the last that fits counts; a user whose kind is
// not known here (a netgroup, a directory's group) reaches nobody.
bool rule_reaches(const SudoRule& rule, std::string_view account, std::string_view uid,
                  const std::function<bool(const std::string& group)>& in_group);

}  // namespace hallpass
