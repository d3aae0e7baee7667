// `hallpass host check`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "agent/layout.h"
#include "agent/setup/check.h"

namespace hallpass {

// Each command sets `code` when it was typed. `layout` is read when it runs.
void add_check_command(CLI::App& app, const Layout& layout, int& code);

// A finding a line, its cure below it, and how many there are.
std::string check_lines(const CheckReport& report, bool colour);
// docs/host-check.md, "For programs".
std::string check_json(const CheckReport& report);
// 0 nothing or notes, 1 warnings, 2 errors: what monitoring expects.
int check_code(const CheckReport& report);

}  // namespace hallpass
