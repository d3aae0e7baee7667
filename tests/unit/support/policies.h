// Policies that tests and benchmarks write.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/policy.h"
#include "tests/unit/support/signing.h"

namespace hallpass::testing {

// What every policy begins with, up to its admins: `admins` as TOML, two of whom must sign.
inline std::string policy_head(const std::string& fleet, int version, const std::string& valid_until,
                               const std::string& admins) {
  return "format = 1\nfleet = \"" + fleet + "\"\nversion = " + std::to_string(version) +
         "\nvalid_until = " + valid_until + "\npresence = \"none\"\n[admins]\npeople = " + admins + "\nthreshold = 2\n";
}

// One without mistakes; they are shown otherwise.
inline std::shared_ptr<const Policy> parsed(const std::string& text) {
  std::vector<Diagnostic> mistakes;
  std::shared_ptr<const Policy> policy = parse_policy(text, mistakes);
  for (const Diagnostic& mistake : mistakes) {
    if (!policy) std::fprintf(stderr, "%s\n", format_diagnostic("policy.toml", mistake).c_str());
  }
  demand(policy != nullptr);
  return policy;
}

}  // namespace hallpass::testing
