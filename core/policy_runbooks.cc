// Runbooks: account, durations, parameters and the `sudo` list as a whole (one entry: policy_sudo.cc).
#include <algorithm>

#include "core/policy_parse.h"
#include "core/values/pattern.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr Seconds kUsualDuration{30 * 60};
constexpr std::size_t kMaxParameters = 16;
constexpr std::size_t kMaxChoices = 200;
constexpr std::size_t kMaxSudoEntries = 200;

}  // namespace

void PolicyParser::parse_account(TomlReader& table, Runbook& runbook) {
  runbook.account = table.string("account").value_or(std::string(kSelfAccount));
  const Toml* account = table.optional("account");
  const int line = account != nullptr ? account->line() : table.line();
  if (!is_account_name(runbook.account)) {
    table.error(line, "account " + in_quotes(runbook.account) + " of " + table.where() + " is not a Unix account name",
                "write \"self\", or a shared account such as \"deploy\"");
  } else if (const auto own = account_of_.find(runbook.account); own != account_of_.end()) {
    table.error(line,
                "account " + in_quotes(runbook.account) + " of " + table.where() + " is the own account of " +
                    own->second + ", which belongs to no other",
                "write \"self\", or a shared account");
  }
}

void PolicyParser::parse_durations(TomlReader& table, Runbook& runbook) {
  const Toml* longest = table.required("max_duration", "max_duration = \"2h\"");
  const auto max = table.duration("max_duration");
  const auto usual = table.duration("default_duration");
  if (max) {
    runbook.max_duration = *max;
    if (*max > kMaxDuration) {
      table.error(longest->line(),
                  "max_duration " + in_quotes(format_duration(*max)) + " of " + table.where() + " is over 7 days",
                  "write \"7d\" or less");
    }
  }
  runbook.default_duration = usual.value_or(std::min(runbook.max_duration, kUsualDuration));
  if (usual && max && *usual > *max) {
    table.error(
        table.optional("default_duration")->line(),
        "default_duration " + in_quotes(format_duration(*usual)) + " of " + table.where() + " is over its max_duration",
        "write " + in_quotes(format_duration(*max)) + " or less");
  }
}

void PolicyParser::parse_choices(TomlReader& table, const std::string& name, Runbook& runbook) {
  const LinedStrings choices = table.strings(name);
  const Toml* value = table.optional(name);
  if (!is_name(name)) {
    table.error(value->line(), "parameter " + in_quotes(name) + " of " + table.where() + " is not a name",
                "write small letters, digits, - and _");
    return;
  }
  check_distinct(table, name, choices);
  if (value->as_array() != nullptr && (choices.empty() || choices.size() > kMaxChoices)) {
    table.error(value->line(),
                "parameter " + name + " of " + table.where() + " has " + std::to_string(choices.size()) + " choices",
                "list 1 to " + std::to_string(kMaxChoices) + ": " + name + " = [\"nginx\", \"php8.2-fpm\"]");
  }
  std::vector<std::string>& into = runbook.parameters[name];
  for (const auto& [choice, line] : choices) {
    if (choice.empty()) {
      table.error(line, "a choice of parameter " + name + " is empty", "remove it");
    } else if (const Status fine = check_text(choice); !fine) {
      table.error(line, "a choice of parameter " + name + " cannot be shown: " + fine.error().message, "");
    } else if (const auto token = literal_token(choice); !token) {
      table.error(
          line,
          "choice " + in_quotes(choice) + " of parameter " + name + " cannot be an argument: " + token.error().message,
          "write another value");
    } else if (std::find(into.begin(), into.end(), choice) == into.end()) {
      into.push_back(choice);
    }
  }
}

void PolicyParser::parse_parameters(TomlReader& table, Runbook& runbook) {
  const Toml* value = table.optional("parameters");
  if (value == nullptr) return;
  TomlReader parameters(*value, "the parameters of " + table.where(), out_);
  const TomlTable* members = value->as_table();
  if (members == nullptr) return;
  if (members->size() > kMaxParameters) {
    table.error(value->line(), table.where() + " has " + std::to_string(members->size()) + " parameters",
                "use at most " + std::to_string(kMaxParameters));
    return;
  }
  for (const auto& [name, choices] : *members) parse_choices(parameters, name, runbook);
}

void PolicyParser::parse_sudo(TomlReader& table, Runbook& runbook) {
  const auto shared = table.boolean("shared_sudo");
  runbook.shared_sudo = shared.value_or(false);
  const Toml* value = table.optional("sudo");
  if (value == nullptr) return;
  const TomlArray* entries = value->as_array();
  if (entries == nullptr) {
    table.error(value->line(), "sudo in " + table.where() + " must be an array, found " + value->type_name(),
                "write: sudo = [ { as = \"root\", run = [\"/usr/bin/systemctl\", \"restart\", \"nginx\"] } ]");
    return;
  }
  if (entries->size() > kMaxSudoEntries) {
    table.error(value->line(), "sudo in " + table.where() + " has " + std::to_string(entries->size()) + " entries",
                "use at most " + std::to_string(kMaxSudoEntries) + ", or split the runbook");
    return;
  }
  int number = 0;
  for (const Toml& entry : *entries) {
    const std::string where = "sudo entry " + std::to_string(++number) + " of " + table.where();
    if (auto command = parse_command(entry, runbook, where, out_)) runbook.sudo.push_back(*std::move(command));
  }
  if (!runbook.is_self() && !entries->empty() && !runbook.shared_sudo) {
    table.error(value->line(),
                table.where() + " gives sudo on the shared account " + in_quotes(runbook.account) +
                    ", where people can act as each other",
                "write shared_sudo = true to accept that, or account = \"self\"");
  }
  if (runbook.is_self() && runbook.shared_sudo) {
    table.warning(table.optional("shared_sudo")->line(),
                  "shared_sudo in " + table.where() + " has no effect on people's own accounts", "remove it");
  }
}

void PolicyParser::parse_runbook(const std::string& name, const Toml& value) {
  Runbook runbook;
  runbook.name = name;
  runbook.line = value.line();
  TomlReader table(value, "[runbooks." + name + "]", out_);
  if (const auto title = table.string("title")) {
    runbook.title = *title;
    if (const Status fine = check_text(*title); !fine) {
      table.error(table.optional("title")->line(),
                  "the title of " + table.where() + " cannot be shown: " + fine.error().message, "");
    }
  }
  parse_account(table, runbook);
  parse_durations(table, runbook);
  parse_parameters(table, runbook);
  parse_sudo(table, runbook);
  table.finish();
  warn_unused_parameters(table, runbook);
  runbook.digest = runbook_digest(runbook);
  policy_.runbooks.emplace(name, std::move(runbook));
}

void PolicyParser::warn_unused_parameters(TomlReader& table, const Runbook& runbook) {
  const Toml* sudo = table.optional("sudo");
  const TomlArray* entries = sudo == nullptr ? nullptr : sudo->as_array();
  if (entries != nullptr && entries->size() != runbook.sudo.size()) return;  // some were refused: they may use it
  std::set<std::string> used;
  for (const Command& command : runbook.sudo) {
    for (const std::string& token : command.arguments) {
      if (const auto names = token_parameters(token)) used.insert(names->begin(), names->end());
    }
  }
  for (const auto& [parameter, choices] : runbook.parameters) {
    if (used.count(parameter) != 0) continue;
    table.warning(table.optional("parameters")->line(),
                  "parameter " + parameter + " of " + table.where() + " is used nowhere",
                  "remove it, or write ${" + parameter + "} in a command");
  }
}

void PolicyParser::parse_runbooks(TomlReader& root) {
  constexpr const char* kExample = "runbooks.login = { max_duration = \"1h\" }";
  const Toml* value = root.required("runbooks", kExample);
  if (value == nullptr) return;
  const TomlTable* runbooks = value->as_table();
  if (runbooks == nullptr) {
    root.error(value->line(), std::string("runbooks must be a table, found ") + value->type_name(),
               std::string("write: ") + kExample);
    return;
  }
  for (const auto& [name, table] : *runbooks) {
    if (is_name(name)) {
      parse_runbook(name, table);
    } else {
      root.error(table.line(), "runbook " + in_quotes(name) + " is not a name",
                 "begin with a small letter or _, then small letters, digits, - and _, at most 32 characters");
    }
  }
}

}  // namespace hallpass
