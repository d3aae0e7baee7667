// [log] of trust.toml. hallpass-trust.toml(5).
//
//   [log]
//   key         = "acme-prod.log+23b51d01+AaXw..."      # what `hallpass-hub init` prints
//   witnesses   = ["acme-prod.witness+cd0b7531+BOAh..."]
//   quorum      = 1                                      # default: all of them
//   max_age     = "15m"                                  # no cosignature younger than this: stale
//   when_stale  = "admit"                                # or "deny"
//   require_log = false                                  # true: a grant counts only with its statements proven in the
//   log
#pragma once

#include <optional>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/toml.h"

namespace hallpass {

inline constexpr std::size_t kMaxWitnesses = 32;

// Every mistake becomes a diagnostic; what is returned then is not to be used.
LogTrust parse_log_trust(const Toml& table, std::vector<Diagnostic>& out);

}  // namespace hallpass
