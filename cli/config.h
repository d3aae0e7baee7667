// ~/.config/hallpass/config.toml: where statements go (a directory or a hub) and who signs them. Strict: an unknown
// member is an error with its line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/result.h"

namespace hallpass::cli {

// A hub, and how to speak to it. hub, hub_token_file, hub_ca, hub_certificate, hub_key.
struct HubConfig {
  std::string url;               // without a final slash; empty: no hub
  std::string token_file;        // one line: what reading asks for
  std::string ca;                // PEM file, instead of the system's authorities
  std::string certificate, key;  // PEM files of a client certificate
};

struct Config {
  std::string dir;  // the directory of the policy and the grant files; never together with a hub
  HubConfig hub;
  std::string me;   // a person (or service) of the policy
  std::string key;  // a key file or a fingerprint
  // deliver = ["ssh:web-1"]: hosts, as ssh knows them, that grants are carried to when they fill or end (cli/carry.h).
  std::vector<std::string> deliver;
};

// All members are optional. nullopt when there was an error.
std::optional<Config> parse_config(std::string_view toml, std::vector<Diagnostic>& out);

// `path` empty: the usual file, which need not exist; else that file, which must. A leading ~/ in paths is the home
// directory. Errors: malformed (all diagnostics, one a line), not_found, unavailable.
Result<Config> load_config(const std::string& path);

std::string home_directory();    // $HOME, else the password database's; "" when neither knows
std::string config_directory();  // $XDG_CONFIG_HOME/hallpass, else ~/.config/hallpass
std::string cache_directory();   // $XDG_CACHE_HOME/hallpass, else ~/.cache/hallpass
// As typed or configured, without the final slash. Error: malformed, with what to write.
Result<std::string> hub_url(std::string_view typed);
// What may be handed to ssh as a host: a name, an alias of its configuration or an address; never an option.
bool is_ssh_host(std::string_view typed);
std::string expand_home(const std::string& path);  // "~" and "~/..." only
std::string shorten_home(const std::string& path);
// All diagnostics as lines for an error message.
std::string join_diagnostics(std::string_view file, const std::vector<Diagnostic>& diagnostics);

}  // namespace hallpass::cli
