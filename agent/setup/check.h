// `hallpass host check`: what is wrong on this host, worst first, each with its cure.
#pragma once

#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"

namespace hallpass {

enum class Severity { note, warning, error };
std::string_view to_string(Severity severity);

struct Finding {
  Severity severity = Severity::error;
  std::string code;   // "usepam_off": stable, for --json and monitoring; docs/host-check.md has one passage for each
  std::string where;  // file, account, unit
  std::string what;   // one line
  std::string cure;   // what to type or change
};

// Sorted: worst first, then by code. A check that cannot be made is a finding itself. Never throws for what the host's
// files contain.
std::vector<Finding> check_host(const Layout& layout);

// The same, with what it was judged by.
struct CheckReport {
  std::string host;       // as host.toml names it; empty: it cannot be read
  Mode mode = Mode::off;  // what is meant to be in force: many things matter only then
  std::vector<Finding> findings;
};
CheckReport look_at_host(const Layout& layout);

}  // namespace hallpass
