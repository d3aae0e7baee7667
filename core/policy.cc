// A policy's frame: format, fleet, version, validity, presence, admins. People, runbooks and rules are in the
// policy_*.cc beside.
#include "core/policy.h"

#include <algorithm>

#include "core/hash.h"
#include "core/policy_parse.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::int64_t kMaxVersion = 1'000'000'000;

// Exactly what a browser writes into clientData: scheme and host, a port only when it is not 443, no path.
bool is_origin(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  if (text.substr(0, kScheme.size()) != kScheme || text.size() > 300) return false;
  std::string_view host = text.substr(kScheme.size());
  if (const auto colon = host.find(':'); colon != std::string_view::npos) {
    const std::string_view port = host.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.front() == '0') return false;
    if (!std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
    host = host.substr(0, colon);
  }
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

}  // namespace

std::string in_quotes(std::string_view text) {
  return '"' + printable(text, 80) + '"';
}

bool is_account_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto letter = [&](char c) { return lower(c) || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!letter(text.front())) return false;
  return std::any_of(text.begin(), text.end(), lower) && std::all_of(text.begin(), text.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-';
         });
}

std::optional<Presence> parse_presence(std::string_view word) {
  if (word == "none") return Presence::none;
  if (word == "touch") return Presence::touch;
  if (word == "verified") return Presence::verified;
  return std::nullopt;
}

bool check_distinct(TomlReader& table, std::string_view member, const LinedStrings& values) {
  std::set<std::string_view> seen;
  bool distinct = true;
  for (const auto& [value, line] : values) {
    if (seen.insert(value).second) continue;
    table.error(line, std::string(member) + " in " + table.where() + " names " + in_quotes(value) + " twice",
                "remove one of them");
    distinct = false;
  }
  return distinct;
}

bool PolicyParser::parse_header(TomlReader& root) {
  root.required("format", "format = 1");
  const auto format = root.integer("format", 1, kMaxVersion);
  if (format && *format != kPolicyFormat) {
    // Nothing else can be judged: another format is another language.
    root.error(root.optional("format")->line(),
               "format " + std::to_string(*format) + " is newer than this program, which knows format " +
                   std::to_string(kPolicyFormat),
               "install a newer hallpass, or write: format = " + std::to_string(kPolicyFormat));
    return false;
  }
  policy_.format = kPolicyFormat;
  const Toml* fleet = root.required("fleet", "fleet = \"acme-prod\"");
  if (const auto name = root.string("fleet")) {
    policy_.fleet = *name;
    if (!is_name(*name)) {
      root.error(fleet->line(), "fleet " + in_quotes(*name) + " is not a name",
                 "begin with a small letter, then small letters, digits, - and _ (at most 32), such as \"acme-prod\"");
    }
  }
  root.required("version", "version = 1");
  if (const auto version = root.integer("version", 1, kMaxVersion)) policy_.version = *version;
  return true;
}

void PolicyParser::parse_validity(TomlReader& root) {
  root.required("valid_until", "valid_until = 2027-06-30T00:00:00Z");
  if (const auto until = root.time("valid_until")) policy_.valid_until = *until;
  // No default, on purpose: what a signature must prove is the one thing that nobody should get without having said it.
  root.required("presence", "presence = \"touch\" (or \"verified\", or \"none\" where people have no hardware keys)");
  parse_presence_member(root, policy_.presence);
}

void PolicyParser::parse_presence_member(TomlReader& table, Presence& presence) {
  const auto word = table.string("presence");
  if (!word) return;
  if (const auto parsed = parse_presence(*word)) {
    presence = *parsed;
  } else {
    table.error(table.optional("presence")->line(), "presence = " + in_quotes(*word) + " is not known",
                "write \"none\", \"touch\" or \"verified\"");
  }
}

void PolicyParser::parse_origins(TomlReader& root) {
  const auto origins = root.strings("webauthn_origins");
  check_distinct(root, "webauthn_origins", origins);
  for (const auto& [origin, line] : origins) {
    if (is_origin(origin)) {
      policy_.webauthn_origins_.push_back(origin);
    } else {
      root.error(line, in_quotes(origin) + " is not an origin",
                 "write scheme and host only: \"https://hallpass.example.com\"");
    }
  }
}

void PolicyParser::parse_admins(TomlReader& root) {
  constexpr std::string_view kExample = "admins = { people = [\"ana\", \"ben\", \"chloe\"], threshold = 2 }";
  const Toml* value = root.required("admins", kExample);
  if (value == nullptr) return;
  TomlReader table(*value, "[admins]", out_);
  table.required("people", "people = [\"ana\", \"ben\", \"chloe\"]");
  bool present = false;
  const LinedStrings people = table.strings("people", &present);
  check_distinct(table, "people", people);
  for (const auto& [name, line] : people) {
    if (policy_.people.count(name) != 0) {
      policy_.admins.insert(name);
    } else {
      table.error(line, in_quotes(name) + " in [admins] is not a person of this policy",
                  cure_for(name, policy_.people, "add [people." + printable(name, 40) + "]"));
    }
  }
  if (present && people.empty()) {
    table.error(value->line(), "[admins] names nobody, so no other policy could ever follow",
                "write: people = [\"ana\"]");
  }
  const Toml* threshold = table.required("threshold", "threshold = 2");
  if (const auto n = table.integer("threshold", 1, 1000)) {
    policy_.admin_threshold = static_cast<int>(*n);
    if (present && !people.empty() && *n > static_cast<std::int64_t>(people.size())) {
      table.error(
          threshold->line(),
          "threshold = " + std::to_string(*n) + " of " + std::to_string(people.size()) + " admins can never be met",
          "write " + std::to_string(people.size()) + " or less, or add admins");
    }
  }
  table.finish();
}

void PolicyParser::parse(const Toml& root_value) {
  TomlReader root(root_value, "the policy", out_);
  if (!parse_header(root)) return;
  parse_validity(root);
  parse_origins(root);
  root.optional("admins");  // known, and read after the people whom it names
  parse_people(root);
  parse_services(root);
  parse_groups(root);
  parse_admins(root);
  parse_runbooks(root);
  parse_rules(root);
  root.finish();
}

std::shared_ptr<const Policy> parse_policy(std::string_view toml, std::vector<Diagnostic>& out) {
  std::vector<Diagnostic> found;
  std::shared_ptr<Policy> policy;
  if (toml.size() > kMaxPolicyBytes) {
    found.push_back({Diagnostic::Severity::error, 0,
                     "the policy is larger than " + std::to_string(kMaxPolicyBytes >> 10) + " KiB", "shorten it"});
  } else if (const std::optional<Toml> root = parse_toml(toml, found)) {
    policy = std::make_shared<Policy>();
    policy->text = std::string(toml);
    policy->digest = sha256(toml);
    PolicyParser parser(*policy, found);
    parser.parse(*root);
    policy->owner_by_fingerprint_ = std::move(parser.owner_by_fingerprint);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return a.line < b.line; });
  const bool refused = has_errors(found);
  out.insert(out.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  return refused ? nullptr : policy;
}

const EnrolledKey* Policy::find_fingerprint(std::string_view fingerprint, std::string* owner) const {
  const auto it = owner_by_fingerprint_.find(fingerprint);
  if (it == owner_by_fingerprint_.end()) return nullptr;
  const auto person = people.find(it->second);
  const auto service = services.find(it->second);
  const std::vector<EnrolledKey>* keys = nullptr;
  if (person != people.end()) {
    keys = &person->second.keys;
  } else if (service != services.end()) {
    keys = &service->second.keys;
  } else {
    return nullptr;
  }
  for (const EnrolledKey& key : *keys) {
    if (key.key.fingerprint() != fingerprint) continue;
    if (owner != nullptr) *owner = it->second;
    return &key;
  }
  return nullptr;
}

std::optional<KeyRing::Owner> Policy::find(const PublicKey& key) const {
  std::string owner;
  const EnrolledKey* enrolled = find_fingerprint(key.fingerprint(), &owner);
  if (enrolled == nullptr || !(enrolled->key == key)) return std::nullopt;
  return Owner{enrolled->key, std::move(owner)};
}

std::set<std::string> Policy::zone_names() const {
  std::set<std::string> names;
  for (const Rule& rule : rules) {
    for (const Hours& hours : rule.hours) names.insert(hours.zone);
  }
  return names;
}

const std::string& Policy::account_for(const Runbook& runbook, const Person& subject) const {
  return runbook.is_self() ? subject.account : runbook.account;
}

}  // namespace hallpass
