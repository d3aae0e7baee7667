// `hallpass host check`.
#pragma once

#include <CLI/CLI.hpp>

#include "agent/layout.h"

namespace hallpass {

// Each command sets `code` when it was typed. `layout` is read when it runs.
void add_check_command(CLI::App& app, const Layout& layout, int& code);

}  // namespace hallpass
