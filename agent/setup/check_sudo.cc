// sudo: hallpass's lines in sudo.conf, and what the site's own rules still give.
#include <fcntl.h>

#include <algorithm>

#include "agent/setup/check_facts.h"
#include "agent/setup/sudo_conf.h"
#include "agent/setup/sudo_rules.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr char kConf[] = "/etc/sudo.conf";
constexpr char kBack[] = "`hallpass host disable --sudo` gives sudo back, `hallpass host enable --sudo` writes it anew";
constexpr std::size_t kMaxBytes = std::size_t{1024} * 1024;
constexpr std::size_t kMostRules = 10;

struct PluginLine {
  int number = 0;
  std::string symbol, path;
};

std::vector<PluginLine> plugins_of(const std::string& text) {
  std::vector<PluginLine> plugins;
  for (const ConfigLine& line : split_config(text)) {
    const auto words = words_of(line.text);
    if (words.size() < 3 || words[0] != "Plugin") continue;
    plugins.push_back({line.number, words[1], words[2]});
  }
  return plugins;
}

bool is_policy(const PluginLine& plugin) {
  return plugin.symbol.ends_with("_policy");
}

std::string at(const PluginLine& plugin) {
  return std::string(kConf) + ":" + std::to_string(plugin.number);
}

const PluginLine* find(const std::vector<PluginLine>& plugins, std::string_view symbol) {
  const auto found =
      std::find_if(plugins.begin(), plugins.end(), [&](const PluginLine& p) { return p.symbol == symbol; });
  return found == plugins.end() ? nullptr : &*found;
}

void check_policies(const std::vector<PluginLine>& plugins, Findings& found) {
  const auto policies = std::count_if(plugins.begin(), plugins.end(), is_policy);
  if (policies < 2) return;
  const auto other = std::find_if(plugins.begin(), plugins.end(),
                                  [](const PluginLine& p) { return is_policy(p) && p.symbol != "hallpass_policy"; });
  found.error("sudo_two_policies", other == plugins.end() ? kConf : at(*other),
              "names more than one policy, with which sudo runs nothing for anybody",
              "take the other policy's line out. " + std::string(kBack));
}

void check_plugin_files(const HostFacts& facts, const std::vector<PluginLine>& plugins, Findings& found) {
  for (const PluginLine& plugin : plugins) {
    const bool ours = plugin.symbol.starts_with("hallpass_");
    if (ours && plugin.path != kSudoPlugin) {
      found.error("sudo_plugin_other", at(plugin),
                  plugin.symbol + " comes from " + plugin.path + ", which is not hallpass's file",
                  "let it be " + std::string(kSudoPlugin));
    } else if (plugin.path.front() == '/' && !facts.exists(plugin.path)) {
      found.error(
          "sudo_plugin_missing", at(plugin), plugin.path + " is not there: sudo runs nothing for anybody",
          ours ? "install the package again. " + std::string(kBack) : "take the line out, or install what it names");
    }
  }
}

void check_lines(const std::vector<PluginLine>& plugins, Findings& found) {
  const PluginLine* policy = find(plugins, "hallpass_policy");
  const PluginLine* audit = find(plugins, "hallpass_audit");
  const PluginLine* sudoers_audit = find(plugins, "sudoers_audit");
  if (policy == nullptr || audit == nullptr)
    found.error("sudo_conf_incomplete", kConf,
                std::string("lacks ") + (policy == nullptr ? "hallpass_policy" : "hallpass_audit") +
                    ": no grant counts under sudo",
                "put in the lines of /usr/share/hallpass/sudo/sudo.conf. " + std::string(kBack));
  if (audit != nullptr && sudoers_audit != nullptr)
    found.error(
        "sudo_audit_order", at(*sudoers_audit),
        "names sudoers_audit beside hallpass_audit: sudoers then reads its own rules first, and no grant counts",
        "take that line out: hallpass_audit calls it");
  if (policy != nullptr && find(plugins, "sudoers_io") == nullptr)
    found.warning("sudo_io_missing", kConf, "lacks sudoers_io: what LOG_OUTPUT and LOG_INPUT want recorded is not",
                  "add the line \"Plugin sudoers_io sudoers.so\"");
}

std::string rule_cure() {
  return "when a runbook gives what is needed, take the rule out (`visudo`), or write standing_sudo = \"deny\" into "
         "host.toml";
}

void tell_rule(const SudoRule& rule, const std::vector<std::string>& reached, Findings& found) {
  const std::string where = "/etc/sudoers";
  const std::string what = "the rule \"" + rule.text + "\" reaches " + listed(reached) + " whatever grants say";
  if (rule.any_command && rule.no_password)
    found.warning("sudo_rule_nopasswd_all", where, what + ", for every command, without a password", rule_cure());
  else if (rule.any_command)
    found.warning("sudo_rule_all", where, what + ", for every command", rule_cure());
  else
    found.note("sudo_rule", where, what, rule_cure());
}

class Groups {
 public:
  explicit Groups(const HostFacts& facts) : facts_(facts) {}
  bool has(const std::string& group, const Account& account) {
    if (group.starts_with("#")) return group == "#" + std::to_string(account.gid);
    const auto [known, is_new] = members_.try_emplace(group);
    if (is_new) {
      const auto members = group_members(facts_.layout, group, facts_.accounts);
      if (members) known->second = std::set<std::string>(members->begin(), members->end());
    }
    return known->second.count(account.name) != 0;
  }

 private:
  const HostFacts& facts_;
  std::map<std::string, std::set<std::string>> members_;
};

Result<std::vector<SudoRule>> site_rules(const HostFacts& facts) {
  const ProgramEnd end =
      facts.programs.run({{"/usr/bin/cvtsudoers", "-e", "-f", "json", "-s", "defaults", facts.layout.sudoers()}, {}});
  if (!end.exited || end.status != 0)
    return Error{Errc::unavailable, "cvtsudoers: " + (end.exited ? end.errors : end.fault)};
  const Result<Json> json = parse_json(end.output);
  if (!json) return Error{Errc::malformed, "cvtsudoers wrote something unexpected: " + json.error().message};
  return parse_sudo_rules(*json);
}

}  // namespace

void check_sudo_conf(const HostFacts& facts, Findings& found) {
  const bool wanted = facts.activated && facts.activation.now.sudo;
  if (!facts.sudo_wrapped && !wanted) {
    const auto here = facts.runbooks_here();
    const bool gives_sudo =
        std::any_of(here.begin(), here.end(), [](const auto& entry) { return !entry.first->sudo.empty(); });
    if (facts.enforcing() && gives_sudo)
      found.note("sudo_not_wrapped", kConf,
                 "runbooks of this host give commands, but sudo does not ask for grants here",
                 "`hallpass host enable --sudo`");
    return;
  }
  const auto text = read_file(AT_FDCWD, facts.layout.at(kConf), kMaxBytes, true);
  const auto plugins = plugins_of(text ? *text : std::string());
  check_policies(plugins, found);
  check_plugin_files(facts, plugins, found);
  check_lines(plugins, found);
}

// Within sessions under a grant, standing_sudo = "deny" makes the site's rules give nothing.
void check_sudoers(const HostFacts& facts, Findings& found) {
  if (!facts.enforcing() || !facts.exists("/etc/sudoers")) return;
  if (facts.sudo_wrapped && facts.config && facts.config->standing_sudo_denied) return;
  const auto rules = site_rules(facts);
  if (!rules)
    return found.warning("not_checked", "/etc/sudoers", "whom its rules reach cannot be told: " + rules.error().message,
                         "`visudo -c` names what is wrong");
  Groups groups(facts);
  std::size_t told = 0;
  for (const SudoRule& rule : *rules) {
    std::vector<std::string> reached;
    for (const Account* account : facts.governed()) {
      if (account->uid != 0 && rule_reaches(rule, account->name, std::to_string(account->uid),
                                            [&](const std::string& group) { return groups.has(group, *account); }))
        reached.push_back(account->name);
    }
    if (!reached.empty() && ++told <= kMostRules) tell_rule(rule, reached, found);
  }
  if (told > kMostRules)
    found.note("sudo_rule", "/etc/sudoers", std::to_string(told - kMostRules) + " more rules reach governed accounts",
               "go on with them when the first are done");
}

}  // namespace hallpass
