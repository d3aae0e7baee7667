// What must hold before hallpass is switched on, so that it cannot lock anybody out for want of something simple.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/policy.h"

namespace hallpass {

// What stands in the way, a sentence each with what to do; empty: nothing.
std::vector<std::string> obstacles(const Layout& layout, const Wanted& wanted, bool no_exempt);
// The policy in force, nullptr: none, or it cannot be read.
std::shared_ptr<const Policy> policy_in_force(const Layout& layout);

}  // namespace hallpass
