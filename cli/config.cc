#include "cli/config.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{64} * 1024;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string home_directory() {
  if (std::string home = environment("HOME"); !home.empty()) return home;
  const passwd* entry = getpwuid(getuid());  // NOLINT(concurrency-mt-unsafe): one thread
  return entry == nullptr ? "" : entry->pw_dir;
}

std::string config_directory() {
  // The specification of XDG says that a relative value is to be ignored.
  if (const std::string xdg = environment("XDG_CONFIG_HOME"); xdg.starts_with('/')) return xdg + "/hallpass";
  return home_directory() + "/.config/hallpass";
}

std::string expand_home(const std::string& path) {
  if (path == "~") return home_directory();
  return path.starts_with("~/") ? home_directory() + path.substr(1) : path;
}

std::string shorten_home(const std::string& path) {
  const std::string home = home_directory();
  return home.size() > 1 && path.starts_with(home + "/") ? "~" + path.substr(home.size()) : path;
}

std::string join_diagnostics(std::string_view file, const std::vector<Diagnostic>& diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) {
    if (!out.empty()) out += '\n';
    out += format_diagnostic(file, d);
  }
  return out;
}

std::optional<Config> parse_config(std::string_view toml, std::vector<Diagnostic>& out) {
  const auto root = parse_toml(toml, out);
  if (!root) return std::nullopt;
  TomlReader reader(*root, "the configuration", out);
  Config config;
  config.dir = reader.string("dir").value_or("");
  config.me = reader.string("me").value_or("");
  config.key = reader.string("key").value_or("");
  if (!config.me.empty() && !is_name(config.me)) {
    reader.error(reader.optional("me")->line(), fmt::format("me \"{}\" is not a name", printable(config.me)),
                 "write your name as the policy has it, such as me = \"alice\"");
  }
  if (!config.dir.empty() && !config.dir.starts_with('/') && !config.dir.starts_with("~")) {
    reader.error(reader.optional("dir")->line(), "dir is a relative path",
                 "write the whole path, such as dir = \"/srv/hallpass\"");
  }
  reader.finish();
  if (has_errors(out)) return std::nullopt;
  return config;
}

Result<Config> load_config(const std::string& path) {
  const std::string file = path.empty() ? config_directory() + "/config.toml" : path;
  const auto text = read_file(AT_FDCWD, file, kMaxConfigBytes, true);
  if (!text) {
    if (path.empty() && text.error().code == Errc::not_found) return Config{};
    return text.error();
  }
  std::vector<Diagnostic> diagnostics;
  auto config = parse_config(text.value(), diagnostics);
  if (!config) return Error{Errc::malformed, join_diagnostics(shorten_home(file), diagnostics)};
  config->dir = expand_home(config->dir);
  if (!config->key.starts_with("SHA256:")) config->key = expand_home(config->key);
  return *config;
}

}  // namespace hallpass::cli
