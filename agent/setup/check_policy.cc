// The policy in force, the files that say what this host believes, and whether what the policy's runbooks name is here.
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "agent/setup/check_facts.h"

namespace hallpass {
namespace {

constexpr Seconds kSoon{30 * 24 * 3600};
constexpr std::size_t kMostCommands = 10;

void check_file(const char* path, const char* code, const std::vector<Diagnostic>& faults, Findings& found) {
  for (const Diagnostic& fault : faults) {
    const std::string where = path + (fault.line > 0 ? ":" + std::to_string(fault.line) : std::string());
    const std::string cure =
        fault.cure.empty() ? "correct it; `hallpass-agent --check-config` must be silent" : fault.cure;
    if (fault.severity == Diagnostic::Severity::error)
      found.error(code, where, fault.message, cure);
    else
      found.warning(code, where, fault.message, cure);
  }
}

// The path, and each directory and link on the way to what it really is: the sudo plugin runs nothing that somebody
// else than root and the user whom it runs as could put in the place of what the policy means. Empty: all are theirs.
std::string foreign_part(const HostFacts& facts, const std::string& path, const Account* as) {
  std::vector<std::string> spellings = {path};
  if (char* real = ::realpath(facts.layout.at(path).c_str(), nullptr); real != nullptr) {
    const std::string resolved(real);
    std::free(real);
    if (resolved.starts_with(facts.layout.root)) spellings.push_back(resolved.substr(facts.layout.root.size()));
  }
  for (const std::string& spelled : spellings) {
    for (std::size_t end = spelled.size(); end != std::string::npos && end != 0; end = spelled.rfind('/', end - 1)) {
      struct stat st {};
      const std::string part = spelled.substr(0, end);
      if (::lstat(facts.layout.at(part).c_str(), &st) != 0) continue;
      const bool others = !S_ISLNK(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
      const bool kept = st.st_uid == facts.owner || (as != nullptr && st.st_uid == as->uid);
      if (!kept || others) return part;
    }
  }
  return {};
}

void add_once(std::vector<std::string>& words, const std::string& word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

// "/usr/bin/journalctl or /bin/journalctl"
std::string any_of_them(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) text += (text.empty() ? "" : " or ") + path;
  return text;
}

void check_commands(const HostFacts& facts, const Runbook& runbook, Findings& found) {
  std::vector<std::string> missing, foreign;
  for (const Command& command : runbook.sudo) {
    std::vector<std::string> here;
    for (const std::string& path : command.executables) {
      if (facts.exists(path)) here.push_back(path);
    }
    if (!command.executables.empty() && here.empty() && command.executables[0].find("${") == std::string::npos)
      add_once(missing, any_of_them(command.executables));
    for (const std::string& path : here) {
      const std::string part = foreign_part(facts, path, facts.account(command.as_user));
      if (!part.empty()) add_once(foreign, part);
    }
  }
  if (!missing.empty())
    found.warning("command_missing", "runbook " + runbook.name,
                  "names commands that this host lacks: " + listed(missing, kMostCommands),
                  "install them, or correct their paths in the policy");
  for (const std::string& part : foreign)
    found.warning("command_foreign", part,
                  "is not root's alone, so that runbook " + runbook.name + " gives no command that lies there",
                  "`chown root: " + part + " && chmod go-w " + part + "`");
}

// Names that NSS knows although the host's own file does not: a directory's.
std::set<std::string> known_elsewhere(const HostFacts& facts, const std::set<std::string>& names,
                                      const char* database = "passwd") {
  std::set<std::string> known;
  if (names.empty()) return known;
  Program getent{{"/usr/bin/getent", database}, {}};
  getent.argv.insert(getent.argv.end(), names.begin(), names.end());
  const ProgramEnd end = facts.programs.run(getent);
  for (const std::string_view line : lines_of(end.output)) known.emplace(line.substr(0, line.find(':')));
  return known;
}

void check_accounts(const HostFacts& facts, Findings& found) {
  std::map<std::string, std::string> shared;  // account -> a runbook that names it
  std::set<std::string> missing, own;
  for (const auto& [runbook, people] : facts.runbooks_here()) {
    if (!runbook->is_self()) shared.emplace(runbook->account, runbook->name);
    if (!runbook->is_self()) continue;
    for (const std::string& name : people) {
      const auto person = facts.policy->people.find(name);
      if (person != facts.policy->people.end()) own.insert(person->second.account);
    }
  }
  for (const auto& [name, runbook] : shared) {
    if (facts.account(name) == nullptr) missing.insert(name);
  }
  for (const std::string& name : own) {
    if (facts.account(name) == nullptr) missing.insert(name);
  }
  for (const std::string& name : known_elsewhere(facts, missing)) missing.erase(name);
  std::vector<std::string> people;
  for (const std::string& name : missing) {
    const auto named = shared.find(name);
    if (named == shared.end())
      people.push_back(name);
    else
      found.warning(
          "account_missing", name, "is not an account here, but runbook " + named->second + " opens it",
          "`useradd --create-home --shell /bin/bash " + name + "`, or take this host out of its rules' targets");
  }
  if (!people.empty())
    found.note("person_without_account", listed(people), "may ask for a login of their own here, but have no account",
               "make the accounts when they are needed: `useradd --create-home --shell /bin/bash " + people[0] + "`");
  for (const auto& [name, runbook] : shared) {
    const Account* account = facts.account(name);
    if (account != nullptr && !account->can_log_in)
      found.warning("account_no_shell", name,
                    "is opened by runbook " + runbook + ", but has " +
                        (account->shell.empty() ? "expired" : "shell " + account->shell + " or has expired"),
                    "`usermod --shell /bin/bash --expiredate '' " + name + "`");
  }
}

// Whom commands run as.
void check_run_as(const HostFacts& facts, Findings& found) {
  if (!facts.accounts_fault.empty()) return;
  std::map<std::string, std::string> users, groups;  // with a runbook that names them
  for (const auto& [runbook, people] : facts.runbooks_here()) {
    for (const Command& command : runbook->sudo) {
      if (facts.account(command.as_user) == nullptr) users.emplace(command.as_user, runbook->name);
      if (!command.as_group.empty()) groups.emplace(command.as_group, runbook->name);
    }
  }
  const auto tell = [&](const std::map<std::string, std::string>& named, const char* database, const std::string& kind,
                        const std::string& add) {
    std::set<std::string> names;
    for (const auto& [name, runbook] : named) names.insert(name);
    const std::set<std::string> known = known_elsewhere(facts, names, database);
    for (const auto& [name, runbook] : named) {
      if (known.count(name) != 0) continue;
      found.warning("run_as_missing", name,
                    "is not a " + kind + " here, but runbook " + runbook + " runs commands as it",
                    "`" + add + " --system " + name +
                        "`, by installing what brings it, or take this host out of its rules' targets");
    }
  };
  tell(users, "passwd", "user", "useradd");
  tell(groups, "group", "group", "groupadd");
}

}  // namespace

void check_policy(const HostFacts& facts, Findings& found) {
  check_file("/etc/hallpass/host.toml", "host_toml_wrong", facts.config_faults, found);
  check_file("/etc/hallpass/trust.toml", "trust_toml_wrong", facts.trust_faults, found);
  if (!facts.policy_fault.empty())
    return found.error("policy_unreadable", paths::kPolicy,
                       "what the agent wrote cannot be read: " + facts.policy_fault,
                       "`systemctl restart hallpass-agent` writes it anew");
  if (!facts.policy)
    return found.error(
        "policy_none", "hallpass-agent", "no policy is in force: nobody is admitted",
        "put policy.toml and policy.toml.sig into a directory of host.toml; the journal says why one is refused");
  const Seconds left = facts.policy->valid_until - facts.clock.wall;
  const std::string which = "version " + std::to_string(facts.policy->version) + " of the policy ";
  const std::string cure =
      "raise version and valid_until, have the admins sign it with `hallpass policy sign`, and distribute it";
  if (left <= Seconds{0})
    found.error("policy_expired", "hallpass-agent", which + "has expired: nobody is admitted", cure);
  else if (left < kSoon)
    found.warning("policy_expires_soon", "hallpass-agent", which + "is valid for " + format_duration(left) + " only",
                  cure);
}

void check_runbooks(const HostFacts& facts, Findings& found) {
  check_accounts(facts, found);
  check_run_as(facts, found);
  for (const auto& [runbook, people] : facts.runbooks_here()) check_commands(facts, *runbook, found);
}

}  // namespace hallpass
