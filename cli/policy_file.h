// What the policy commands share: where the file is, what is wrong with it, what it would end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/grants.h"

namespace hallpass::cli {

// The file given, else policy.toml of the directory.
Result<std::string> policy_path(const Context& context, const std::string& given);

struct CheckedPolicy {
  std::shared_ptr<const Policy> policy;  // nullptr when it cannot be read at all
  std::vector<Diagnostic> diagnostics;   // mistakes, advice and zones that this machine does not know, by line
};
CheckedPolicy check_policy(const std::string& text, UnixTime now);

// Live grants of a directory that `next` would end, and why. Errors: those of Workspace::open.
struct VoidedGrant {
  Grant grant;
  Judgement judgement;
};
Result<std::vector<VoidedGrant>> voided_by(const Policy& next, const std::string& dir, UnixTime now);
std::vector<std::string> voided_lines(const std::vector<VoidedGrant>& voided);

}  // namespace hallpass::cli
