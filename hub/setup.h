// What hallpass-hub reads before it does anything: its configuration, trust.toml, tokens and keys.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/policy_trust.h"
#include "hub/config.h"
#include "hub/log_store.h"
#include "hub/service.h"
#include "hub/tokens.h"

namespace hallpass::hub {

inline constexpr char kConfigFile[] = "/etc/hallpass/hub.toml";

struct Setup {
  HubConfig config;
  Trust trust;
  std::shared_ptr<const Tokens> tokens;
};
// nullopt: `faults` says what is wrong, a line each.
std::optional<HubConfig> read_hub_config(const std::string& path, std::string& faults);
std::optional<Setup> read_setup(const std::string& path, std::string& faults);

struct Keys {
  NoteSigner log, witness;
};
Result<Keys> read_keys(const HubConfig& config);
// What trust.toml, as hosts have it, says of another log than these keys'; empty: nothing.
std::string trust_warning(const Trust& trust, const Keys& keys);
StoreOptions store_options(const Setup& setup, const Keys& keys);

// hosts_file beside the log, where it is served from; without one there is nothing to do.
Status copy_hosts(const HubConfig& config);

// Verifies the log without touching or locking it. What to print.
Result<std::string> check_whole_log(const Setup& setup, const Keys& keys, UnixTime now);

// What the log holds, into the service.
struct LiveEntry {
  std::uint64_t index = 0;
  std::string bytes;
};
Status restore(Service& service, const std::vector<LiveEntry>& entries, const std::vector<PolicyHint>& policies,
               const LogFiles& files);

}  // namespace hallpass::hub
