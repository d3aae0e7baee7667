// Whether a verified statement goes into the log: asked of the registry, the caps and the clock. What it refuses it
// refuses in words for the person who sent it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/statement.h"
#include "hub/limits.h"
#include "hub/registry.h"

namespace hallpass::hub {

inline constexpr Seconds kClockWarning{10};
// Of one person about one grant: nobody needs more, and every host stores them.
inline constexpr std::size_t kMaxOfOnePerson = 8;

enum class Taking { taken, known, refused };

// A refusal, or why a statement need not be added. `code` is for programs (docs/hub-api.md), `message` for people.
struct Refusal {
  std::string code;
  std::string message;
  int http_status = 400;
};

struct Verdict {
  Taking taking = Taking::refused;
  std::optional<StatementId> known;  // Taking::known: that one, in the log or on its way there
  Refusal refusal;
};

// The refusal for what open_statement found, or parsing before it.
Refusal refusal_of(const Error& error);

class Intake {
 public:
  Intake(const Registry& registry, const PersonLimits& limits)
      : registry_(registry), limits_(limits), budgets_(limits) {}

  // Charges the signer's budget unless it is known. A decision or a revocation is about requests in `registry` only.
  // Precondition: a policy is in force.
  Verdict examine(const Statement& statement, UnixTime now, Moment moment);
  const PersonBudgets& budgets() const { return budgets_; }
  void forget_idle(Moment moment) { budgets_.forget_idle(moment); }

 private:
  std::optional<Refusal> fault_of(const Statement& s, UnixTime now) const;
  std::optional<Refusal> request_fault(const Statement& s, UnixTime now) const;
  std::optional<Refusal> decision_fault(const Statement& s, UnixTime now) const;
  std::optional<Refusal> approval_fault(const Statement& s, const KnownGrant& grant) const;
  std::optional<Refusal> revocation_fault(const Statement& s, UnixTime now) const;
  std::optional<Refusal> broad_revocation_fault(const Statement& s, UnixTime now) const;
  std::optional<Refusal> grant_fault(const Digest& request, const Statement& s, UnixTime now) const;

  const Registry& registry_;
  PersonLimits limits_;
  PersonBudgets budgets_;
};

// "your clock is 14 s ahead of the hub's …"; empty: within 10 s, or plainly older than just made.
std::string clock_warning(const Statement& statement, UnixTime now);

}  // namespace hallpass::hub
