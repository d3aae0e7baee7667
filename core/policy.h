// The policy: who may ask for what, where, and who must agree. A value made from one TOML file; docs/policy-guide.md is
// the language.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ssh_key.h"
#include "core/sshsig.h"
#include "core/statement.h"
#include "core/toml.h"
#include "core/values/command.h"
#include "core/values/digest.h"
#include "core/values/selector.h"
#include "core/values/time.h"
#include "core/zones.h"

namespace hallpass {

inline constexpr std::size_t kMaxPolicyBytes = std::size_t{1024} * 1024;
inline constexpr int kPolicyFormat = 1;
inline constexpr std::string_view kSelfAccount = "self";

struct EnrolledKey {
  PublicKey key;
  std::string comment;
};

struct Person {
  std::string name;
  std::string account;  // their own Unix account
  std::vector<EnrolledKey> keys;
};

struct Service {
  std::string name;
  std::vector<EnrolledKey> keys;
};

struct Runbook {
  std::string name;
  std::string title;    // for people; not part of the digest
  std::string account;  // "self" or a shared account
  Seconds default_duration{};
  Seconds max_duration{};
  std::map<std::string, std::vector<std::string>> parameters;  // name -> choices
  std::vector<Command> sudo;                                   // patterns with ${name} as written
  bool shared_sudo = false;
  Digest digest;  // what approvers agree to: docs/formats.md, "Runbook digest"
  int line = 0;
  bool is_self() const { return account == kSelfAccount; }
};

struct Gate {
  std::vector<std::string> from;  // groups, people or services as written
  int count = 1;
  std::set<std::string> members;  // `from` resolved to people and services
};

struct Rule {
  std::vector<std::string> runbooks;
  std::vector<std::string> requesters;     // as written
  std::set<std::string> requester_people;  // resolved
  std::vector<Selector> targets;
  std::vector<Hours> hours;  // empty: any time
  std::vector<Gate> gates;
  std::set<std::string> revokers;  // resolved; may be empty
  std::optional<Seconds> max_duration;
  Presence presence = Presence::none;  // the rule's, else the policy's
  bool alert = false;
  int number = 0;  // 1 is the first [[rules]] of the file
  int line = 0;
};

// Immutable once parsed.
class Policy : public KeyRing {
 public:
  int format = 0;
  std::string fleet;
  std::int64_t version = 0;  // 1 and up
  UnixTime valid_until{};
  Presence presence = Presence::none;
  std::vector<std::string> webauthn_origins_;
  std::set<std::string> admins;  // people
  int admin_threshold = 0;
  std::map<std::string, Person, std::less<>> people;
  std::map<std::string, Service, std::less<>> services;
  std::map<std::string, std::set<std::string>, std::less<>> groups;
  std::map<std::string, Runbook, std::less<>> runbooks;
  std::vector<Rule> rules;
  Digest digest;     // SHA-256 of the file's bytes
  std::string text;  // the file as read

  std::optional<Owner> find(const PublicKey& key) const override;
  std::span<const std::string> webauthn_origins() const override { return webauthn_origins_; }
  // By fingerprint; nullptr when nobody's.
  const EnrolledKey* find_fingerprint(std::string_view fingerprint, std::string* owner) const;
  std::set<std::string> zone_names() const;
  // The local account a grant of this runbook opens for this person.
  const std::string& account_for(const Runbook& runbook, const Person& subject) const;

 private:
  friend std::shared_ptr<const Policy> parse_policy(std::string_view, std::vector<Diagnostic>&);
  std::map<std::string, std::string, std::less<>> owner_by_fingerprint_;
};

// Parses and checks everything a host relies on. Every mistake becomes a diagnostic with its line; nullptr when any is
// an error. Warnings here are those that need no context; advice about commands is lint_policy's.
std::shared_ptr<const Policy> parse_policy(std::string_view toml, std::vector<Diagnostic>& out);

// Advice for authors: shells and `any`, `edit`, `**`, commands known to start others or write any file, people who
// cannot meet a rule's presence, gates that cannot be filled, validity about to run out, unused groups and runbooks.
std::vector<Diagnostic> lint_policy(const Policy& policy, UnixTime now);

// SHA-256 over the RFC 8785 form of account, sudo, parameters and durations, defaults made explicit.
Digest runbook_digest(const Runbook& runbook);

// The runbook's commands with the chosen values in place of ${name}: each value as a literal; several values of one
// parameter become `{a,b}`, or several commands where the values cannot stand in braces. Errors: mismatch (a value that
// is not listed, a parameter missing or unknown).
Result<std::vector<Command>> fill_commands(const Runbook& runbook,
                                           const std::map<std::string, std::vector<std::string>>& parameters);

// What a newer policy changes, for people about to sign it: one line a change ("+ person dave", "~ runbook restart-web:
// max_duration 1h -> 2h"), in a stable order.
std::vector<std::string> describe_changes(const Policy& from, const Policy& to);

}  // namespace hallpass
