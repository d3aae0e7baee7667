// Advice for the authors of a policy. Nothing here decides anything.
#include <algorithm>

#include "core/policy_parse.h"
#include "core/policy_risks.h"

namespace hallpass {
namespace {

constexpr Seconds kSoon{30 * 24 * 3600};
constexpr std::size_t kMaxNamed = 8;

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMaxNamed; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMaxNamed) text += " and " + std::to_string(names.size() - kMaxNamed) + " more";
  return text;
}

bool has_security_key(const Person& person) {
  return std::any_of(person.keys.begin(), person.keys.end(),
                     [](const EnrolledKey& k) { return k.key.is_security_key(); });
}

const Toml* member(const Toml* table, std::string_view name) {
  const TomlTable* members = table == nullptr ? nullptr : table->as_table();
  if (members == nullptr) return nullptr;
  const auto it = std::find_if(members->begin(), members->end(), [&](const auto& m) { return m.first == name; });
  return it == members->end() ? nullptr : &it->second;
}

bool is_deep_path(const std::string& token) {
  return token.starts_with("<path:") && token.ends_with("**>");
}

class Linter {
 public:
  Linter(const Policy& policy, UnixTime now) : policy_(policy), now_(now) {
    // The policy keeps no lines of its small parts; its text is there, and it parsed before.
    std::vector<Diagnostic> ignored;
    tree_ = parse_toml(policy.text, ignored);
  }

  std::vector<Diagnostic> run() {
    validity();
    admins();
    for (const auto& [name, runbook] : policy_.runbooks) lint_runbook(runbook);
    for (const Rule& rule : policy_.rules) lint_rule(rule);
    unused();
    std::stable_sort(out_.begin(), out_.end(),
                     [](const Diagnostic& a, const Diagnostic& b) { return a.line < b.line; });
    return std::move(out_);
  }

 private:
  void warn(int line, std::string message, std::string cure) {
    out_.push_back({Diagnostic::Severity::warning, line, std::move(message), std::move(cure)});
  }

  const Toml* at(std::string_view table, std::string_view name) const {
    return member(member(tree_ ? &*tree_ : nullptr, table), name);
  }
  int line_at(std::string_view table, std::string_view name) const {
    const Toml* found = at(table, name);
    return found == nullptr ? 0 : found->line();
  }

  void validity() {
    const Toml* until = member(tree_ ? &*tree_ : nullptr, "valid_until");
    const int line = until == nullptr ? 0 : until->line();
    const std::string text = format_time(policy_.valid_until);
    if (now_ >= policy_.valid_until) {
      warn(line, "valid_until = " + text + " has passed: nothing is admitted",
           "set it to a later date and sign the policy again");
    } else if (policy_.valid_until - now_ <= kSoon) {
      const auto days = (policy_.valid_until - now_).count() / 86400;
      warn(line, "valid_until = " + text + " is " + std::to_string(days) + " days away; then nothing is admitted",
           "set it to a later date and sign the policy again");
    }
  }

  void admins() {
    const auto count = static_cast<int>(policy_.admins.size());
    const int line = line_at("admins", "threshold");
    if (policy_.admin_threshold == 1) {
      warn(line, "with threshold = 1 a single stolen key can write the policy", "write threshold = 2 or more");
    } else if (count == policy_.admin_threshold) {
      warn(line, "all " + std::to_string(count) + " admins must sign, so one lost key stops every change",
           "add an admin");
    }
  }

  void lint_runbook(const Runbook& runbook) {
    const Toml* value = at("runbooks", runbook.name);
    const std::string where = "[runbooks." + runbook.name + "]";
    if (runbook.account == "root") {
      const Toml* account = member(value, "account");
      warn(account == nullptr ? runbook.line : account->line(), where + " lets people log in as root",
           "write account = \"self\" and give the commands by sudo");
    }
    const Toml* sudo = member(value, "sudo");
    const TomlArray* entries = sudo == nullptr ? nullptr : sudo->as_array();
    for (std::size_t i = 0; i < runbook.sudo.size(); ++i) {
      const int line = entries != nullptr && i < entries->size() ? (*entries)[i].line() : runbook.line;
      lint_command(runbook, runbook.sudo[i], line, "sudo entry " + std::to_string(i + 1) + " of " + where);
    }
  }

  void lint_command(const Runbook& runbook, const Command& command, int line, const std::string& where) {
    switch (command.kind) {
      case Command::Kind::shell:
        return warn(line, where + " gives a shell, so everything that " + command.as_user + " may do",
                    "name the commands that are needed, or keep it for emergencies");
      case Command::Kind::any:
        return warn(line, where + " allows any command, so everything that " + command.as_user + " may do",
                    "name the commands that are needed, or keep it for emergencies");
      case Command::Kind::edit:
        return warn(
            line,
            where + " lets files be edited as " + command.as_user + ", which in most places is as much as a shell",
            "give a command that makes the one change that is needed");
      case Command::Kind::run:
        break;
    }
    if (command.unbounded) {
      warn(line, where + " ends in **: any further arguments are let through, options too", "write the arguments out");
    }
    if (const auto deep = std::find_if(command.arguments.begin(), command.arguments.end(), is_deep_path);
        deep != command.arguments.end()) {
      warn(line, where + ": " + *deep + " is every file below that directory, at any depth, also those of tomorrow",
           "name one directory, as in <path:/srv/conf/>, or the files");
    }
    Runbook alone;
    alone.parameters = runbook.parameters;
    alone.sudo = {command};
    const auto filled = fill_commands(alone, alone.parameters);
    if (!filled) return;
    for (const Command& one : *filled) {
      const auto risk = risk_of(one);
      if (!risk) continue;
      return warn(line, where + ": " + risk->why, risk->cure);
    }
  }

  void lint_rule(const Rule& rule) {
    const std::string where = "rule " + std::to_string(rule.number);
    lint_presence(rule, where);
    if (const auto blocked = requesters_without_approvers(rule); !blocked.empty()) {
      warn(rule.line,
           "when " + some_of(blocked) + " asks under " + where + ", too few others are left to fill its gates",
           "name more people in from");
    }
    Seconds longest{0};
    bool everything = false;
    for (const std::string& name : rule.runbooks) {
      const Runbook& runbook = policy_.runbooks.at(name);
      longest = std::max(longest, runbook.max_duration);
      everything = everything || std::any_of(runbook.sudo.begin(), runbook.sudo.end(), [](const Command& c) {
                     return c.kind == Command::Kind::shell || c.kind == Command::Kind::any;
                   });
    }
    if (rule.max_duration && *rule.max_duration > longest) {
      warn(rule.line,
           "max_duration " + in_quotes(format_duration(*rule.max_duration)) + " of " + where +
               " is longer than its runbooks allow",
           "remove it, or write " + in_quotes(format_duration(longest)) + " or less");
    }
    if (rule.gates.empty() && everything && !rule.alert) {
      warn(rule.line, where + " gives everything, asks nobody and tells nobody", "write alert = true, or add a gate");
    }
  }

  // A plain key proves no touch, so who has only plain keys can neither ask nor approve under such a rule.
  void lint_presence(const Rule& rule, const std::string& where) {
    if (rule.presence == Presence::none) return;
    const std::string demand = "presence = \"" + std::string(to_string(rule.presence)) + "\"";
    constexpr const char* kCure = "add a security key of theirs (ssh-keygen -t ed25519-sk)";
    std::vector<std::string> unable;
    for (const std::string& name : rule.requester_people) {
      if (!has_security_key(policy_.people.at(name))) unable.push_back(name);
    }
    if (!unable.empty()) {
      warn(rule.line, some_of(unable) + " cannot ask under " + where + ": " + demand + " needs a security key", kCure);
    }
    int number = 0;
    for (const Gate& gate : rule.gates) {
      ++number;
      std::vector<std::string> plain;
      for (const std::string& name : gate.members) {
        const auto person = policy_.people.find(name);
        if (person != policy_.people.end() && !has_security_key(person->second)) plain.push_back(name);
      }
      if (plain.empty()) continue;
      const std::string place = "gate " + std::to_string(number) + " of " + where;
      if (gate.members.size() - plain.size() < static_cast<std::size_t>(gate.count)) {
        warn(rule.line,
             place + " cannot be filled: " + demand + " needs security keys, and " + some_of(plain) + " have none",
             kCure);
      } else {
        warn(rule.line, some_of(plain) + " cannot approve in " + place + ": " + demand + " needs a security key",
             kCure);
      }
    }
  }

  void unused() {
    std::set<std::string> named;
    std::set<std::string> reached(policy_.admins);
    std::set<std::string> runbooks;
    const Toml* rules = member(tree_ ? &*tree_ : nullptr, "rules");
    const TomlArray* entries = rules == nullptr ? nullptr : rules->as_array();
    for (const Rule& rule : policy_.rules) {
      runbooks.insert(rule.runbooks.begin(), rule.runbooks.end());
      named.insert(rule.requesters.begin(), rule.requesters.end());
      reached.insert(rule.requester_people.begin(), rule.requester_people.end());
      reached.insert(rule.revokers.begin(), rule.revokers.end());
      for (const Gate& gate : rule.gates) {
        named.insert(gate.from.begin(), gate.from.end());
        reached.insert(gate.members.begin(), gate.members.end());
      }
      // Of revokers the policy keeps only the people, so their groups are read from the text.
      const auto index = static_cast<std::size_t>(rule.number - 1);
      if (entries == nullptr || index >= entries->size()) continue;
      const Toml* revokers = member(&(*entries)[index], "revokers");
      if (revokers == nullptr || revokers->as_array() == nullptr) continue;
      for (const Toml& name : *revokers->as_array()) {
        if (name.as_string() != nullptr) named.insert(*name.as_string());
      }
    }
    report("group", "groups", policy_.groups, named, "remove it, or name it in a rule");
    report("runbook", "runbooks", policy_.runbooks, runbooks, "remove it, or name it in a rule");
    report("service", "services", policy_.services, named, "remove it, or name it in a gate");
    report("person", "people", policy_.people, reached, "remove them, or add them to a group that a rule names");
    for (const auto& [name, people] : policy_.groups) {
      if (people.empty()) warn(line_at("groups", name), "group " + name + " has no members", "add some, or remove it");
    }
  }

  // Lines by name in one pass: the table may hold thousands.
  template <class Map>
  void report(const std::string& what, std::string_view table, const Map& all, const std::set<std::string>& used,
              const char* cure) {
    const Toml* section = member(tree_ ? &*tree_ : nullptr, table);
    if (section == nullptr || section->as_table() == nullptr) return;
    for (const auto& [name, value] : *section->as_table()) {
      if (all.count(name) == 0 || used.count(name) != 0) continue;
      warn(value.line(), what + " " + name + " is used by no rule", cure);
    }
  }

  const Policy& policy_;
  UnixTime now_;
  std::optional<Toml> tree_;
  std::vector<Diagnostic> out_;
};

}  // namespace

std::vector<Diagnostic> lint_policy(const Policy& policy, UnixTime now) {
  return Linter(policy, now).run();
}

}  // namespace hallpass
