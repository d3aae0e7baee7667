// The demo policy with keys that tests can sign with, and ways to change it in one place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/policy.h"
#include "tests/unit/support/signing.h"

namespace hallpass::testing {

inline std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// Lines count from 1 at `format`. KEY:name and SKEY:name stand for a plain key and a security key of that name.
inline constexpr std::string_view kPolicyText = R"(format      = 1
fleet       = "acme-prod"
version     = 7
valid_until = 2027-06-30T00:00:00Z
presence    = "touch"

[admins]
people    = ["ana", "ben", "chloe"]
threshold = 2

[people.ana]
keys = ["SKEY:ana key ring"]
[people.ben]
keys = ["KEY:ben laptop"]
[people.chloe]
keys = ["SKEY:chloe"]
[people.alice]
account = "alice"
keys    = ["SKEY:alice key ring",
           "KEY:alice laptop"]
[people.bob]
keys = ["SKEY:bob"]

[services.oncall-bot]
keys = ["KEY:bot"]

[groups]
sre       = ["alice", "bob"]
sre-leads = ["bob", "ana"]
security  = ["chloe", "ben"]

[runbooks.restart-web]
title            = "Restart a web service"
account          = "self"
default_duration = "30m"
max_duration     = "2h"
parameters       = { service = ["nginx", "php8.2-fpm"] }
sudo = [
  { as = "root", run = ["/usr/bin/systemctl", "{restart,reload}", "${service}"] },
  { as = "root", run = ["/usr/bin/journalctl", "-u", "${service}", "-n", "<int:1..10000>"], subcommands = "deny" },
]

[runbooks.deploy]
account          = "deploy"
max_duration     = "4h"

[runbooks.break-glass]
max_duration     = "1h"
sudo             = [ { as = "root", run = "shell" } ]

[[rules]]
runbooks   = ["restart-web"]
requesters = ["sre"]
targets    = ["env=prod,role=web"]
hours      = ["Mon-Fri 07:00-19:00 Europe/Berlin"]

[[rules]]
runbooks   = ["restart-web", "deploy"]
requesters = ["sre"]
targets    = ["env=prod"]
max_duration = "1h"
gates      = [ { from = ["sre-leads"], count = 1 }, { from = ["oncall-bot"] } ]
revokers   = ["security"]

[[rules]]
runbooks   = ["break-glass"]
requesters = ["sre"]
targets    = ["env=prod"]
presence   = "verified"
alert      = true
)";

// Puts real key lines in place of KEY:word and SKEY:word; what follows the word stays, as the comment.
inline std::string with_keys(std::string text) {
  for (std::size_t at = 0; (at = text.find("KEY:", at)) != std::string::npos;) {
    const bool security = at > 0 && text[at - 1] == 'S';
    const std::size_t begin = at + 4;
    std::size_t end = begin;
    while (end < text.size() && ((text[end] >= 'a' && text[end] <= 'z') || (text[end] >= '0' && text[end] <= '9')))
      ++end;
    const std::string name = text.substr(begin, end - begin);
    const std::string line = (security ? TestKey::security(name) : TestKey::plain(name)).line();
    const std::size_t from = security ? at - 1 : at;
    text.replace(from, end - from, line);
    at = from + line.size();
  }
  return text;
}

// The fixture with its first `from` replaced; a `from` that is not there is a broken test.
inline std::string policy_text(std::string_view from = "", std::string_view to = "") {
  std::string text(kPolicyText);
  if (!from.empty()) {
    const std::size_t at = text.find(from);
    demand(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  return with_keys(std::move(text));
}

inline std::string all_diagnostics(const std::vector<Diagnostic>& found) {
  std::string text;
  for (const Diagnostic& d : found) text += format_diagnostic("policy.toml", d) + "\n";
  return text;
}

inline std::shared_ptr<const Policy> must_parse(const std::string& text) {
  std::vector<Diagnostic> found;
  auto policy = parse_policy(text, found);
  if (!policy) std::fputs(all_diagnostics(found).c_str(), stderr);
  demand(policy != nullptr);
  return policy;
}

}  // namespace hallpass::testing
