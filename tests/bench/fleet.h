// A fleet with many live grants, each a request and one approval, signed by keys that benchmarks have.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/support/policies.h"

namespace hallpass::bench {

using testing::parsed;
using testing::TestKey;

inline constexpr int kEngineers = 100, kLeads = 20;
inline constexpr const char* kFleetName = "acme-prod";

inline std::string engineer(int i) {
  return "eng" + std::to_string(i % kEngineers);
}
inline std::string lead(int i) {
  return "lead" + std::to_string(i % kLeads);
}

inline std::string people_toml(const char* heading) {
  std::string text;
  for (int i = 0; i < kEngineers; ++i)
    text += heading + engineer(i) + "]\nkeys = [\"" + TestKey::plain(engineer(i)).line() + "\"]\n";
  for (int i = 0; i < kLeads; ++i)
    text += heading + lead(i) + "]\nkeys = [\"" + TestKey::plain(lead(i)).line() + "\"]\n";
  return text;
}

inline std::string list_of(std::string (*name)(int), int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "[\"" : ", \"") + name(i) + "\"";
  return text + "]";
}

inline std::string policy_toml(UnixTime now) {
  return testing::policy_head(kFleetName, 1, format_time(now + Seconds{400 * 86400}), R"(["lead0", "lead1"])") +
         people_toml("[people.") + "[groups]\nsre = " + list_of(engineer, kEngineers) +
         "\nleads = " + list_of(lead, kLeads) + R"(
[runbooks.restart-web]
account = "self"
default_duration = "30m"
max_duration = "24h"
parameters = { service = ["nginx", "php-fpm"] }
sudo = [ { as = "root", run = ["/usr/bin/systemctl", "restart", "${service}"] } ]
[runbooks.login]
account = "self"
max_duration = "24h"
[[rules]]
runbooks = ["restart-web", "login"]
requesters = ["sre"]
targets = ["env=prod"]
gates = [ { from = ["leads"], count = 1 } ]
)";
}

struct SignedGrant {
  Digest id;
  std::string request, approval;  // a line of a grant file each
};

// The i-th grant of the fleet, asked for and approved a minute ago and live for a day.
inline SignedGrant signed_grant(int i, const Policy& policy, UnixTime now) {
  const bool commands = i % 2 == 0;
  Request r;
  r.fleet = kFleetName;
  r.subject = engineer(i);
  r.runbook = commands ? "restart-web" : "login";
  r.runbook_digest = policy.runbooks.find(r.runbook)->second.digest;
  if (commands) r.parameters = {{"service", {"nginx"}}};
  r.targets = {Selector::parse("host=web-3").value()};
  r.duration = Seconds{86400};
  r.reason = "502s on checkout since the deploy of 14:10, the pool's workers look stuck";
  r.ticket = "OPS-" + std::to_string(1000 + i);
  r.requested_at = now - Seconds{60};
  r.respond_by = r.requested_at + kDefaultRespondBy;
  r.nonce = std::to_string(1000000 + i) + std::string(15, 'A');
  const std::string payload = format_payload(r);
  Decision d;
  d.fleet = kFleetName;
  d.request = sha256(payload);
  d.by = lead(i);
  d.approve = true;
  d.decided_at = now - Seconds{30};
  return {d.request, sign_payload(TestKey::plain(r.subject), StatementKind::request, payload),
          sign_payload(TestKey::plain(d.by), StatementKind::decision, format_payload(d))};
}

}  // namespace hallpass::bench
