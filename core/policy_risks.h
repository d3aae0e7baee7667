// What is known about programs that give more than they seem to; only core/policy_lint.cc includes this.
#pragma once

#include <optional>
#include <string>

#include "core/values/command.h"

namespace hallpass {

struct Risk {
  std::string why;  // "less starts a shell (!) and an editor (v)"
  std::string cure;
};

// For a command of kind `run` with its parameters filled in. Looks at the program's file name, a version number at its
// end ignored.
std::optional<Risk> risk_of(const Command& command);

}  // namespace hallpass
