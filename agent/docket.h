// The grants that this host knows of, what each comes to right now, and when that changes next.
//
// Memory stays small: statements live in the ledger and are opened, verified and judged when something bears on their
// grant (a new statement, another policy, a voided key, the time). What stays here is the result.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/ledger.h"
#include "agent/policies.h"
#include "core/judge.h"
#include "host/snapshot_writer.h"

namespace hallpass {

inline constexpr UnixTime kNever = UnixTime::max();
// How long an ended grant stays known for its "ended 5 min ago".
inline constexpr Seconds kRememberEnded{24 * 3600};
// After this long nothing that was ever asked for can still admit: 24 h to respond, 7 days to begin, 7 days to last,
// and a margin.
inline constexpr Seconds kForgetAfter{30 * 24 * 3600};

struct Grant {
  Digest request;
  GrantState state = GrantState::void_;
  Step step = Step::signature;
  bool known = false;     // its request has been seen, not only decisions about it
  bool terminal = false;  // in the ledger: never judged again
  bool alert = false;
  std::int32_t admission = -1;  // place in the content's list
  std::string subject, account, runbook, detail;
  UnixTime requested_at{};
  UnixTime at{};           // when it ended, or will start; 0: does not apply
  UnixTime next = kNever;  // when to judge again
  UnixTime over = kNever;  // ended: final once this moment has passed for certain
};

// What judging came to; nothing is changed by it before it is recorded and applied.
struct Verdict {
  Grant grant;
  std::optional<Admission> admission;
  std::optional<Terminal> terminal;  // to be recorded: over for good
};

struct JudgeContext {
  const HostIdentity* host = nullptr;
  const PolicyInForce* policy = nullptr;
  const std::set<std::string>* voided = nullptr;
  UnixTime now{}, trusted{};
  UnixTime reset_at{};
};

// Pure.
Verdict judge_grant(const Digest& request, std::span<const Statement> statements, const JudgeContext& context);

class Docket {
 public:
  const Grant* find(const Digest& request) const;
  // Takes a verdict in. The grant as it was before, if it was there.
  std::optional<Grant> apply(Verdict&& verdict);
  // From the ledger, at the start.
  void restore(const Digest& request, const Terminal& terminal);
  void forget(const Digest& request);
  void clear();

  std::vector<Digest> due(UnixTime now) const;
  UnixTime next_due() const;
  std::vector<Digest> of_subject(std::string_view subject) const;
  std::vector<Digest> live() const;  // all that are not terminal
  const std::unordered_map<Digest, Grant, DigestHash>& all() const { return grants_; }

  // How many known grants are in each state; all six, in a fixed order.
  std::vector<std::pair<GrantState, std::size_t>> by_state() const;

  // Admissions, in no order. Those of requests that share an id with another are not among them.
  const std::vector<Admission>& admissions() const { return content_.admissions; }
  // Nobody is admitted from `limit` on, whatever his grant says; kNever: no such limit.
  UnixTime limit() const { return limit_; }
  void set_limit(UnixTime limit);
  // The content, for filling in what does not come from grants (agent/content.h).
  SnapshotContent& content() { return content_; }
  // Requests whose id another one shares: refused, both.
  bool shares_id(const Digest& request) const;
  // Ids that came to be shared since the last call.
  std::vector<std::string> take_new_shared_ids();

 private:
  void drop_admission(Grant& grant);
  void put_admission(Grant& grant, Admission&& admission);
  void count_id(const Digest& request);

  std::unordered_map<Digest, Grant, DigestHash> grants_;
  std::map<std::string, std::vector<Digest>> shared_ids_;
  std::unordered_map<std::uint64_t, Digest> ids_;  // the first known of each id
  std::vector<std::string> new_shared_;
  SnapshotContent content_;
  std::vector<UnixTime> ends_;  // of the admissions, without the limit
  UnixTime limit_ = kNever;
};

}  // namespace hallpass
