#include "agent/config.h"

#include <algorithm>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxWarnings = 10;

void read_labels(const Toml& labels, HostConfig& config, TomlReader& reader) {
  const TomlTable* table = labels.as_table();
  if (table == nullptr) {
    reader.error(labels.line(), std::string("labels is ") + labels.type_name() + ", not a table",
                 "write labels = { env = \"prod\" }");
    return;
  }
  for (const auto& [key, value] : *table) {
    const std::string shown = printable(key);
    const std::string* text = value.as_string();
    if (!is_name(key) || key == "host") {
      reader.error(value.line(), "label \"" + shown + "\" cannot be used",
                   key == "host" ? "leave it out: host always means the name"
                                 : "use lower-case letters, digits, _ and -, at most 32, beginning with a letter or _");
    } else if (text == nullptr || !is_label_value(*text)) {
      reader.error(value.line(), "the value of label \"" + shown + "\" is not a label value",
                   "write a string of letters, digits, '.', '_' and '-', at most 63");
    } else {
      config.host.labels[key] = *text;
    }
  }
}

bool is_clean_absolute_path(std::string_view path) {
  if (path.size() < 2 || path.size() > 4000 || path.front() != '/' || path.back() == '/') return false;
  if (path.find('\0') != std::string_view::npos || path.find("//") != std::string_view::npos) return false;
  const std::string framed = std::string(path) + "/";
  return framed.find("/../") == std::string::npos && framed.find("/./") == std::string::npos;
}

void read_path(const std::string& name, const std::string& example, std::string& path, TomlReader& reader) {
  const std::optional<std::string> text = reader.string(name);
  if (!text) return;
  if (is_clean_absolute_path(*text)) {
    path = *text;
  } else {
    reader.error(reader.line(), name + " \"" + printable(*text) + "\" is not an absolute path",
                 "write " + name + " = \"" + example + "\"");
  }
}

// Statements come from directories, from the mirror of a log, or from both.
void read_directories(HostConfig& config, TomlReader& reader) {
  const char* example = "directories = [\"/var/lib/hallpass/inbox\"]";
  bool present = false;
  const auto entries = reader.strings("directories", &present);
  if (entries.empty() && (present || config.mirror.empty())) {
    reader.error(reader.line(), "no directories: this host would never hear of any grant",
                 std::string("write ") + example);
  }
  if (entries.size() > kMaxDirectories) {
    reader.error(entries[kMaxDirectories].second, "more than " + std::to_string(kMaxDirectories) + " directories",
                 "merge some of them");
  }
  for (const auto& [path, line] : entries) {
    if (!is_clean_absolute_path(path)) {
      reader.error(line, "directory \"" + printable(path) + "\" is not an absolute path",
                   "begin it with /, without \"//\", \"..\" or a final /");
    } else if (path == config.mirror || path == config.drop ||
               std::find(config.directories.begin(), config.directories.end(), path) != config.directories.end()) {
      reader.error(line, "directory \"" + printable(path) + "\" is listed twice", "leave one out");
    } else {
      config.directories.push_back(path);
    }
  }
}

void read_name(HostConfig& config, TomlReader& reader) {
  if (reader.required("name", "name = \"web-3\"") == nullptr) return;
  const std::optional<std::string> name = reader.string("name");
  if (!name) return;
  if (is_host_name(*name)) {
    config.host.name = *name;
  } else {
    reader.error(reader.line(), "name \"" + printable(*name) + "\" is not a host name",
                 "use letters, digits, '.', '_' and '-'");
  }
}

// True: the second word stands there.
bool read_choice(const std::string& name, const std::string& usual, const std::string& other, TomlReader& reader) {
  const std::optional<std::string> found = reader.string(name);
  if (!found || *found == usual) return false;
  if (*found == other) return true;
  reader.error(reader.line(), name + " \"" + printable(*found) + "\" is not known",
               "write \"" + usual + "\" or \"" + other + "\"");
  return false;
}

void read_warnings(HostConfig& config, TomlReader& reader) {
  bool present = false;
  const auto entries = reader.strings("warn", &present);
  if (!present) return;
  config.warn.clear();
  if (entries.size() > kMaxWarnings)
    reader.error(entries[kMaxWarnings].second, "more than " + std::to_string(kMaxWarnings) + " warnings",
                 "leave some out");
  for (const auto& [text, line] : entries) {
    const Result<Seconds> before = parse_duration(text);
    if (before) {
      config.warn.push_back(*before);
    } else {
      reader.error(line, "\"" + printable(text) + "\" is no duration", "write warn = [\"5m\", \"1m\"]");
    }
  }
}

void read_accounts(const Toml& accounts, HostConfig& config, TomlReader& reader, std::vector<Diagnostic>& out) {
  const TomlTable* table = accounts.as_table();
  if (table == nullptr) return reader.error(accounts.line(), "accounts is no table", "write [accounts.deploy]");
  for (const auto& [name, value] : *table) {
    if (!is_name(name) || value.as_table() == nullptr) {
      reader.error(value.line(), "accounts." + printable(name) + " is not the table of an account",
                   "write [accounts.deploy]");
      continue;
    }
    TomlReader account(value, "[accounts." + name + "]", out);
    if (read_choice("user_manager", "allow", "deny", account)) config.without_user_manager.insert(name);
    account.finish();
  }
}

void read_alerts(const Toml& alerts, HostConfig& config, TomlReader& reader, std::vector<Diagnostic>& out) {
  if (alerts.as_table() == nullptr) return reader.error(alerts.line(), "alerts is no table", "write [alerts]");
  TomlReader inner(alerts, "[alerts]", out);
  if (const auto limit = inner.integer("refused_logins", 0, 1000000)) config.refused_logins = *limit;
  inner.finish();
}

}  // namespace

std::optional<HostConfig> parse_host_config(std::string_view toml, std::vector<Diagnostic>& out) {
  const std::size_t before = out.size();
  const std::optional<Toml> root = parse_toml(toml, out);
  if (!root) return std::nullopt;
  HostConfig config;
  TomlReader reader(*root, "host.toml", out);
  read_name(config, reader);
  if (const Toml* labels = reader.optional("labels")) read_labels(*labels, config, reader);
  read_path("mirror", "/var/lib/hallpass-mirror", config.mirror, reader);
  read_path("drop", "/var/lib/hallpass-drop/in", config.drop, reader);
  read_directories(config, reader);
  config.strict_clock = read_choice("clock", "normal", "strict", reader);
  config.standing_sudo_denied = read_choice("standing_sudo", "allow", "deny", reader);
  if (const auto limit = reader.integer("max_grants", 1, 1000000)) config.max_grants = *limit;
  read_warnings(config, reader);
  if (const Toml* accounts = reader.optional("accounts")) read_accounts(*accounts, config, reader, out);
  if (const Toml* alerts = reader.optional("alerts")) read_alerts(*alerts, config, reader, out);
  reader.finish();
  if (has_errors(out, before)) return std::nullopt;
  return config;
}

}  // namespace hallpass
