// /etc/hallpass/host.toml: who this host is and where it looks. docs/operations.md, "host.toml".
//
//   name        = "web-3"
//   labels      = { env = "prod", role = "web" }
//   directories = ["/var/lib/hallpass/inbox"]
//   mirror      = "/var/lib/hallpass-mirror"   # what hallpass-fetch keeps of the log
//   drop        = "/var/lib/hallpass-drop/in"  # grants carried over ssh: read, then removed
//   clock       = "normal"                     # or "strict": admit nobody until the clock is synchronised after a boot
//   standing_sudo = "allow"                    # or "deny": in sessions under a grant sudo knows nothing but grants
//   warn        = ["5m", "1m"]                 # before a session ends, on its terminals
//   [accounts.deploy]
//   user_manager = "deny"                      # systemd starts no user manager for it
//   [alerts]
//   refused_logins = 10                        # to one account within ten minutes; 0: never
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/selector.h"

namespace hallpass {

inline constexpr std::size_t kMaxDirectories = 16;

struct HostConfig {
  HostIdentity host;
  std::vector<std::string> directories;  // absolute, distinct, without those two
  std::string mirror, drop;              // absolute; empty: none
  bool strict_clock = false;
  bool standing_sudo_denied = false;
  std::int64_t max_grants = 100000;  // requests remembered; more are refused, with an alert
  std::vector<Seconds> warn = {Seconds{300}, Seconds{60}};
  std::set<std::string> without_user_manager;  // accounts
  std::int64_t refused_logins = 10;            // within ten minutes; 0: no alert
};

// Every mistake becomes a diagnostic with its line; nullopt when any is an error. Pure; fuzzed.
std::optional<HostConfig> parse_host_config(std::string_view toml, std::vector<Diagnostic>& out);

}  // namespace hallpass
