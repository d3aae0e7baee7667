// What the agent of this host says of itself in /run/hallpass/status.json: which policy is in force, and how far it has
// followed the log. Nobody is harmed if it says otherwise: it decides what is fetched, not what is believed.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/values/digest.h"

namespace hallpass {

struct AgentView {
  std::int64_t policy = 0;     // version in force; 0: none, or not known
  std::uint64_t log_size = 0;  // entries it has verified; 0: none, or not known
  Digest log_root;             // of those
  bool operator==(const AgentView&) const = default;
};

// What is missing or not as expected is not known.
AgentView parse_agent_status(std::string_view json);

}  // namespace hallpass
