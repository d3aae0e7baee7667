// The parts of the policy's parser; only core/policy*.cc include this.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/nearest.h"
#include "core/policy.h"

namespace hallpass {

using LinedStrings = std::vector<std::pair<std::string, int>>;

// Printable and in double quotes: how a message shows what stands in the file. Not `quoted`: for a std::string the
// standard library's would be taken.
std::string in_quotes(std::string_view text);

// POSIX user or group name, with at least one lower-case letter (sudo reads ALL-CAPITALS as an alias).
bool is_account_name(std::string_view text);
std::optional<Presence> parse_presence(std::string_view word);

bool is_variable_name(std::string_view name);
// Variables by which a program can be made to run or load something else: never passed on, whatever a policy says
// (policy_env.cc).
bool is_refused_variable(std::string_view name);

// The parameter names a token refers to by ${name}, in order, repeated as they occur. Errors: malformed (unclosed, no
// name, or inside braces or a <...> token, where a value cannot stand).
Result<std::vector<std::string>> token_parameters(std::string_view token);
bool has_parameters(std::string_view token);

// At most this many commands may come of one `sudo` entry when every choice of every parameter is picked.
inline constexpr std::size_t kMaxExpansion = 256;
// The number of commands (for edit: of tokens) that filling in all choices makes; saturates above kMaxExpansion.
std::size_t expansion(const Command& command, const std::map<std::string, std::vector<std::string>>& parameters);

template <class Map>
std::vector<std::string> keys_of(const Map& map) {
  std::vector<std::string> names;
  names.reserve(map.size());
  for (const auto& [name, value] : map) names.push_back(name);
  return names;
}

// The requesters of a rule for whom its gates can never be filled, because nobody counts for his own request.
std::vector<std::string> requesters_without_approvers(const Rule& rule);

class PolicyParser {
 public:
  PolicyParser(Policy& policy, std::vector<Diagnostic>& out) : policy_(policy), out_(out) {}
  void parse(const Toml& root);
  std::map<std::string, std::string, std::less<>> owner_by_fingerprint;

 private:
  struct NameUse {
    std::string what;  // "person", "service", "group"
    int line;
  };

  // policy.cc
  bool parse_header(TomlReader& root);
  void parse_validity(TomlReader& root);
  void parse_presence_member(TomlReader& table, Presence& presence);
  void parse_origins(TomlReader& root);
  void parse_admins(TomlReader& root);

  // policy_people.cc
  void parse_people(TomlReader& root);
  void parse_person(const std::string& name, const Toml& value);
  void parse_services(TomlReader& root);
  void parse_groups(TomlReader& root);
  std::vector<EnrolledKey> parse_keys(TomlReader& table, const std::string& owner);
  bool claim_name(const std::string& name, const std::string& what, int line);

  // policy_runbooks.cc
  void parse_runbooks(TomlReader& root);
  void parse_runbook(const std::string& name, const Toml& value);
  void parse_account(TomlReader& table, Runbook& runbook);
  void parse_durations(TomlReader& table, Runbook& runbook);
  void parse_parameters(TomlReader& table, Runbook& runbook);
  void parse_choices(TomlReader& table, const std::string& name, Runbook& runbook);
  void parse_sudo(TomlReader& table, Runbook& runbook);
  void warn_unused_parameters(TomlReader& table, const Runbook& runbook);

  // policy_rules.cc
  void parse_rules(TomlReader& root);
  void parse_rule(const Toml& value, int number);
  void parse_rule_runbooks(TomlReader& table, Rule& rule);
  void parse_targets(TomlReader& table, Rule& rule);
  void parse_hours(TomlReader& table, Rule& rule);
  void parse_gates(TomlReader& table, Rule& rule);
  void check_gates(TomlReader& table, const Rule& rule, int line);
  // Adds the people (and services, where allowed) that `written` names; unknown names become errors of `table`.
  void resolve(TomlReader& table, std::string_view member, const LinedStrings& written, bool services,
               std::set<std::string>& into);

  // Names the nearest known name, else only the general cure; silent once there are many findings, for it walks over
  // every name.
  template <class Map>
  std::string cure_for(std::string_view name, const Map& known, const std::string& otherwise) const {
    constexpr std::size_t kEnoughFindings = 50;
    if (out_.size() >= kEnoughFindings) return otherwise;
    const std::string near = nearest_name(name, keys_of(known));
    return near.empty() ? otherwise : "write " + toml_quote(near) + ", or " + otherwise;
  }

  Policy& policy_;
  std::vector<Diagnostic>& out_;
  std::map<std::string, NameUse, std::less<>> names_;           // people, services, groups: one namespace
  std::map<std::string, std::string, std::less<>> account_of_;  // a person's own account -> person
  std::size_t resolved_ = 0;
};

// policy_sudo.cc: one entry of `sudo`, checked against the runbook's parameters. nullopt: it had errors.
std::optional<Command> parse_command(const Toml& value, const Runbook& runbook, const std::string& where,
                                     std::vector<Diagnostic>& out);

// Reports every entry that stands twice in a list; true when none does.
bool check_distinct(TomlReader& table, std::string_view member, const LinedStrings& values);

}  // namespace hallpass
