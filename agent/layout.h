// Where the agent finds and puts files. `--root DIR` goes before every path, so that tests and benchmarks need no real
// host.
#pragma once

#include <string>
#include <string_view>

#include "host/paths.h"

namespace hallpass {

struct Layout {
  std::string root;  // empty on a real host; no trailing slash

  std::string at(std::string_view path) const { return root + std::string(path); }
  std::string host_config() const { return at(paths::kConfigDir) + "/host.toml"; }
  std::string trust() const { return at(paths::kConfigDir) + "/trust.toml"; }
  std::string ledger() const { return at(paths::kStateDir) + "/ledger"; }
  std::string snapshot() const { return at(paths::kSnapshot); }
  std::string sudoers() const { return at("/etc/sudoers"); }
  std::string sudo_defaults() const { return at(paths::kSudoDefaults); }
  std::string withdrawn() const { return at(paths::kWithdrawn); }
  std::string policy_in_force() const { return at(paths::kPolicy); }
  std::string activation() const { return at(paths::kStateDir) + "/activation"; }
  std::string status() const { return at(paths::kStatus); }
  std::string event_socket() const { return at(paths::kEventSocket); }
  std::string control_socket() const { return at(paths::kControlSocket); }
  std::string metrics() const { return at(paths::kRunDir) + "/metrics/hallpass.prom"; }
  std::string sessions() const { return at(paths::kSessions); }
  std::string visits() const { return at(paths::kStateDir) + "/visits"; }
  std::string alerts_told() const { return at(paths::kRunDir) + "/alerts-told"; }
  std::string machine_id() const { return at(paths::kMachineId); }
};

}  // namespace hallpass
