#include "hub/limits.h"

#include <algorithm>
#include <cmath>

namespace hallpass::hub {

double TokenBucket::held(Moment now) const {
  const double seconds = std::chrono::duration<double>(now - at_).count();
  return std::min(burst_, has_ + std::max(0.0, seconds) * per_second_);
}

bool TokenBucket::take(Moment now) {
  has_ = held(now);
  at_ = std::max(at_, now);
  if (has_ < 1.0) return false;
  has_ -= 1.0;
  return true;
}

Seconds TokenBucket::until_next(Moment now) const {
  const double missing = 1.0 - held(now);
  if (missing <= 0) return Seconds{0};
  return Seconds{static_cast<long long>(std::ceil(missing / per_second_))};
}

std::optional<Seconds> PersonBudgets::charge(const std::string& person, bool narrows, Moment now) {
  auto at = people_.find(person);
  if (at == people_.end()) {
    at = people_
             .emplace(person, Buckets{{limits_.statements_per_minute, limits_.statements_burst, now},
                                      {limits_.narrowing_per_minute, limits_.narrowing_burst, now}})
             .first;
  }
  TokenBucket& bucket = narrows ? at->second.narrowing : at->second.any;
  if (bucket.take(now)) return std::nullopt;
  return bucket.until_next(now);
}

bool PersonBudgets::has_any(const std::string& person, Moment now) const {
  const auto at = people_.find(person);
  return at == people_.end() || at->second.any.has_one(now) || at->second.narrowing.has_one(now);
}

bool PersonBudgets::may_narrow(const std::string& person, Moment now) const {
  const auto at = people_.find(person);
  return at == people_.end() || at->second.narrowing.has_one(now);
}

void PersonBudgets::forget_idle(Moment now) {
  std::erase_if(people_, [&](const auto& p) { return p.second.any.is_full(now) && p.second.narrowing.is_full(now); });
}

}  // namespace hallpass::hub
