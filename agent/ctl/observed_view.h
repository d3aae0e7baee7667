// What observe mode saw, for people and for programs.
#pragma once

#include <string>

#include "agent/setup/observed.h"
#include "agent/setup/proposal.h"
#include "core/json.h"

namespace hallpass {

struct Observed {
  std::string host;
  UnixTime now{};
  bool has_policy = false;
  Observations seen;
  Proposal proposal;
};

// Ends with a newline. Times are UTC, as in statements and journal fields.
std::string observed_lines(const Observed& observed);
// hallpass-host(8) lists the members.
Json observed_json(const Observed& observed);

}  // namespace hallpass
