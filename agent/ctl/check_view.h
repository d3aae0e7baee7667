// What `hallpass host check` prints.
#pragma once

#include <string>

#include "agent/setup/check.h"

namespace hallpass {

// A finding a line, its cure below it, and how many there are.
std::string check_lines(const CheckReport& report, bool colour);
// docs/host-check.md, "For programs".
std::string check_json(const CheckReport& report);
// 0 nothing or notes, 1 warnings, 2 errors: what monitoring expects.
int check_code(const CheckReport& report);

}  // namespace hallpass
