// The policy lines that would admit those whom observe mode would have refused, for people to review and append.
#pragma once

#include <string>
#include <vector>

#include "agent/setup/observed.h"
#include "core/policy.h"
#include "core/values/selector.h"

namespace hallpass {

struct Proposal {
  // Appended to the policy it gives one that parses, in which each of them may ask for his account on this host. Empty:
  // nothing is missing, or nothing can be given. What it gives is narrow: this host alone, no sudo, and the agreement
  // that other rules demand.
  std::string toml;
  std::vector<std::string> notes;  // what no such line can do, one sentence each
};

Proposal propose(const Observations& observations, const Policy& policy, const HostIdentity& host);

}  // namespace hallpass
