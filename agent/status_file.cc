#include "agent/status_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/edge/files.h"
#include "core/policy.h"

namespace hallpass {
namespace {

// For `hallpass host enable` and `check`, which tell what the policy means for this host.
void write_policy(const Agent& agent, const Layout& layout) {
  const std::string path = layout.policy_in_force();
  if (agent.policy() == nullptr) {
    unlink(path.c_str());
    return;
  }
  const Result<std::string> there = read_file(AT_FDCWD, path, kMaxPolicyBytes);
  if (there && *there == agent.policy_text()) return;
  [[maybe_unused]] const Status written = write_file_durably(path, agent.policy_text(), 0600);
}

}  // namespace

void write_status(const Agent& agent, const Layout& layout, const Sessions* sessions) {
  write_policy(agent, layout);
  [[maybe_unused]] const Status written =
      write_file_durably(layout.status(), to_pretty_json(agent.status(sessions)), 0644);
}

}  // namespace hallpass
