// A seam: who takes alerts. One at a time; nothing here blocks.
#pragma once

#include <optional>

#include "core/values/result.h"
#include "notify/courier.h"
#include "notify/spool.h"

namespace hallpass {

class Receiver {
 public:
  virtual ~Receiver() = default;
  // `alert` stays where it is until the outcome has been collected. Errors: unavailable.
  virtual Status begin(const QueuedAlert& alert, Moment now) = 0;
  // nullopt: not yet. After an outcome the next alert may begin.
  virtual std::optional<Outcome> outcome(Moment now) = 0;
  // By when outcome() wants to be asked though nothing happened, while it has one alert.
  virtual Moment look_again() const = 0;
};

}  // namespace hallpass
