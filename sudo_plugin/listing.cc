#include "sudo_plugin/listing.h"

#include <algorithm>

#include "core/values/text.h"
#include "host/spoken_time.h"

namespace hallpass {
namespace {

constexpr std::size_t kLine = 400;

bool is_plain(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_@%+=:,./-{}*<>").find(c) != std::string_view::npos;
  });
}

std::string word_of(std::string_view word) {
  const std::string shown = printable(word, kLine);
  return is_plain(shown) ? shown : "'" + shown + "'";
}

// A command as `sudo -l` shows sudoers' own: "(root) /usr/bin/systemctl restart nginx".
std::string rule_line(const Command& c) {
  std::string line = "(" + c.as_user + (c.as_group.empty() ? "" : " : " + c.as_group) + ") ";
  if (c.password) line += "PASSWD: ";
  if (c.subcommands == Subcommands::deny) line += "NOEXEC: ";
  if (c.subcommands == Subcommands::check) line += "INTERCEPT: ";
  if (!c.sha256.empty()) line += "sha256:" + c.sha256.substr(0, 12) + "... ";
  if (c.kind == Command::Kind::any) return line + "any command";
  if (c.kind == Command::Kind::shell) return line + "a shell (sudo -i, sudo -s)";
  if (c.kind == Command::Kind::edit) line += "sudoedit";
  for (std::size_t i = 0; i < c.executables.size(); ++i) line += (i == 0 ? "" : "|") + c.executables[i];
  for (const std::string& token : c.arguments) line += " " + (token == "\"\"" ? token : word_of(token));
  if (!c.env_keep.empty()) line += "  [may pass";
  for (const std::string& name : c.env_keep) line += " " + name;
  return printable(c.env_keep.empty() ? line : line + "]", 4 * kLine);
}

std::string by_words(const std::vector<std::string_view>& approvers) {
  std::string text;
  for (const std::string_view name : approvers) text += (text.empty() ? ", approved by " : " and ") + std::string(name);
  return text;
}

// How the command would have to be typed.
std::string to_type(const Command& c) {
  std::string line = "sudo";
  // With -g alone sudo runs as the caller.
  if (c.as_user != "root" || !c.as_group.empty()) line += " -u " + c.as_user;
  if (!c.as_group.empty()) line += " -g " + c.as_group;
  if (c.kind == Command::Kind::edit) line += " -e";
  if (c.kind == Command::Kind::shell) line += " -i";
  if (!c.executables.empty()) line += " " + c.executables.front();
  for (const std::string& token : c.arguments) line += " " + word_of(token);
  return printable(line, 2 * kLine);
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string argument_words(const Wish& wish, const Miss& miss) {
  const std::size_t wanted = miss.command.arguments.size();
  if (miss.count) {
    return "it takes " + std::to_string(wanted) + (wanted == 1 ? " argument, not " : " arguments, not ") +
           std::to_string(wish.arguments.size());
  }
  const std::string given = miss.index < wish.arguments.size() ? word_of(wish.arguments[miss.index]) : "nothing";
  if (miss.command.kind == Command::Kind::edit) return given + " is not a file that it lets you edit";
  const std::string which = "argument " + std::to_string(miss.index + 1);
  if (miss.index < wish.arguments.size() && wish.arguments[miss.index].size() > 4096)
    return which + " is longer than the 4096 bytes that any grant allows";
  if (miss.index < wish.arguments.size() && has_control(wish.arguments[miss.index]))
    return which + ", " + given + ", holds control characters, which no grant allows";
  const std::string pattern = miss.index < wanted ? word_of(miss.command.arguments[miss.index]) : "nothing";
  return which + ", " + given + ", does not match " + pattern;
}

std::string miss_words(const Wish& wish, const Miss& miss) {
  switch (miss.what) {
    case Miss::What::argument:
      return argument_words(wish, miss);
    case Miss::What::program:
      return word_of(wish.program.empty() ? wish.typed : wish.program) + " is not the program that it names";
    case Miss::What::environment:
      return "it does not let you pass that variable";
    case Miss::What::group:
      return miss.command.as_group.empty() ? "it is not for -g" : "it is for the group " + miss.command.as_group;
    case Miss::What::user:
      return "it is for the user " + miss.command.as_user + ", not " + word_of(wish.user);
    case Miss::What::ability:
      return "it asks for sub-commands to be checked, which the sudo of this host (before 1.9.8) cannot do";
    case Miss::What::changeable:
      return miss.changeable;
    case Miss::What::kind:
      return "it is for commands without -s and -i";
    case Miss::What::nothing:
      break;
  }
  return "it names other commands";
}

}  // namespace

std::string spoken(const std::string& program, const std::vector<std::string_view>& arguments) {
  std::string line = word_of(program);
  for (const std::string_view a : arguments) line += " " + word_of(a);
  return printable(line, kLine);
}

std::string list_grants(const SnapshotReader& store, const Session& session, const Abilities& abilities, UnixTime now) {
  std::string text;
  grants_of(store, session, now, [&](const AdmissionView& a) {
    if (a.commands.size() == 0) return true;
    for (std::size_t i = 0; i < a.commands.size(); ++i) {
      const Command command = a.commands.at(i);
      text += "    " + rule_line(command) + "\n";
      if (command.subcommands == Subcommands::check && !abilities.intercept)
        text += "        not on this host: its sudo (before 1.9.8) cannot check sub-commands\n";
    }
    text += "        until " + clock_of(a.end, now) + " (" + length_of(a.end - now) + " left), grant " +
            std::string(a.id) + " (" + std::string(a.runbook) + ")" + by_words(a.approvers) + "\n        " +
            printable(a.reason, kLine) + (a.ticket.empty() ? "" : " [" + printable(a.ticket) + "]") + "\n";
    return true;
  });
  if (text.empty()) return text;
  return session.subject + " may run the following on " + store.meta().host + " by grants:\n" + text;
}

std::string not_covered(const Wish& wish, const Search& search, std::string_view account, UnixTime now) {
  const std::string begin = "hallpass: no grant of yours covers ";
  if (!wish.cannot.empty()) {
    return begin + "sudo with " + printable(wish.cannot) + (wish.typed.empty() ? "" : " for " + word_of(wish.typed)) +
           ": under a grant leave that out";
  }
  const bool shell = wish.mode == Wish::Mode::shell;
  std::string text = begin + (wish.mode == Wish::Mode::edit ? spoken("sudoedit", wish.arguments)
                              : shell                       ? "a shell as " + word_of(wish.user)
                                                            : spoken(wish.typed, wish.arguments));
  if (search.grants == 0) {
    text += ": there is none for sudo as " + std::string(account) + " now";
  } else if (search.miss.what != Miss::What::nothing) {
    const Miss& miss = search.miss;
    text += "\n  nearest: grant " + miss.id + " (" + miss.runbook + "), " + length_of(miss.end - now) +
            " left: " + miss_words(wish, miss) + "\n  it allows: " + to_type(miss.command);
  }
  return text + "\n  All that your grants allow: sudo -l    To ask for more: hallpass request";
}

}  // namespace hallpass
