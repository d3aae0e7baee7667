// The inside of judge.h: one judgement being made. Not for other folders.
#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/judge.h"

namespace hallpass::judging {

inline bool contains(const std::set<std::string>& names, std::string_view name) {
  return names.find(std::string(name)) != names.end();
}

inline bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

inline bool names_runbook(const Rule& rule, std::string_view runbook) {
  return contains(rule.runbooks, runbook);
}
bool in_a_gate(std::string_view person, std::string_view runbook, const Policy& policy);
// The signature still counts under this policy: it may be another than the one that the statement was opened with.
bool signed_by_owner(const Statement& s, const Policy& policy);

// A denial or revocation that counts: signed by the one it names, who may or may not have the right to it.
struct Ending {
  UnixTime at;
  std::string_view by;
  bool denial;
  const std::string* words;
  // The earliest is named; the rest makes the choice independent of the order in which statements came.
  auto key() const { return std::tuple(at, by, denial, std::string_view(*words)); }
};

struct Approval {
  UnixTime at;
  std::string_view by;
  Seconds duration;  // what it approves: its own, else what was asked
  const Digest* digest;
  Presence presence;
  bool service;
  auto key() const { return std::tuple(at, by, duration, *digest); }
};

// Steps 1 to 7 over one request. Everything borrowed outlives it.
class Judging {
 public:
  Judging(const Digest& request, std::span<const Statement> statements, const Policy& policy, const HostIdentity* host,
          UnixTime now, const ZoneTable& zones, const JudgeMemory& memory)
      : statements_(statements), policy_(policy), host_(host), now_(now), zones_(zones), memory_(memory) {
    judgement_.request = request;
    voided_ = voided_keys(statements, policy);
  }

  Judgement run() {
    if (!find_request() || !check_runbook() || !check_limits()) return std::move(judgement_);
    collect();
    for (const Rule& rule : policy_.rules) {
      if (names_runbook(rule, request_->runbook) && contains(rule.requester_people, request_->subject)) {
        judgement_.rules.push_back(judge_rule(rule));
      }
    }
    decide();
    return std::move(judgement_);
  }

 private:
  bool is_voided(const PublicKey& key) const {
    return contains(voided_, key.fingerprint()) ||
           (memory_.voided_keys != nullptr && contains(*memory_.voided_keys, key.fingerprint()));
  }
  // What widens access: never with a voided key.
  bool counts(const Statement& s) const { return signed_by_owner(s, policy_) && !is_voided(s.key()); }

  bool fail(GrantState state, Step step, std::string detail) {
    judgement_.state = state;
    judgement_.step = step;
    judgement_.detail = std::move(detail);
    return false;
  }

  bool find_request();
  bool check_runbook();
  bool check_limits();
  void collect();
  void collect_decision(const Statement& s);
  void collect_revocation(const Statement& s);
  RuleResult judge_rule(const Rule& rule) const;
  bool check_rule(const Rule& rule, RuleResult& result) const;
  std::optional<Window> fill_gates(const Rule& rule, RuleResult& result) const;
  const Ending* ending_under(const Rule& rule) const;
  void judge_window(const Rule& rule, Window window, RuleResult& result) const;
  std::vector<Approval> approvals_for(const Rule& rule) const;
  void decide();
  void adopt(const RuleResult& result);
  void cut_to_policy();

  std::span<const Statement> statements_;
  const Policy& policy_;
  const HostIdentity* host_;
  UnixTime now_;
  const ZoneTable& zones_;
  const JudgeMemory& memory_;
  std::set<std::string> voided_;

  const Request* request_ = nullptr;
  const Runbook* runbook_ = nullptr;
  Presence request_presence_ = Presence::none;  // the most that one of its signatures proves
  std::vector<Approval> approvals_;             // that may count under some rule, in order of preference
  std::vector<Ending> endings_;                 // earliest first
  Judgement judgement_;
};

}  // namespace hallpass::judging
