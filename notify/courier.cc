#include "notify/courier.h"

#include <algorithm>
#include <cmath>

namespace hallpass {
namespace {

constexpr int kWarning = 4, kError = 3, kNotice = 5;
constexpr int kMaxDoublings = 20;

std::string span(Moment from, Moment to) {
  return format_duration(std::chrono::duration_cast<Seconds>(to - from));
}

}  // namespace

std::string Courier::waiting(std::size_t documents) const {
  return documents == 1 ? "1 " + settings_.word + " waits"
                        : std::to_string(documents) + " " + settings_.word + "s wait";
}

Courier::Next Courier::ended(const Outcome& outcome, Moment now, std::size_t left) {
  if (outcome.kind == Outcome::Kind::delivered) {
    recovered(now, left);
    return Next::done;
  }
  if (outcome.kind == Outcome::Kind::refused) {
    if (refusals_++ == 0) refused_since_ = now;
    if (refusals_ >= kRefusedTries && now - refused_since_ >= settings_.reject_after) {
      settings_.tell(kError, settings_.receiver + " refused " + (settings_.word == "alert" ? "an " : "a ") +
                                 settings_.word + " " + std::to_string(refusals_) + " times over " +
                                 span(refused_since_, now) + " (" + outcome.why +
                                 "): it is set aside in rejected/ and the next one is tried");
      refusals_ = failures_ = 0;
      not_before_ = now;
      return Next::reject;
    }
  }
  tell_failure(outcome, now, left + 1);
  wait(outcome, now);
  return Next::retry;
}

void Courier::recovered(Moment now, std::size_t left) {
  if (failures_ > 0) {
    settings_.tell(kNotice, settings_.receiver + " takes " + settings_.word + "s again, after " +
                                span(failing_since_, now) + "; " + waiting(left));
  }
  failures_ = refusals_ = 0;
  not_before_ = now;
}

void Courier::tell_failure(const Outcome& outcome, Moment now, std::size_t left) {
  if (failures_ == 0) {
    failing_since_ = told_ = now;
    settings_.tell(kWarning, settings_.receiver + " does not take " + settings_.word + "s: " + outcome.why + "; " +
                                 waiting(left) + ", and it is tried again and again");
  } else if (now - told_ >= kSayAgain) {
    told_ = now;
    settings_.tell(kError, settings_.receiver + " has not taken " + settings_.word + "s for " +
                               span(failing_since_, now) + ": " + outcome.why + "; " + waiting(left));
  }
}

void Courier::wait(const Outcome& outcome, Moment now) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const Milliseconds longest = settings_.retry_longest;
  const double doubled = std::ldexp(1000.0, std::min(failures_, kMaxDoublings));
  ++failures_;
  const Milliseconds whole = std::min(longest, Milliseconds(doubled));
  Milliseconds pause = whole * (1.0 - settings_.chance() / 2);
  if (outcome.not_yet) pause = std::max(pause, std::min<Milliseconds>(longest, *outcome.not_yet));
  not_before_ = now + std::chrono::duration_cast<Moment::duration>(pause);
}

}  // namespace hallpass
