// Tries the changed files before anybody depends on them: real sshd, PAM, sudo and a login over loopback, in a mount
// namespace of its own in which the changed files stand in for the real ones. Outside nothing changes but for a
// throw-away account (hallpass-selftest…), which is removed again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/setup/activation.h"

namespace hallpass {

struct Trial {
  std::string name;  // "a login without a grant is refused"
  bool passed = false;
  bool skipped = false;
  std::string detail;  // why it failed or was skipped, and what to do; lines of the programs' own words
  double seconds = 0;
};

// `told` is called as each trial ends. Only whole passes count: all trials that ran passed. Errors: unavailable (no
// trial could be made, why).
Result<std::vector<Trial>> self_test(const Layout& layout, const Changes& changes, const Wanted& wanted,
                                     const std::function<void(const Trial&)>& told);
// What a killed self-test may have left: its account, processes and mounts' directory. Idempotent.
void clean_after_self_test(const Layout& layout);

}  // namespace hallpass
