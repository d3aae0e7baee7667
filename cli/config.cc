#include "cli/config.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "core/edge/files.h"
#include "core/net/url.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{64} * 1024;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The specification of XDG says that a relative value is to be ignored.
std::string xdg_directory(const char* variable, std::string_view otherwise) {
  if (const std::string xdg = environment(variable); xdg.starts_with('/')) return xdg + "/hallpass";
  return home_directory() + std::string(otherwise) + "/hallpass";
}

std::string path_member(TomlReader& reader, const char* name) {
  std::string path = reader.string(name).value_or("");
  if (!path.empty() && !path.starts_with('/') && !path.starts_with("~")) {
    reader.error(reader.optional(name)->line(), fmt::format("{} is a relative path", name),
                 fmt::format("write the whole path, such as {} = \"~/.config/hallpass/{}\"", name, name));
  }
  return path;
}

void read_hub(TomlReader& reader, Config& config) {
  HubConfig& hub = config.hub;
  hub.token_file = path_member(reader, "hub_token_file");
  hub.ca = path_member(reader, "hub_ca");
  hub.certificate = path_member(reader, "hub_certificate");
  hub.key = path_member(reader, "hub_key");
  if (hub.certificate.empty() != hub.key.empty()) {
    reader.error(reader.line(), "hub_certificate and hub_key go together", "write both, or none");
  }
  const Toml* member = reader.optional("hub");
  if (member == nullptr) return;  // --hub may bring it
  const auto typed = reader.string("hub");
  if (!typed) return;
  const auto url = hub_url(*typed);
  if (!url) {
    reader.error(member->line(), "hub " + url.error().message, "write hub = \"https://hub.example.org\"");
    return;
  }
  hub.url = url.value();
  if (!config.dir.empty()) {
    reader.error(member->line(), "dir and hub are both set, and statements have one place to go",
                 "take one of the two lines out; --dir DIR or --hub URL chooses the other for once");
  }
}

void read_deliver(TomlReader& reader, Config& config) {
  constexpr std::string_view kSsh = "ssh:";
  for (const auto& [text, line] : reader.strings("deliver")) {
    const std::string host = text.starts_with(kSsh) ? text.substr(kSsh.size()) : "";
    if (is_ssh_host(host)) {
      config.deliver.push_back(host);
    } else {
      reader.error(line, fmt::format("deliver \"{}\" is no way to a host", printable(text)),
                   "write ssh: and the host as ssh knows it, such as deliver = [\"ssh:web-1\"]");
    }
  }
}

}  // namespace

std::string home_directory() {
  if (std::string home = environment("HOME"); !home.empty()) return home;
  const passwd* entry = getpwuid(getuid());  // NOLINT(concurrency-mt-unsafe): one thread
  return entry == nullptr ? "" : entry->pw_dir;
}

std::string config_directory() {
  return xdg_directory("XDG_CONFIG_HOME", "/.config");
}

std::string cache_directory() {
  return xdg_directory("XDG_CACHE_HOME", "/.cache");
}

bool is_ssh_host(std::string_view typed) {
  return !typed.empty() && typed.size() <= 255 && typed.front() != '-' &&
         typed.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:%_-[]") ==
             std::string_view::npos;
}

Result<std::string> hub_url(std::string_view typed) {
  std::string url(typed);
  while (url.ends_with('/')) url.pop_back();
  if (url.find_first_of("?#") != std::string::npos)
    return Error{Errc::malformed, fmt::format("\"{}\" holds more than a place; write https://HOST", printable(url))};
  if (const auto checked = check_http_url(url, false); !checked) return checked.error();
  return url;
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
  read_hub(reader, config);
  read_deliver(reader, config);
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
  HubConfig& hub = config->hub;
  for (std::string* member : {&config->dir, &hub.token_file, &hub.ca, &hub.certificate, &hub.key})
    *member = expand_home(*member);
  if (!config->key.starts_with("SHA256:")) config->key = expand_home(config->key);
  return *config;
}

}  // namespace hallpass::cli
