#include "core/values/command.h"

namespace hallpass {

std::string describe_command(const Command& command) {
  std::string text = "as " + command.as_user + (command.as_group.empty() ? "" : ", group " + command.as_group) + ": ";
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
      text += "any command, so everything";
      break;
    case Command::Kind::edit:
      text += "edit ";
      add_list(command.arguments, " or ");
      break;
  }
  if (!command.arguments.empty() && command.arguments.back() == "**") text += " [** is any further arguments]";
  if (!command.sha256.empty()) text += " [only the program with SHA-256 " + command.sha256 + "]";
  if (command.subcommands == Subcommands::deny) text += " [may start no other program]";
  if (command.subcommands == Subcommands::check) text += " [programs it starts are checked too]";
  if (!command.env_keep.empty()) {
    text += " [may pass the variables ";
    add_list(command.env_keep, ", ");
    text += "]";
  }
  if (command.password) text += " [sudo asks for the password]";
  return text;
}

}  // namespace hallpass
