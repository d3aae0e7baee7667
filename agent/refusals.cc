#include "agent/refusals.h"

namespace hallpass {

void Refusals::add(const std::string& where, const std::string& reason) {
  ++total_;
  if (named_ >= kNamed) {
    ++suppressed_;
    return;
  }
  ++named_;
  journal_.event(Event::statement_refused, where + ": " + reason, {{"FILE", where}, {"WHY", reason}});
}

void Refusals::tick(UnixTime now) {
  told_ = false;
  // A clock set back begins a new hour as well: names must not stop for a day.
  if (now >= hour_ && now < hour_ + kNamedAgainAfter) return;
  hour_ = now;
  named_ = 0;
}

void Refusals::end_round() {
  if (suppressed_ == 0 || told_) return;
  const std::string count = std::to_string(suppressed_);
  journal_.event(Event::inputs_suppressed, count + " more inputs cannot be used and are not named", {{"COUNT", count}});
  suppressed_ = 0;
  told_ = true;
}

}  // namespace hallpass
