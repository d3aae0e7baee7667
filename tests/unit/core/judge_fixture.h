// A small fleet for tests of judging: alice asks, others decide. Times are seconds after kNoon.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/judge.h"
#include "tests/unit/support/policies.h"

namespace hallpass::testing {

inline const UnixTime kNoon = from_unix(1795435200);  // Monday 2026-11-23 12:00:00 UTC, 13:00 in Berlin

inline constexpr const char* kJudgePeople[] = {"alice", "bob", "ana", "ben", "chloe", "dave", "erin"};

// Everyone has a plain key and a security key. Rule 1 is the gated one, rule 2 has no gate.
inline std::string judge_policy_text() {
  std::string text = policy_head("acme-prod", 7, "2027-06-30T00:00:00Z", R"(["ana", "ben"])");
  for (const char* name : kJudgePeople) {
    text += "[people." + std::string(name) + "]\nkeys = [\"" + TestKey::plain(name).line() + "\", \"" +
            TestKey::security(name).line() + "\"]\n";
  }
  text += "[services.bot]\nkeys = [\"" + TestKey::plain("bot").line() + "\"]\n";
  text += R"([groups]
sre = ["alice", "bob"]
leads = ["bob", "ana", "alice"]
[runbooks.restart-web]
account = "self"
default_duration = "30m"
max_duration = "2h"
parameters = { service = ["nginx", "php-fpm"] }
sudo = [ { as = "root", run = ["/usr/bin/systemctl", "restart", "${service}"] } ]
[runbooks.look]
account = "viewer"
default_duration = "30m"
max_duration = "2h"
[[rules]]
runbooks = ["restart-web"]
requesters = ["sre"]
targets = ["env=prod"]
gates = [ { from = ["leads"], count = 1 } ]
revokers = ["chloe"]
[[rules]]
runbooks = ["look"]
requesters = ["sre"]
targets = ["env=prod"]
)";
  return text;
}

// The policy that everything is signed under.
inline const Policy& signing_policy() {
  static const std::shared_ptr<const Policy> policy = parsed(judge_policy_text());
  return *policy;
}

inline Zone berlin() {
  return {{{UnixTime::min(), Seconds{3600}}}};  // winter is all that these tests see
}

struct Scene {
  std::string policy_text = judge_policy_text();
  Request request;
  std::vector<Statement> statements;
  std::optional<HostIdentity> host = HostIdentity{"web-3", {{"env", "prod"}, {"role", "web"}}};
  long long now = 600;
  std::set<std::string> voided;
  ZoneTable zones{{"Europe/Berlin", berlin()}, {"UTC", {{{UnixTime::min(), Seconds{0}}}}}};

  Scene() {
    request.fleet = "acme-prod";
    request.subject = "alice";
    request.parameters = {{"service", {"nginx"}}};
    request.targets = {Selector::parse("host=web-3").value()};
    request.duration = Seconds{1800};
    request.reason = "502s on checkout";
    request.requested_at = kNoon;
    request.respond_by = kNoon + kDefaultRespondBy;
    request.nonce = "AAAAAAAAAAAAAAAAAAAAAA";
    use_runbook("restart-web");
  }

  void use_runbook(const char* name) {
    request.runbook = name;
    request.runbook_digest = signing_policy().runbooks.find(name)->second.digest;
    if (request.runbook == "look") request.parameters.clear();
  }
  Digest digest() const { return sha256(format_payload(request)); }

  Statement add(const TestKey& key, const Payload& payload, unsigned char flags = kTouched) {
    statements.push_back(make_statement(key, payload, "acme-prod", signing_policy(), flags));
    return statements.back();
  }
  // Signs the request as it stands now; decisions about it come after.
  void ask() { add(TestKey::plain(request.subject), request); }
  Decision decision(const char* by, long long at, bool approve = true) const {
    Decision d;
    d.fleet = "acme-prod";
    d.request = digest();
    d.by = by;
    d.approve = approve;
    d.decided_at = kNoon + Seconds{at};
    return d;
  }
  void approve(const char* by, long long at, std::optional<long long> duration = {}) {
    Decision d = decision(by, at);
    if (duration) d.duration = Seconds{*duration};
    add(TestKey::plain(by), d);
  }
  void deny(const char* by, long long at) { add(TestKey::plain(by), decision(by, at, false)); }
  Revocation revocation(const char* by, long long at) const {
    Revocation r;
    r.fleet = "acme-prod";
    r.request = digest();
    r.by = by;
    r.revoked_at = kNoon + Seconds{at};
    return r;
  }
  void revoke(const char* by, long long at) { add(TestKey::plain(by), revocation(by, at)); }
  void revoke_subject(const char* subject, const char* by, long long at) {
    Revocation r = revocation(by, at);
    r.form = Revocation::Form::subject;
    r.subject = subject;
    add(TestKey::plain(by), r);
  }
  void revoke_key(const std::string& fingerprint, const char* by, long long at) {
    Revocation r = revocation(by, at);
    r.form = Revocation::Form::key;
    r.key = fingerprint;
    add(TestKey::plain(by), r);
  }

  // Changes the policy that judges, not the one that was signed under.
  void edit(const std::string& from, const std::string& to) {
    const std::size_t at = policy_text.find(from);
    demand(at != std::string::npos);
    policy_text.replace(at, from.size(), to);
  }
  // Another rule for restart-web, after the first two.
  void add_rule(const std::string& rest, const std::string& targets = "[\"env=prod\"]") {
    policy_text +=
        "[[rules]]\nrunbooks = [\"restart-web\"]\nrequesters = [\"sre\"]\ntargets = " + targets + "\n" + rest + "\n";
  }

  Judgement judge_now() const { return judge_at(now); }
  Judgement judge_at(long long at) const {
    const JudgeMemory memory{&voided};
    return judge(digest(), statements, *parsed(policy_text), host ? &*host : nullptr, kNoon + Seconds{at}, zones,
                 memory);
  }
};

}  // namespace hallpass::testing
