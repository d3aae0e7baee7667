#include "agent/refusals.h"

namespace hallpass {

void Refusals::add(const std::string& where, const std::string& reason) {
  ++total_;
  if (++round_ > kNamed) return;
  journal_.event(Event::statement_refused, where + ": " + reason, {{"FILE", where}, {"WHY", reason}});
}

void Refusals::end_round() {
  if (suppressed() > 0) {
    const std::string count = std::to_string(suppressed());
    journal_.event(Event::inputs_suppressed, count + " more inputs cannot be used and are not named",
                   {{"COUNT", count}});
  }
  round_ = 0;
}

}  // namespace hallpass
