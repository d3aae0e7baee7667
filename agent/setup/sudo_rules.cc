#include "agent/setup/sudo_rules.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostCommands = 3;

const JsonArray& array_of(const Json& object, std::string_view name) {
  static const JsonArray kNone;
  const Json* found = object.find(name);
  return found == nullptr || found->as_array() == nullptr ? kNone : *found->as_array();
}

// {"username": "alice"}, {"userid": 1000, "negated": true}
SudoRule::Member member_of(const Json& json) {
  SudoRule::Member member;
  if (json.as_object() == nullptr) return member;
  for (const auto& [name, value] : *json.as_object()) {
    if (name == "negated") {
      member.negated = value.as_bool() != nullptr && *value.as_bool();
    } else if (const std::string* text = value.as_string()) {
      member.kind = name;
      member.name = *text;
    } else if (const std::int64_t* number = value.as_int()) {
      member.kind = name;
      member.name = std::to_string(*number);
    }
  }
  return member;
}

std::string spelled(const SudoRule::Member& member) {
  const bool group = member.kind == "usergroup" || member.kind == "usergid" || member.kind == "nonunixgroup" ||
                     member.kind == "nonunixgid";
  const bool number = member.kind == "userid" || member.kind == "usergid";
  return std::string(member.negated ? "!" : "") +
         (group                       ? "%"
          : member.kind == "netgroup" ? "+"
                                      : "") +
         (number ? "#" : "") + member.name;
}

std::string spelled(const JsonArray& members, std::size_t most = 6) {
  std::string text;
  for (std::size_t i = 0; i < members.size() && i < most; ++i)
    text += (i == 0 ? "" : ", ") + spelled(member_of(members[i]));
  return members.size() > most ? text + ", ..." : text;
}

bool option_is(const Json& spec, std::string_view name, bool wanted) {
  for (const Json& option : array_of(spec, "Options")) {
    const Json* value = option.find(name);
    if (value != nullptr && value->as_bool() != nullptr) return *value->as_bool() == wanted;
  }
  return false;
}

SudoRule rule_of(const Json& user_spec, const Json& spec) {
  SudoRule rule;
  for (const Json& user : array_of(user_spec, "User_List")) rule.users.push_back(member_of(user));
  const JsonArray& commands = array_of(spec, "Commands");
  for (const Json& command : commands) {
    const SudoRule::Member member = member_of(command);
    if (member.kind == "command" && member.name == "ALL" && !member.negated) rule.any_command = true;
  }
  rule.no_password = option_is(spec, "authenticate", false);
  const std::string as = spelled(array_of(spec, "runasusers"));
  rule.text = spelled(array_of(user_spec, "User_List")) + " " + spelled(array_of(user_spec, "Host_List")) + "=" +
              (as.empty() ? "" : "(" + as + ") ") + (rule.no_password ? "NOPASSWD: " : "") +
              spelled(commands, kMostCommands);
  return rule;
}

}  // namespace

Result<std::vector<SudoRule>> parse_sudo_rules(const Json& sudoers) {
  if (sudoers.as_object() == nullptr) return Error{Errc::malformed, "cvtsudoers wrote no JSON object"};
  std::vector<SudoRule> rules;
  for (const Json& user_spec : array_of(sudoers, "User_Specs")) {
    for (const Json& spec : array_of(user_spec, "Cmnd_Specs")) rules.push_back(rule_of(user_spec, spec));
  }
  return rules;
}

bool rule_reaches(const SudoRule& rule, std::string_view account, std::string_view uid,
                  const std::function<bool(const std::string& group)>& in_group) {
  bool reached = false;
  for (const SudoRule::Member& user : rule.users) {
    bool fits = false;
    if (user.kind == "username") fits = user.name == "ALL" || user.name == account;
    if (user.kind == "userid") fits = user.name == uid;
    if (user.kind == "usergroup") fits = in_group(user.name);
    if (user.kind == "usergid") fits = in_group("#" + user.name);
    if (fits) reached = !user.negated;
  }
  return reached;
}

}  // namespace hallpass
