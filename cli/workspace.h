// The directory that people share: policy.toml and its signatures, hosts.toml, *.grant files. Reads all of it, judges
// it, adds to it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/hosts.h"
#include "core/judge.h"
#include "core/policy.h"
#include "core/policy_trust.h"
#include "core/statement.h"
#include "core/zones.h"

namespace hallpass::cli {

inline constexpr std::size_t kMaxGrantFile = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t kMaxSignatureFile = std::size_t{4} * 1024 * 1024;

// How far this program believes the directory's policy. Hosts decide for themselves, with /etc/hallpass/trust.toml.
struct PolicyTrust {
  enum class Level {
    unsigned_,    // no policy.toml.sig, or not one over these bytes, or too few of the policy's own admins
    self_signed,  // by a threshold of its own admins; there is no trust.toml here to compare them with
    verified,     // and by the admins that trust.toml pins (or those who followed them, policy by policy)
  };
  Level level = Level::unsigned_;
  std::string sentence;  // for people: by whom, or what is missing
  std::set<std::string> signers;
};
std::string_view to_string(PolicyTrust::Level level);

// What could not be read as a statement: where and why.
struct Rejected {
  std::string file;  // name within the directory
  int line = 0;
  Error error;
};

// Statements out of files, with what was not one.
struct StatementPool {
  std::vector<Statement> statements;  // no statement twice
  std::vector<Rejected> rejected;
};

class Workspace {
 public:
  // Errors: unavailable (no directory, no readable policy), malformed (policy or hosts.toml with mistakes, all of them
  // listed).
  static Result<Workspace> open(const std::string& dir);

  const std::string& dir() const { return dir_; }
  // The directory as people call it, or the URL of the hub that it is a copy of.
  const std::string& place() const { return place_; }
  void set_place(std::string place) { place_ = std::move(place); }
  const Policy& policy() const { return *policy_; }
  const PolicyTrust& trust() const { return trust_; }
  const Hosts& hosts() const { return hosts_; }
  const ZoneTable& zones() const { return zones_; }
  const std::vector<Statement>& statements() const { return pool_.statements; }
  const std::vector<Rejected>& rejected() const { return pool_.rejected; }

  // Reads the grant files again (policy and hosts stay). Error: unavailable.
  Status reload();
  // Adds statements from a file that somebody handed over (its content); what is none of ours is in the result.
  std::vector<Rejected> add(std::string_view grant_file, const std::string& name);
  void add(const Statement& statement);

  // Requests in order of requested_at, then digest.
  std::vector<const Statement*> requests() const;
  const Statement* request(const Digest& grant) const;
  // What bears on one grant: its request, its decisions and revocations, and every revocation of a subject or a key.
  std::vector<Statement> bearing_on(const Digest& grant) const;
  Judgement judge(const Digest& grant, const HostIdentity* host, UnixTime now) const;
  Judgement judge(std::span<const Statement> statements, const Digest& grant, const HostIdentity* host,
                  UnixTime now) const;

  // The grant that a typed id means. Errors: malformed, not_found, mismatch (ambiguous: all candidates are named).
  Result<Digest> find_grant(std::string_view typed) const;

  // Is this very statement in a file of the directory?
  bool holds(const Statement& statement) const;
  // Writes a file of its own for the statement, never over another. The file's name, also when it was there already.
  Result<std::string> publish(const Statement& statement);

 private:
  std::string dir_;
  std::string place_;
  std::shared_ptr<const Policy> policy_;
  PolicyTrust trust_;
  Hosts hosts_;
  ZoneTable zones_;
  StatementPool pool_;
  // The pool once more, by what it is about: a list of thousands of grants looks each up once.
  std::map<Digest, std::vector<Statement>> about_;
  std::vector<Statement> about_all_;  // revocations of a subject or a key

  void file_under_grant(const Statement& statement);
};

// `k7m3-9x2d-q4fh-approve-1a2b3c4d.grant`; of a revocation by subject or key: `subject-alice-revoke-…`, `key-revoke-…`.
std::string statement_file_name(const Statement& statement);

// Opens every line of a grant file; unknown_key and others end up in `rejected`.
void read_grant_file(std::string_view content, const std::string& name, std::string_view fleet, const KeyRing& keys,
                     StatementPool& into);

// policy.toml of `dir` or any policy file. Errors: unavailable, malformed with every diagnostic.
Result<std::shared_ptr<const Policy>> load_policy(const std::string& path);

// trust.toml of this person (~/.config/hallpass) or machine (/etc/hallpass). nullopt: there is none. Error: malformed.
Result<std::optional<Trust>> load_trust();

// policy-N.toml in a directory, by version; signed ones only (with policy-N.toml.sig, whoever signed).
struct KeptPolicy {
  std::shared_ptr<const Policy> policy;
  std::string sig;
};
std::vector<KeptPolicy> kept_policies(const std::string& dir);

PolicyTrust check_policy_trust(const Policy& policy, const std::string& sig, const std::vector<KeptPolicy>& kept,
                               const std::optional<Trust>& trust);

}  // namespace hallpass::cli
