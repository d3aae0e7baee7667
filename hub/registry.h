// What is live in the log, in memory: the policy in force, and every statement that can still matter. Filled from the
// log's entries at the start, then entry by entry. No clock, no I/O, no threads: hub/service.h holds the lock.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/judge.h"
#include "core/policy.h"
#include "core/statement.h"
#include "core/zones.h"

namespace hallpass::hub {

struct PolicyInForce {
  std::shared_ptr<const Policy> policy;
  ZoneTable zones;
  std::uint64_t index = 0;  // of its entry in the log
};

// A statement is one by its payload's digest and its key's fingerprint, however often it was signed.
using StatementId = std::pair<Digest, std::string>;
StatementId id_of(const Statement& statement);
bool narrows(const Statement& statement);                    // a revocation or a denial
std::optional<Digest> grant_of(const Statement& statement);  // nullopt: a revocation of a subject or a key
UnixTime latest_end(const Request& request);                 // whatever is approved when, it admits no longer

struct KnownStatement {
  Statement statement;
  std::optional<std::uint64_t> index;  // in the log; nullopt: on its way there
};

struct KnownGrant {
  Digest digest;
  std::string subject;
  UnixTime requested_at{};
  std::vector<KnownStatement> statements;  // the request first
  UnixTime over_at{};                      // as judged when something last bore on it
  UnixTime latest_end{};
  GrantState state = GrantState::void_;  // likewise
  const Request& request() const { return *statements.front().statement.request(); }
  bool is_live(UnixTime now) const;  // neither denied, revoked, void nor over
};

// A grant with all that bears on it, taken out so that it can be judged without the lock.
struct GrantCase {
  Digest digest;
  std::vector<KnownStatement> own;      // the request first
  std::vector<KnownStatement> bearing;  // own and the revocations of subjects and keys
};
std::vector<Statement> statements_of(std::span<const KnownStatement> known);

class Registry {
 public:
  // Everything known is judged again.
  void set_policy(PolicyInForce next, UnixTime now);
  bool has_policy() const { return in_force_ != nullptr; }
  std::shared_ptr<const PolicyInForce> in_force() const { return in_force_; }

  const KnownStatement* find(const StatementId& id) const;
  const KnownGrant* grant(const Digest& request) const;
  // A decision or a revocation of a request that is not known is ignored (false).
  bool add(const Statement& statement, std::optional<std::uint64_t> index, UnixTime now);
  void settle(const StatementId& id, std::uint64_t index);  // it is in the log now
  void forget(const StatementId& id, UnixTime now);         // it never got there
  // The same narrowing by the same person, in force already: adding it again would change nothing.
  const KnownStatement* same_narrowing(const Statement& statement) const;

  Judgement judge(const Digest& request, UnixTime now) const;
  // With `more` as if it were known.
  Judgement judge_with(const Digest& request, const Statement& more, UnixTime now) const;
  std::vector<GrantCase> cases(std::string_view subject) const;  // empty: everybody's; by requested_at
  GrantCase case_of(const Digest& request) const;

  std::set<std::string> voided() const;  // fingerprints, under the policy in force
  std::size_t live_requests(std::string_view subject, UnixTime now) const;
  bool id_is_taken(const Digest& request) const;  // by another request
  // Key-form revocations in the log before `index`, whose keys the policy in force still lists: they matter for good.
  std::vector<Statement> key_revocations_before(std::uint64_t index) const;
  std::size_t forget_old(UnixTime now);  // what can no longer matter
  std::size_t size() const { return places_.size(); }
  std::size_t grants() const { return grants_.size(); }

 private:
  using Grants = std::map<Digest, KnownGrant>;
  using ByName = std::map<std::string, std::vector<KnownStatement>, std::less<>>;
  struct Place {
    enum class In { grant, subject, key } in;
    Digest grant;
    std::string name;  // of the subject, or the key's fingerprint
  };
  static Place place_of(const Statement& statement);
  std::vector<KnownStatement>* list_of(const Place& place);
  const std::vector<KnownStatement>* list_of(const Place& place) const;
  std::vector<KnownStatement> bearing_on(const KnownGrant& grant, const Statement* more = nullptr) const;
  Grants::iterator erase_grant(Grants::iterator at);
  void judge_again(KnownGrant& grant, UnixTime now);
  void judge_all_again(UnixTime now);
  void judge_affected(const Place& place, UnixTime now);
  void forget_old_of(ByName& list, UnixTime now);
  void forget_covered(std::vector<KnownStatement>& of_subject);

  std::shared_ptr<const PolicyInForce> in_force_;
  Grants grants_;
  std::map<std::string, std::set<Digest>, std::less<>> by_subject_;
  ByName of_subjects_, of_keys_;  // revocations of those forms
  std::map<std::string, Digest> ids_;
  std::map<StatementId, Place> places_;
};

}  // namespace hallpass::hub
