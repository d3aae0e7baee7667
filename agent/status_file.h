// What the agent leaves in /run/hallpass for others to read: status.json, and policy.toml, the policy in force.
#pragma once

#include "agent/agent.h"
#include "agent/layout.h"

namespace hallpass {

// {"hallpass":"status/1",...} where readers expect it. Failure is no more than a status that gets old.
void write_status(const Agent& agent, const Layout& layout, const Sessions* sessions = nullptr);

}  // namespace hallpass
