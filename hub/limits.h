// How much one person may put into the log: rates, with a budget of its own for what narrows. Time is passed in.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "hub/config.h"

namespace hallpass::hub {

using Moment = std::chrono::steady_clock::time_point;

// So many at once, filled up again at an even pace.
class TokenBucket {
 public:
  TokenBucket(std::int64_t per_minute, std::int64_t burst, Moment now)
      : per_second_(static_cast<double>(per_minute) / 60.0),
        burst_(static_cast<double>(burst)),
        has_(burst_),
        at_(now) {}
  bool take(Moment now);  // one; false: none is left
  bool has_one(Moment now) const { return held(now) >= 1.0; }
  bool is_full(Moment now) const { return held(now) >= burst_; }
  Seconds until_next(Moment now) const;  // 0: now; else at least 1 s

 private:
  double held(Moment now) const;
  double per_second_, burst_, has_;
  Moment at_;
};

class PersonBudgets {
 public:
  explicit PersonBudgets(const PersonLimits& limits) : limits_(limits) {}
  // One statement of this person. nullopt: within the budget; else how long until the next would be.
  std::optional<Seconds> charge(const std::string& person, bool narrows, Moment now);
  // Is anything left, of either kind? Asked before a signature is verified, so nothing is charged.
  bool has_any(const std::string& person, Moment now) const;
  bool may_narrow(const std::string& person, Moment now) const;
  void forget_idle(Moment now);  // those whose buckets are full again
  std::size_t size() const { return people_.size(); }

 private:
  struct Buckets {
    TokenBucket any, narrowing;
  };
  PersonLimits limits_;
  std::map<std::string, Buckets, std::less<>> people_;
};

}  // namespace hallpass::hub
