// The agent's status for people.
#pragma once

#include <string>

#include "core/json.h"
#include "core/zones.h"
#include "host/clock.h"

namespace hallpass {

struct StatusView {
  std::string text;   // for a terminal, with times of `zone` and the time left
  std::string stale;  // why it must not be relied on; empty: it is fresh
  bool fine = false;  // fresh, and nothing is wrong
};

// status: what the agent wrote (docs/formats.md, "Status"); what cannot be read in it is shown as "?".
// fetch: what hallpass-fetch wrote beside its mirror; null: there is none.
StatusView view_status(const Json& status, const Json& fetch, const ClockReading& clock, const Zone& zone);

}  // namespace hallpass
