// A seam: who takes documents. One at a time; nothing here blocks.
#pragma once

#include <optional>

#include "core/values/result.h"
#include "notify/courier.h"
#include "notify/spool.h"

namespace hallpass {

class Receiver {
 public:
  virtual ~Receiver() = default;
  // Whether begin() may be called now; one that waits for others of its kind says no and is asked again when one ended.
  virtual bool ready() const { return true; }
  // `document` stays where it is until the outcome has been collected. Errors: unavailable,
  // malformed (it can never be given to this receiver).
  virtual Status begin(const QueuedDocument& document, Moment now) = 0;
  // nullopt: not yet. After an outcome the next may begin.
  virtual std::optional<Outcome> outcome(Moment now) = 0;
  // By when outcome() wants to be asked though nothing happened, while it has one.
  virtual Moment look_again() const = 0;
};

}  // namespace hallpass
