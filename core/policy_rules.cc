// [[rules]]: who may ask for what, where and when, and who must agree.
#include <algorithm>

#include "core/matching.h"
#include "core/policy_parse.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr int kMaxCount = 10;
constexpr std::size_t kMaxGates = 4;
// Names in rules after groups are resolved; bounds the memory that a hostile file can take before its signatures are
// looked at.
constexpr std::size_t kMaxResolved = 200'000;

constexpr const char* kRuleExample =
    "rules = [ { runbooks = [\"restart-web\"], requesters = [\"sre\"], targets = [\"env=prod\"] } ]";

}  // namespace

void PolicyParser::resolve(TomlReader& table, std::string_view member, const LinedStrings& written, bool services,
                           std::set<std::string>& into) {
  check_distinct(table, member, written);
  for (const auto& [name, line] : written) {
    if (const auto group = policy_.groups.find(name); group != policy_.groups.end()) {
      resolved_ += group->second.size();
      if (resolved_ <= kMaxResolved) into.insert(group->second.begin(), group->second.end());
    } else if (policy_.people.count(name) != 0 || (services && policy_.services.count(name) != 0)) {
      if (++resolved_ <= kMaxResolved) into.insert(name);
    } else if (policy_.services.count(name) != 0) {
      table.error(line, std::string(member) + " in " + table.where() + " names the service " + in_quotes(name),
                  "name people and groups: a service counts only in a gate");
    } else {
      table.error(line,
                  std::string(member) + " in " + table.where() + " names " + in_quotes(name) + ", which is no person" +
                      (services ? ", service" : "") + " or group of this policy",
                  cure_for(name, names_, "add it to [groups] or [people]"));
    }
  }
}

void PolicyParser::parse_rule_runbooks(TomlReader& table, Rule& rule) {
  const Toml* value = table.required("runbooks", "runbooks = [\"restart-web\"]");
  const LinedStrings names = table.strings("runbooks");
  check_distinct(table, "runbooks", names);
  for (const auto& [name, line] : names) {
    rule.runbooks.push_back(name);
    if (policy_.runbooks.count(name) != 0) continue;
    table.error(line,
                "runbooks in " + table.where() + " names " + in_quotes(name) + ", which is no runbook of this policy",
                cure_for(name, policy_.runbooks, "add [runbooks." + printable(name, 40) + "]"));
  }
  if (value != nullptr && value->as_array() != nullptr && value->as_array()->empty()) {
    table.error(value->line(), table.where() + " names no runbook", "write: runbooks = [\"restart-web\"]");
  }
}

void PolicyParser::parse_targets(TomlReader& table, Rule& rule) {
  const Toml* value = table.required("targets", "targets = [\"env=prod,role=web\"]");
  const LinedStrings targets = table.strings("targets");
  check_distinct(table, "targets", targets);
  for (const auto& [text, line] : targets) {
    if (auto selector = Selector::parse(text)) {
      rule.targets.push_back(*std::move(selector));
    } else {
      table.error(line, "targets in " + table.where() + ": " + selector.error().message,
                  "write label=value, joined by commas where all must hold: \"env=prod,role=web\"");
    }
  }
  if (value != nullptr && value->as_array() != nullptr && value->as_array()->empty()) {
    table.error(value->line(), table.where() + " names no targets", "write: targets = [\"env=prod\"]");
  }
}

void PolicyParser::parse_hours(TomlReader& table, Rule& rule) {
  bool present = false;
  const LinedStrings spans = table.strings("hours", &present);
  check_distinct(table, "hours", spans);
  for (const auto& [text, line] : spans) {
    if (auto hours = Hours::parse(text)) {
      rule.hours.push_back(*std::move(hours));
    } else {
      table.error(line, table.where() + ": " + hours.error().message, "");
    }
  }
  // An empty list would read as "never" to some and mean "always".
  const Toml* value = table.optional("hours");
  if (present && value->as_array() != nullptr && value->as_array()->empty()) {
    table.error(value->line(), "hours in " + table.where() + " is empty", "remove it for any time, or list spans");
  }
}

void PolicyParser::parse_gates(TomlReader& table, Rule& rule) {
  const Toml* value = table.optional("gates");
  if (value == nullptr) return;
  const TomlArray* gates = value->as_array();
  if (gates == nullptr || gates->size() > kMaxGates) {
    table.error(value->line(),
                "gates in " + table.where() + " must be an array of 1 to " + std::to_string(kMaxGates) + " gates",
                "write: gates = [ { from = [\"sre-leads\"], count = 1 } ]");
    return;
  }
  int number = 0;
  for (const Toml& entry : *gates) {
    TomlReader reader(entry, "gate " + std::to_string(++number) + " of " + table.where(), out_);
    Gate gate;
    const Toml* from = reader.required("from", "from = [\"sre-leads\"]");
    const LinedStrings names = reader.strings("from");
    if (from != nullptr && from->as_array() != nullptr && from->as_array()->empty()) {
      reader.error(from->line(), reader.where() + " asks nobody", "write: from = [\"sre-leads\"]");
    }
    for (const auto& [name, line] : names) gate.from.push_back(name);
    resolve(reader, "from", names, true, gate.members);
    gate.count = static_cast<int>(reader.integer("count", 1, kMaxCount).value_or(1));
    reader.finish();
    rule.gates.push_back(std::move(gate));
  }
  if (!has_errors(out_)) check_gates(table, rule, value->line());
}

// A gate that nobody can ever fill is a rule that silently admits no one. A requester never counts for himself, so it
// must be fillable without at least one of those who may ask.
void PolicyParser::check_gates(TomlReader& table, const Rule& rule, int line) {
  int number = 0;
  int total = 0;
  for (const Gate& gate : rule.gates) {
    ++number;
    total += gate.count;
    if (gate.members.size() >= static_cast<std::size_t>(gate.count)) continue;
    table.error(line,
                "gate " + std::to_string(number) + " of " + table.where() + " asks for " + std::to_string(gate.count) +
                    " people out of " + std::to_string(gate.members.size()),
                "lower count or name more people in from");
    return;
  }
  const auto blocked = requesters_without_approvers(rule);
  if (!blocked.empty() && blocked.size() == rule.requester_people.size()) {
    table.error(line,
                "the gates of " + table.where() + " can never be filled: they need " + std::to_string(total) +
                    " distinct people other than the one who asks",
                "name more people in from, or lower count");
  }
}

// A gate with more members than there are places can be filled after all others, whoever asks: only small gates can run
// short, and only their own members can be missed in them. That keeps this cheap for large groups.
std::vector<std::string> requesters_without_approvers(const Rule& rule) {
  std::size_t total = 0;
  for (const Gate& gate : rule.gates) total += static_cast<std::size_t>(gate.count);
  std::vector<Places> small;
  std::set<std::string> people;
  for (const Gate& gate : rule.gates) {
    if (gate.members.size() > total) continue;
    small.push_back({gate.members, gate.count});
    people.insert(gate.members.begin(), gate.members.end());
  }
  const auto open_without = [&](const std::string& requester) {
    std::vector<std::string> others;
    std::copy_if(people.begin(), people.end(), std::back_inserter(others),
                 [&](const std::string& name) { return name != requester; });
    return open_places(small, others) > 0;
  };
  std::vector<std::string> blocked;
  if (small.empty()) return blocked;
  if (open_without("")) return {rule.requester_people.begin(), rule.requester_people.end()};
  for (const std::string& name : people) {
    if (rule.requester_people.count(name) != 0 && open_without(name)) blocked.push_back(name);
  }
  return blocked;
}

void PolicyParser::parse_rule(const Toml& value, int number) {
  Rule rule;
  rule.number = number;
  rule.line = value.line();
  TomlReader table(value, "rule " + std::to_string(number), out_);
  parse_rule_runbooks(table, rule);
  const Toml* requesters = table.required("requesters", "requesters = [\"sre\"]");
  const LinedStrings names = table.strings("requesters");
  for (const auto& [name, line] : names) rule.requesters.push_back(name);
  resolve(table, "requesters", names, false, rule.requester_people);
  if (requesters != nullptr && requesters->as_array() != nullptr && names.empty()) {
    table.error(requesters->line(), table.where() + " lets nobody ask", "write: requesters = [\"sre\"]");
  }
  parse_targets(table, rule);
  parse_hours(table, rule);
  parse_gates(table, rule);
  resolve(table, "revokers", table.strings("revokers"), false, rule.revokers);
  rule.max_duration = table.duration("max_duration");
  if (rule.max_duration && *rule.max_duration > kMaxDuration) {
    table.error(
        table.optional("max_duration")->line(),
        "max_duration " + in_quotes(format_duration(*rule.max_duration)) + " of " + table.where() + " is over 7 days",
        "write \"7d\" or less");
  }
  rule.presence = policy_.presence;
  parse_presence_member(table, rule.presence);
  rule.alert = table.boolean("alert").value_or(false);
  table.finish();
  policy_.rules.push_back(std::move(rule));
}

void PolicyParser::parse_rules(TomlReader& root) {
  const Toml* value = root.required("rules", kRuleExample);
  if (value == nullptr) return;
  const TomlArray* rules = value->as_array();
  if (rules == nullptr) {
    root.error(value->line(), std::string("rules must be an array of tables, found ") + value->type_name(),
               std::string("begin each rule with [[rules]], or write: ") + kRuleExample);
    return;
  }
  int number = 0;
  for (const Toml& rule : *rules) parse_rule(rule, ++number);
  if (resolved_ > kMaxResolved) {
    root.error(
        value->line(),
        "the rules name over " + std::to_string(kMaxResolved) + " people in all, groups counted by their members",
        "use fewer rules or smaller groups");
  }
}

}  // namespace hallpass
