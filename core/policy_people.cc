// People, services, groups and their keys.
#include <algorithm>

#include "core/policy_parse.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr const char* kNameCure =
    "begin with a small letter or _, then small letters, digits, - and _, at most 32 characters";

// The members of a table of tables such as [people]; an error when it is something else.
const TomlTable* members(TomlReader& root, std::string_view name, const std::string& example) {
  const Toml* value = root.optional(name);
  if (value == nullptr) return nullptr;
  if (const TomlTable* table = value->as_table()) return table;
  root.error(value->line(), std::string(name) + " must be a table, found " + value->type_name(), "write: " + example);
  return nullptr;
}

}  // namespace

// One namespace: a name in a gate or in a signature must never be able to mean two.
bool PolicyParser::claim_name(const std::string& name, const std::string& what, int line) {
  constexpr std::size_t kEnoughFindings = 1000;  // warnings stop before, so an error is among them
  if (out_.size() >= kEnoughFindings) return false;
  if (!is_name(name)) {
    out_.push_back({Diagnostic::Severity::error, line, what + " " + in_quotes(name) + " is not a name", kNameCure});
    return false;
  }
  const auto [it, fresh] = names_.try_emplace(name, NameUse{what, line});
  if (fresh) return true;
  out_.push_back({Diagnostic::Severity::error, line,
                  what + " " + in_quotes(name) + " has the name of a " + it->second.what + " (line " +
                      std::to_string(it->second.line) + ")",
                  "rename one of them"});
  return false;
}

std::vector<EnrolledKey> PolicyParser::parse_keys(TomlReader& table, const std::string& owner) {
  const Toml* value = table.required("keys", "keys = [\"ssh-ed25519 AAAA... name\"] (a line of ~/.ssh/id_ed25519.pub)");
  const LinedStrings lines = table.strings("keys");
  std::vector<EnrolledKey> keys;
  if (value != nullptr && value->as_array() != nullptr && value->as_array()->empty()) {
    table.error(value->line(), table.where() + " has no keys", "add one: the line in ~/.ssh/id_ed25519.pub");
  }
  for (const auto& [text, line] : lines) {
    Result<PublicKey> key = PublicKey::from_line(text);
    if (!key) {
      table.error(line, "a key of " + owner + " cannot be used: " + key.error().message,
                  "copy the whole line of the .pub file: \"ssh-ed25519 AAAA... comment\"");
      continue;
    }
    std::string comment(key_comment(text));
    if (const Status fine = check_text(comment); !fine) {
      table.error(line, "the comment of a key of " + owner + " cannot be shown: " + fine.error().message, "");
      continue;
    }
    const auto [it, fresh] = owner_by_fingerprint.try_emplace(key->fingerprint(), owner);
    if (!fresh) {
      table.error(
          line,
          it->second == owner ? "this key of " + owner + " is listed twice"
                              : "this key of " + owner + " belongs to " + it->second + " already",
          it->second == owner ? "remove one of them" : "a key belongs to one owner: make another with ssh-keygen");
      continue;
    }
    keys.push_back({*std::move(key), std::move(comment)});
  }
  return keys;
}

void PolicyParser::parse_person(const std::string& name, const Toml& value) {
  if (!claim_name(name, "person", value.line())) return;
  TomlReader table(value, "[people." + name + "]", out_);
  Person person;
  person.name = name;
  person.account = table.string("account").value_or(name);
  const Toml* account = table.optional("account");
  const int line = account != nullptr ? account->line() : value.line();
  if (!is_account_name(person.account) || person.account == kSelfAccount) {
    table.error(line, "account " + in_quotes(person.account) + " of " + name + " is not a Unix account name",
                "write the person's login name: account = \"alice\"");
  } else if (const auto [it, fresh] = account_of_.try_emplace(person.account, name); !fresh) {
    table.error(line, "account " + in_quotes(person.account) + " of " + name + " is the own account of " + it->second,
                "give each person an account of their own; for a shared one write account in the runbook");
  }
  person.keys = parse_keys(table, name);
  table.finish();
  policy_.people.emplace(name, std::move(person));
}

void PolicyParser::parse_people(TomlReader& root) {
  constexpr const char* kExample = "people.alice = { keys = [\"ssh-ed25519 AAAA... alice\"] }";
  if (root.required("people", kExample) == nullptr) return;
  const TomlTable* people = members(root, "people", kExample);
  if (people == nullptr) return;
  for (const auto& [name, value] : *people) parse_person(name, value);
}

void PolicyParser::parse_services(TomlReader& root) {
  const TomlTable* services = members(root, "services", "services.oncall-bot = { keys = [\"ssh-ed25519 AAAA...\"] }");
  if (services == nullptr) return;
  for (const auto& [name, value] : *services) {
    if (!claim_name(name, "service", value.line())) continue;
    TomlReader table(value, "[services." + name + "]", out_);
    Service service;
    service.name = name;
    service.keys = parse_keys(table, name);
    table.finish();
    policy_.services.emplace(name, std::move(service));
  }
}

void PolicyParser::parse_groups(TomlReader& root) {
  const TomlTable* groups = members(root, "groups", "groups = { sre = [\"alice\", \"bob\"] }");
  if (groups == nullptr) return;
  for (const auto& [name, list] : *groups) {
    if (!claim_name(name, "group", list.line())) continue;
    // A reader looks names up one by one; over a table with thousands of groups that would take quadratic time.
    const Toml alone(TomlTable{{name, list}}, list.line());
    TomlReader table(alone, "[groups]", out_);
    const LinedStrings people = table.strings(name);
    check_distinct(table, name, people);
    std::set<std::string>& group = policy_.groups[name];
    for (const auto& [person, line] : people) {
      if (policy_.people.count(person) != 0) {
        group.insert(person);
      } else if (policy_.services.count(person) != 0) {
        table.error(line, "group " + name + " holds " + in_quotes(person) + ", which is a service",
                    "groups hold people; name the service itself in the gate");
      } else {
        table.error(line, "group " + name + " holds " + in_quotes(person) + ", who is not a person of this policy",
                    cure_for(person, policy_.people, "add [people." + printable(person, 40) + "]"));
      }
    }
  }
}

}  // namespace hallpass
