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
  // Why it failed or was skipped, and what to do; lines of the programs' own words. Of a passed one: what was set aside
  // for it (the site's AllowUsers), mostly nothing.
  std::string detail;
  double seconds = 0;
};

// `told` is called as each trial ends. Only whole passes count: all trials that ran passed; what depends on a failed
// one is skipped. Some seconds; 100 at most, and then it is an error. A signal (INT, TERM, HUP) ends it; it is raised
// again when nothing of the self-test is left. Waits for a self-test of somebody else. For Mode::off only sudo is
// tried. Errors: unavailable (the trials could not all be made, or something is left; why, and what to do).
Result<std::vector<Trial>> self_test(const Layout& layout, const Changes& changes, const Wanted& wanted,
                                     const std::function<void(const Trial&)>& told);
// What a self-test may have left when all its processes were killed or the host lost power: its account, processes and
// mounts' directory. Waits for one that runs. Idempotent.
void clean_after_self_test(const Layout& layout);

}  // namespace hallpass
