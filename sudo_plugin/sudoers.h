// The distribution's sudoers.so, which does all of sudo's work.
#pragma once

#include <string>

#include "sudo_plugin/front_end.h"

namespace hallpass {

struct Sudoers {
  policy_plugin* policy = nullptr;  // in sudoers.so, never unloaded
  audit_plugin* audit = nullptr;
  std::string error;  // why policy is null
};

// Loads it once. Where it is: fixed places of distributions, root's; nothing that a caller can influence.
Sudoers& sudoers();

}  // namespace hallpass
