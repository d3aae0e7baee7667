// ~/.config/hallpass/config.toml: where statements go and who signs them. Strict: an unknown member is an error with
// its line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/result.h"

namespace hallpass::cli {

struct Config {
  std::string dir;  // the directory of the policy and the grant files
  std::string me;   // a person (or service) of the policy
  std::string key;  // a key file or a fingerprint
};

// Members dir, me, key, all optional strings. nullopt when there was an error.
std::optional<Config> parse_config(std::string_view toml, std::vector<Diagnostic>& out);

// `path` empty: the usual file, which need not exist; else that file, which must. A leading ~/ in dir and key is the
// home directory. Errors: malformed (all diagnostics, one a line), not_found, unavailable.
Result<Config> load_config(const std::string& path);

std::string home_directory();                      // $HOME, else the password database's; "" when neither knows
std::string config_directory();                    // $XDG_CONFIG_HOME/hallpass, else ~/.config/hallpass
std::string expand_home(const std::string& path);  // "~" and "~/..." only
std::string shorten_home(const std::string& path);
// All diagnostics as lines for an error message.
std::string join_diagnostics(std::string_view file, const std::vector<Diagnostic>& diagnostics);

}  // namespace hallpass::cli
