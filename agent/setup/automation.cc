#include "agent/setup/automation.h"

#include <algorithm>

namespace hallpass {
namespace {

constexpr std::string_view kWords[] = {
    "ansible", "automation", "awx",        "backup", "backups",   "bamboo",  "barman",     "bitbucket", "borg",
    "bot",     "buildbot",   "chef",       "ci",     "cloudinit", "deploy",  "deployer",   "fabric",    "git",
    "github",  "gitlab",     "gitea",      "icinga", "jenkins",   "monitor", "monitoring", "munin",     "nagios",
    "nrpe",    "pgbackrest", "prometheus", "puppet", "restic",    "robot",   "rsnapshot",  "rsync",     "rundeck",
    "runner",  "salt",       "service",    "sftp",   "svc",       "sync",    "teamcity",   "terraform", "zabbix"};

constexpr uid_t kFirstPerson = 1000, kNobody = 65534;

bool is_forced(const AuthorizedKey& key) {
  return key.options.find("command=\"") != std::string::npos;
}

}  // namespace

bool is_automation_name(std::string_view account) {
  while (!account.empty()) {
    const auto end = std::min(account.find_first_of("-_."), account.size());
    const std::string_view word = account.substr(0, account.find_first_of("0123456789-_."));
    if (std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords)) return true;
    account.remove_prefix(std::min(end + 1, account.size()));
  }
  return false;
}

std::string automation_evidence(const Account* account, const std::string& name, const std::vector<AuthorizedKey>& keys,
                                const LoginTraces& traces, bool by_name) {
  if (by_name && is_automation_name(name)) return "its name";
  if (by_name && account != nullptr && account->uid > 0 && (account->uid < kFirstPerson || account->uid == kNobody))
    return "a system account, uid " + std::to_string(account->uid);
  if (!keys.empty() && std::all_of(keys.begin(), keys.end(), is_forced)) return "each of its keys runs one command";
  if (traces.never_on_terminal(name)) return kNoTerminal;
  return {};
}

}  // namespace hallpass
