// One entry of a runbook's `sudo` list.
#include <algorithm>

#include "core/policy_parse.h"
#include "core/values/pattern.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxTokens = 100;
constexpr std::size_t kMaxExecutables = 16;
constexpr std::size_t kMaxPathBytes = 1024;

// Absolute, without empty, "." or ".." components.
bool is_clean_path(std::string_view path) {
  if (path.size() < 2 || path.size() > kMaxPathBytes || path.front() != '/' || path.back() == '/') return false;
  std::size_t at = 1;
  while (at <= path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view component = path.substr(at, end - at);
    if (component.empty() || component == "." || component == "..") return false;
    at = end + 1;
  }
  return true;
}

// Only characters that mean nothing to sudoers, shells and patterns.
bool is_executable_path(std::string_view path) {
  return is_clean_path(path) && std::all_of(path.begin(), path.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("/._+@%-").find(c) != std::string_view::npos;
         });
}

class CommandParser {
 public:
  CommandParser(const Toml& value, const Runbook& runbook, const std::string& where, std::vector<Diagnostic>& out)
      : table_(value, where, out), runbook_(runbook), where_(where) {}

  std::optional<Command> parse() {
    parse_as();
    parse_what();
    parse_sha256();
    parse_subcommands();
    parse_env();
    parse_unbounded();
    command_.password = table_.boolean("password").value_or(false);
    if (!failed_ && kind_known_) check_patterns();
    table_.finish();
    if (failed_) return std::nullopt;
    return command_;
  }

 private:
  void error(int line, std::string message, std::string cure) {
    failed_ = true;
    table_.error(line, std::move(message), std::move(cure));
  }

  void parse_as() {
    const Toml* value = table_.required("as", "as = \"root\"");
    const auto as = table_.string("as");
    if (!as) {
      failed_ = true;
      return;
    }
    const std::size_t colon = as->find(':');
    command_.as_user = as->substr(0, colon);
    if (colon != std::string::npos) command_.as_group = as->substr(colon + 1);
    const bool group_fine = colon == std::string::npos || is_account_name(command_.as_group);
    if (is_account_name(command_.as_user) && group_fine) return;
    error(value->line(), "as = " + in_quotes(*as) + " in " + where_ + " is not a user or user:group",
          "write names, not numbers or ALL: as = \"root\", or as = \"postgres:postgres\"");
  }

  // `run` or `edit`, exactly one.
  void parse_what() {
    const Toml* run = table_.optional("run");
    const Toml* edit = table_.optional("edit");
    if ((run == nullptr) == (edit == nullptr)) {
      error(edit != nullptr ? edit->line() : table_.line(),
            edit != nullptr ? where_ + " has both run and edit" : "neither run nor edit in " + where_,
            edit != nullptr ? "make two entries of them"
                            : "write: run = [\"/usr/bin/systemctl\", \"restart\", \"nginx\"]");
      return;
    }
    if (edit != nullptr) {
      parse_edit(*edit);
    } else if (const std::string* word = run->as_string()) {
      parse_word(*word, run->line());
    } else if (const TomlArray* tokens = run->as_array()) {
      parse_run(*tokens, run->line());
    } else {
      error(run->line(),
            std::string("run in ") + where_ + " must be an array of arguments, \"shell\" or \"any\", found " +
                run->type_name(),
            "write: run = [\"/usr/bin/systemctl\", \"restart\", \"nginx\"]");
    }
  }

  void parse_word(const std::string& word, int line) {
    kind_known_ = word == "shell" || word == "any";
    command_.kind = word == "shell" ? Command::Kind::shell : Command::Kind::any;
    if (kind_known_) return;
    error(line, "run = " + in_quotes(word) + " in " + where_ + " is neither \"shell\" nor \"any\"",
          "write an array, one element an argument: run = [\"/usr/bin/systemctl\", \"restart\", \"nginx\"]");
  }

  void parse_run(const TomlArray& tokens, int line) {
    command_.kind = Command::Kind::run;
    kind_known_ = true;
    if (tokens.empty() || tokens.size() > kMaxTokens) {
      error(line, "run in " + where_ + " has " + std::to_string(tokens.size()) + " elements",
            "write the program's absolute path, then its arguments");
      return;
    }
    parse_executables(tokens.front());
    for (std::size_t i = 1; i < tokens.size(); ++i) add_token(tokens[i], "run");
  }

  void parse_executables(const Toml& first) {
    const std::string* path = first.as_string();
    const TomlArray* paths = first.as_array();
    if (path != nullptr) {
      add_executable(first);
    } else if (paths != nullptr && !paths->empty() && paths->size() <= kMaxExecutables) {
      for (const Toml& p : *paths) add_executable(p);
    } else {
      error(first.line(),
            "the first element of run in " + where_ + " must be a path or a list of 1 to " +
                std::to_string(kMaxExecutables) + " paths",
            "write: run = [\"/usr/bin/systemctl\", ...] or run = [[\"/usr/bin/systemctl\", \"/bin/systemctl\"], ...]");
    }
  }

  void add_executable(const Toml& value) {
    const std::string* path = value.as_string();
    if (path == nullptr || !is_executable_path(*path)) {
      error(value.line(),
            "the program " + (path == nullptr ? value.type_name() : in_quotes(*path)) + " in " + where_ +
                " is not a plain absolute path",
            "write it in full, without . and .. and patterns: \"/usr/bin/systemctl\"");
      return;
    }
    auto& list = command_.executables;
    if (std::find(list.begin(), list.end(), *path) != list.end()) {
      error(value.line(), "the program " + in_quotes(*path) + " stands twice in " + where_, "remove one of them");
      return;
    }
    list.push_back(*path);
  }

  void add_token(const Toml& value, const char* member) {
    const std::string* token = value.as_string();
    if (token == nullptr) {
      error(value.line(), std::string(member) + " in " + where_ + " must hold strings, found " + value.type_name(),
            "put it in quotes");
      return;
    }
    if (const Status fine = check_text(*token); !fine) {
      error(value.line(), "an argument in " + where_ + " cannot be shown: " + fine.error().message, "");
      return;
    }
    const auto names = token_parameters(*token);
    if (!names) {
      error(value.line(), "argument " + in_quotes(*token) + " in " + where_ + ": " + names.error().message,
            "write ${name} for a parameter, \\\\$ for a dollar sign");
      return;
    }
    for (const std::string& name : *names) {
      if (runbook_.parameters.count(name) != 0) continue;
      const std::string near = nearest_name(name, keys_of(runbook_.parameters));
      error(
          value.line(), "${" + printable(name, 40) + "} in " + where_ + " is no parameter of the runbook",
          near.empty() ? "add it: parameters = { " + printable(name, 40) + " = [\"...\"] }" : "write ${" + near + "}");
    }
    command_.arguments.push_back(*token);
    lines_.push_back(value.line());
  }

  void parse_edit(const Toml& value) {
    command_.kind = Command::Kind::edit;
    kind_known_ = true;
    const TomlArray* tokens = value.as_array();
    if (tokens == nullptr || tokens->empty() || tokens->size() > kMaxTokens) {
      error(value.line(), "edit in " + where_ + " must be an array of files",
            "write: edit = [\"<path:/etc/nginx/conf.d/>\"]");
      return;
    }
    for (const Toml& token : *tokens) add_token(token, "edit");
  }

  void only_for(const char* member, bool allowed, const char* whom) {
    const Toml* value = table_.optional(member);
    if (value == nullptr || allowed || !kind_known_) return;
    error(value->line(), std::string(member) + " in " + where_ + " goes with " + whom + " only", "remove it");
  }

  void parse_sha256() {
    only_for("sha256", command_.kind == Command::Kind::run, "run = [...]");
    const auto hex = table_.string("sha256");
    if (!hex) return;
    const auto bytes = hex_decode(*hex);
    if (bytes && bytes->size() == 32) {
      command_.sha256 = *hex;
    } else {
      error(table_.optional("sha256")->line(), "sha256 in " + where_ + " is not 64 small hexadecimal digits",
            "write what `sha256sum " +
                (command_.executables.empty() ? std::string("/usr/bin/program") : command_.executables.front()) +
                "` prints");
    }
  }

  void parse_subcommands() {
    only_for("subcommands", command_.kind != Command::Kind::edit, "run");
    const auto word = table_.string("subcommands");
    if (!word || *word == "allow") return;
    if (*word == "deny") {
      command_.subcommands = Subcommands::deny;
    } else if (*word == "check") {
      command_.subcommands = Subcommands::check;
    } else {
      error(table_.optional("subcommands")->line(),
            "subcommands = " + in_quotes(*word) + " in " + where_ + " is not known",
            "write \"allow\", \"deny\" or \"check\"");
    }
  }

  void parse_env() {
    only_for("env_keep", command_.kind != Command::Kind::edit, "run");
    const LinedStrings names = table_.strings("env_keep");
    if (!check_distinct(table_, "env_keep", names)) failed_ = true;
    for (const auto& [name, line] : names) {
      if (!is_variable_name(name)) {
        error(line, "env_keep names " + in_quotes(name) + " in " + where_ + ", which is no variable's name",
              "write names only, such as \"LANG\"");
      } else if (is_refused_variable(name)) {
        error(line, "env_keep names " + name + " in " + where_ + ", which can make a program run something else",
              "remove it");
      } else {
        command_.env_keep.push_back(name);
      }
    }
  }

  void parse_unbounded() {
    only_for("unbounded", command_.kind == Command::Kind::run, "run = [...]");
    const Toml* value = table_.optional("unbounded");
    command_.unbounded = table_.boolean("unbounded").value_or(false);
    const bool rest =
        command_.kind == Command::Kind::run && !command_.arguments.empty() && command_.arguments.back() == "**";
    if (rest && !command_.unbounded) {
      error(lines_.back(), "** in " + where_ + " lets any further arguments through",
            "write the arguments out, or accept it: unbounded = true");
    } else if (!rest && command_.unbounded && !failed_ &&
               std::find(command_.arguments.begin(), command_.arguments.end(), "**") == command_.arguments.end()) {
      error(value->line(), "unbounded = true in " + where_ + ", but its last argument is not **", "remove it");
    }
  }

  // With every choice of every parameter filled in, each token must be one of the pattern language.
  void check_patterns() {
    for (std::size_t i = 0; i < command_.arguments.size(); ++i) check_token(i);
    if (failed_) return;
    if (expansion(command_, runbook_.parameters) > kMaxExpansion) {
      error(table_.line(),
            where_ + " makes over " + std::to_string(kMaxExpansion) + " commands when every choice is picked",
            "use each parameter once in a command, or fewer choices");
      return;
    }
    if (uses_refused_parameter()) return;
    Runbook alone;
    alone.parameters = runbook_.parameters;
    alone.sudo = {command_};
    const auto filled = fill_commands(alone, alone.parameters);
    if (!filled) {
      error(table_.line(), where_ + " cannot be filled in: " + filled.error().message, "");
      return;
    }
    for (const Command& command : *filled) {
      const auto parsed = parse_arguments(command.arguments);
      if (!parsed) return error(table_.line(), where_ + ": " + parsed.error().message, "");
      for (const Token& token : parsed->tokens) {
        if (command.kind == Command::Kind::edit && !is_file(token)) return error_edit();
      }
    }
  }

  // A parameter none of whose choices could be used was reported where it stands.
  bool uses_refused_parameter() const {
    return std::any_of(runbook_.parameters.begin(), runbook_.parameters.end(),
                       [](const auto& p) { return p.second.empty(); });
  }

  // Where no parameter stands the token itself is what gets matched, so its own fault can be named with its line.
  void check_token(std::size_t i) {
    const std::string& token = command_.arguments[i];
    if (token == "**" && (i + 1 != command_.arguments.size() || command_.kind == Command::Kind::edit)) {
      error(lines_[i], "** in " + where_ + " is not the last argument of a run", "write * for part of one argument");
      return;
    }
    if (has_parameters(token)) return;
    if (const auto parsed = parse_token(token); !parsed) {
      error(lines_[i], where_ + ": " + parsed.error().message, "");
    }
  }

  static bool is_file(const Token& token) {
    if (std::holds_alternative<TokenPath>(token)) return true;
    const auto* glob = std::get_if<TokenGlob>(&token);
    if (glob == nullptr) return false;
    std::string path;
    for (const PatternPiece& piece : glob->pieces) {
      const auto* literal = std::get_if<PatternLiteral>(&piece);
      if (literal == nullptr) return false;
      path += literal->text;
    }
    return is_clean_path(path);
  }

  void error_edit() {
    error(table_.line(), "edit in " + where_ + " must name files: absolute paths, or <path:/directory/>",
          "write: edit = [\"/etc/motd\", \"<path:/etc/nginx/conf.d/>\"]");
  }

  TomlReader table_;
  const Runbook& runbook_;
  const std::string& where_;
  Command command_;
  std::vector<int> lines_;  // of command_.arguments
  bool kind_known_ = false;
  bool failed_ = false;
};

}  // namespace

std::optional<Command> parse_command(const Toml& value, const Runbook& runbook, const std::string& where,
                                     std::vector<Diagnostic>& out) {
  return CommandParser(value, runbook, where, out).parse();
}

}  // namespace hallpass
