#include "core/values/command.h"

namespace hallpass {

std::string describe_command(const Command& command) {
  std::string text = "as " + command.as_user + (command.as_group.empty() ? "" : ":" + command.as_group) + ": ";
  const auto add_list = [&](const std::vector<std::string>& words, const char* between) {
    for (std::size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : between) + words[i];
  };
  switch (command.kind) {
    case Command::Kind::run:
      add_list(command.executables, " or ");
      for (const std::string& token : command.arguments) text += " " + token;
      break;
    case Command::Kind::shell:
      text += "a shell (sudo -i, sudo -s), so everything";
      break;
    case Command::Kind::any:
      text += "any command";
      break;
    case Command::Kind::edit:
      text += "edit ";
      add_list(command.arguments, " or ");
      break;
  }
  if (!command.sha256.empty()) text += " [sha256 " + command.sha256 + "]";
  if (command.subcommands == Subcommands::deny) text += " [may start no other program]";
  if (command.subcommands == Subcommands::check) text += " [programs it starts are checked too]";
  if (!command.env_keep.empty()) {
    text += " [keeps ";
    add_list(command.env_keep, ", ");
    text += "]";
  }
  if (command.password) text += " [asks for a password]";
  return text;
}

}  // namespace hallpass
