#include "agent/setup/sudo_conf.h"

#include <strings.h>

#include <optional>
#include <vector>

#include "agent/setup/config_lines.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

struct Plugin {
  std::string symbol, library, options;  // options: with a blank before each
};

std::optional<Plugin> read_plugin(const ConfigLine& line) {
  const std::vector<std::string> words = words_of(line.text);
  if (words.size() < 3 || strcasecmp(words[0].c_str(), "plugin") != 0) return std::nullopt;
  Plugin plugin{words[1], words[2], ""};
  for (std::size_t i = 3; i < words.size(); ++i) plugin.options += " " + words[i];
  return plugin;
}

bool is_our_plugin(const Plugin& plugin) {
  return plugin.symbol == "hallpass_policy" || plugin.symbol == "hallpass_audit";
}
bool is_replaced(const Plugin& plugin) {
  return is_our_plugin(plugin) || plugin.symbol == "sudoers_policy" || plugin.symbol == "sudoers_io" ||
         plugin.symbol == "sudoers_audit";
}

Error not_understood(const ConfigLine& line, const std::string& why) {
  return {Errc::mismatch, "/etc/sudo.conf, line " + std::to_string(line.number) + " (" + printable(line.text, 80) +
                              "): " + why +
                              ". Nothing was changed. Mend the line, or enable hallpass without --sudo; "
                              "docs/operations.md, \"Switch sudo on\", has the steps by hand"};
}

// What stands in the lines to be replaced.
struct Site {
  std::string policy, io, audit;  // options
  bool has_audit = false;
};

Status note(const ConfigLine& line, const Plugin& plugin, Site& site) {
  if (!is_replaced(plugin)) {
    if (plugin.symbol.ends_with("_policy")) return not_understood(line, "sudo has another policy plugin than sudoers");
    return Unit{};
  }
  const std::string name = plugin.library.substr(plugin.library.rfind('/') + 1);
  if (!is_our_plugin(plugin) && name != "sudoers.so")
    return not_understood(line, "hallpass stands around sudoers.so and knows no other library");
  if (plugin.symbol.ends_with("_policy")) site.policy = plugin.options;
  if (plugin.symbol.ends_with("_io")) site.io = plugin.options;
  if (plugin.symbol.ends_with("_audit")) site.audit = plugin.options;
  site.has_audit = site.has_audit || plugin.symbol.ends_with("_audit");
  return Unit{};
}

std::string eol_of(const std::vector<ConfigLine>& lines) {
  return !lines.empty() && lines.front().raw.ends_with("\r\n") ? "\r\n" : "\n";
}

// `three` where the first replaced line stood, else at the end.
std::string with_three(std::vector<ConfigLine> lines, const std::string& three) {
  std::string out;
  bool done = false;
  end_last_line(lines);
  for (const ConfigLine& line : lines) {
    const std::optional<Plugin> plugin = read_plugin(line);
    if (!plugin || !is_replaced(*plugin)) {
      out += line.raw;
    } else if (!done) {
      out += three;
      done = true;
    }
  }
  return done ? out : out + three;
}

}  // namespace

bool has_sudo_lines(std::string_view text) {
  bool policy = false, audit = false;
  for (const ConfigLine& line : split_config(text)) {
    const std::optional<Plugin> plugin = read_plugin(line);
    policy = policy || (plugin && plugin->symbol == "hallpass_policy");
    audit = audit || (plugin && plugin->symbol == "hallpass_audit");
  }
  return policy && audit;
}

Result<std::string> put_sudo_lines(std::string_view text) {
  const std::vector<ConfigLine> lines = split_config(text);
  Site site;
  for (const ConfigLine& line : lines) {
    const std::optional<Plugin> plugin = read_plugin(line);
    if (!plugin) continue;
    if (const Status noted = note(line, *plugin, site); !noted) return noted.error();
  }
  // sudoers reads its options when the audit plugin opens, before the policy does.
  if (!site.has_audit) site.audit = site.policy;
  const std::string eol = eol_of(lines), plugin(kSudoPlugin);
  return with_three(lines, "Plugin hallpass_policy " + plugin + site.policy + eol + "Plugin sudoers_io sudoers.so" +
                               site.io + eol + "Plugin hallpass_audit " + plugin + site.audit + eol);
}

std::string without_sudo_lines(std::string_view text) {
  const std::vector<ConfigLine> lines = split_config(text);
  Site site;
  bool ours = false;
  for (const ConfigLine& line : lines) {
    const std::optional<Plugin> plugin = read_plugin(line);
    if (!plugin) continue;
    ours = ours || is_our_plugin(*plugin);
    if (plugin->symbol == "hallpass_policy") site.policy = plugin->options;
    if (plugin->symbol == "sudoers_io") site.io = plugin->options;
    if (plugin->symbol == "hallpass_audit") site.audit = plugin->options;
  }
  if (!ours) return std::string(text);
  const std::string eol = eol_of(lines);
  return with_three(lines, "Plugin sudoers_policy sudoers.so" + site.policy + eol + "Plugin sudoers_io sudoers.so" +
                               site.io + eol + "Plugin sudoers_audit sudoers.so" + site.audit + eol);
}

}  // namespace hallpass
