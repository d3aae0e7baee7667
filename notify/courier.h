// When one receiver gets its next try, and what an operator hears of it. Pure: time, chance and words are passed in.
//
// A document is tried again until its receiver takes it: after 1 s, 2 s, 4 s ... retry_longest, each shortened by up to
// a half by chance, so that a fleet does not call in step. One that the receiver will not have (HTTP 400, 413, 422 and
// the like; SMTP 5xx, a command's exit status 65) is tried at least kRefusedTries times over reject_after, because a
// receiver that is set up wrongly says the same, and then rejected, so that it does not hold up the others for good.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/values/time.h"

namespace hallpass {

using Moment = std::chrono::steady_clock::time_point;

inline constexpr int kRefusedTries = 10;
inline constexpr Seconds kSayAgain{3600};  // that a receiver still fails

struct Outcome {
  enum class Kind { failed, delivered, refused };
  Kind kind = Kind::failed;
  std::string why;                 // for people; empty when delivered
  std::optional<Seconds> not_yet;  // the receiver asks for so much time
};

class Courier {
 public:
  struct Settings {
    std::string receiver;  // "webhook https://alerts.example.org"
    Seconds retry_longest{300}, reject_after{3600};
    std::function<double()> chance;                       // [0, 1)
    std::function<void(int priority, std::string)> tell;  // syslog's priorities
    std::string word = "alert";                           // what it carries, for messages
  };
  explicit Courier(Settings settings) : settings_(std::move(settings)) {}

  enum class Next { retry, done, reject };
  // A try ended. `left`: documents that wait after this one.
  Next ended(const Outcome& outcome, Moment now, std::size_t left);
  // When the next try may begin; at once after a delivery.
  Moment not_before() const { return not_before_; }

 private:
  void tell_failure(const Outcome& outcome, Moment now, std::size_t left);
  void wait(const Outcome& outcome, Moment now);
  void recovered(Moment now, std::size_t left);
  std::string waiting(std::size_t documents) const;

  Settings settings_;
  int failures_ = 0;  // in a row
  int refusals_ = 0;  // of this document
  Moment failing_since_{}, told_{}, refused_since_{}, not_before_{};
};

}  // namespace hallpass
