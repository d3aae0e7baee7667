#include "agent/setup/impact.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <tuple>

#include "agent/config.h"
#include "agent/content.h"
#include "agent/setup/accounts.h"
#include "agent/setup/automation.h"
#include "agent/setup/columns.h"
#include "agent/setup/sshd_settings.h"
#include "core/edge/config_file.h"
#include "core/values/text.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr std::chrono::hours kLately{24 * 30};
constexpr std::size_t kMostShown = 30;  // accounts of one kind; who has more has a directory service

// Everything that tells about one account, before it is judged.
struct Candidate {
  const Account* account = nullptr;  // nullptr: it logs in, but is not in /etc/passwd
  std::string name;
  std::vector<AuthorizedKey> keys;
  SeenLogins seen;
};

class Judge {
 public:
  Judge(const Policy* policy, const HostIdentity& host, std::set<std::string> exempt, const LoginTraces& traces)
      : policy_(policy), exempt_(std::move(exempt)), traces_(traces) {
    if (policy_ == nullptr) return;
    for (const auto& [place, runbooks] : access_of(*policy_, host)) reached_.insert(place.first);
    for (const auto& [name, person] : policy_->people) owner_of_[person.account] = name;
    for (const auto& [name, runbook] : policy_->runbooks) {
      if (!runbook.is_self()) named_[runbook.account].push_back(name);
    }
  }

  AccountOutlook judge(const Candidate& c) const {
    AccountOutlook a;
    a.account = c.name;
    a.keys = static_cast<int>(c.keys.size());
    a.logins = traces_.known ? c.seen.count : -1;
    if (c.seen.count > 0) a.last_login = format_time(c.seen.last);
    a.outlook = exempt_.count(c.name) != 0    ? Outlook::exempt
                : reached_.count(c.name) != 0 ? Outlook::needs_grant
                                              : Outlook::refused;
    a.why = why(a);
    // A person's own account is his, whatever he runs on it.
    if (owner_of_.count(c.name) == 0)
      a.evidence = automation_evidence(c.account, c.name, c.keys, traces_, a.outlook != Outlook::needs_grant);
    a.automation = !a.evidence.empty();
    return a;
  }
  bool reaches(const std::string& account) const { return reached_.count(account) != 0; }
  bool is_exempt(const std::string& account) const { return exempt_.count(account) != 0; }

 private:
  std::string why(const AccountOutlook& a) const {
    if (a.outlook == Outlook::exempt) return std::string("in the group ") + kExemptGroup;
    const auto owner = owner_of_.find(a.account);
    const auto named = named_.find(a.account);
    const bool refused = a.outlook == Outlook::refused;
    if (policy_ == nullptr) return "there is no policy";
    if (owner != owner_of_.end())
      return owner->second + "'s own account" + (refused ? ", but no rule lets " + owner->second + " ask here" : "");
    if (named == named_.end()) return "no runbook names it";
    return "runbook " + named->second.front() + (refused ? " names it, but no rule gives it on this host" : "");
  }

  const Policy* policy_;
  std::set<std::string> exempt_;
  const LoginTraces& traces_;
  std::set<std::string> reached_;
  std::map<std::string, std::string> owner_of_;
  std::map<std::string, std::vector<std::string>> named_;
};

// What speaks for somebody's coming in by it: a key, a password, a login seen, or the policy's word.
bool is_used(const Candidate& c, const Judge& judge) {
  if (c.name == paths::kDropAccount) return false;
  const bool has_proof = !c.keys.empty() || (c.account != nullptr && c.account->has_password);
  const bool is_root = c.account != nullptr && c.account->uid == 0;  // many ways lead there
  return is_root || c.seen.count > 0 || has_proof || judge.reaches(c.name) || judge.is_exempt(c.name);
}

std::vector<Candidate> candidates(const Layout& layout, const std::vector<Account>& accounts, const LoginTraces& traces,
                                  const std::vector<std::string>& key_files) {
  std::vector<Candidate> found;
  std::set<std::string> local;
  for (const Account& account : accounts) {
    local.insert(account.name);
    if (!account.can_log_in) continue;
    const auto seen = traces.by_account.find(account.name);
    found.push_back({&account, account.name, authorized_keys(layout, account, key_files),
                     seen == traces.by_account.end() ? SeenLogins{} : seen->second});
  }
  for (const auto& [name, seen] : traces.by_account) {
    if (local.count(name) == 0) found.push_back({nullptr, name, {}, seen});
  }
  return found;
}

std::string words(const AccountOutlook& a) {
  return a.outlook == Outlook::refused ? "refused" : a.outlook == Outlook::exempt ? "as before" : "needs a grant";
}

std::string table(const Impact& impact) {
  Columns columns;
  columns.add({"ACCOUNT", "WHEN ENFORCED", "LOGINS (30 DAYS)", "LAST", "KEYS", "WHY"});
  std::map<Outlook, std::size_t> counted;
  for (const AccountOutlook& a : impact.accounts) {
    // Automation is always named: nobody else would speak for it.
    if (++counted[a.outlook] > kMostShown && !a.automation) continue;
    columns.add({printable(a.account), words(a), a.logins < 0 ? "?" : std::to_string(a.logins),
                 a.last_login.empty() ? "-" : a.last_login.substr(0, 10), std::to_string(a.keys),
                 printable(a.why) + (a.automation ? "; automation: " + a.evidence : "")});
  }
  std::string text = columns.text();
  for (const auto& [outlook, count] : counted) {
    AccountOutlook kind;
    kind.outlook = outlook;
    if (count > kMostShown) text += std::to_string(count) + " accounts in all: " + words(kind) + "\n";
  }
  return text;
}

std::string names_of(const Impact& impact, bool automation, Outlook outlook) {
  std::string names;
  std::size_t count = 0;
  for (const AccountOutlook& a : impact.accounts) {
    if (a.automation != automation || a.outlook != outlook) continue;
    if (++count <= kMostShown) names += (names.empty() ? "" : ", ") + printable(a.account);
  }
  return count > kMostShown ? names + " and " + std::to_string(count - kMostShown) + " more" : names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

}  // namespace

std::vector<std::string> key_file_patterns() {
  std::vector<std::string> patterns;
  const Result<SshdSettings> settings = SshdSettings::read("");
  std::string_view text = settings ? settings->get("authorizedkeysfile") : std::string_view();
  if (text == "none") text = {};
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) patterns.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (patterns.empty()) return {".ssh/authorized_keys", ".ssh/authorized_keys2"};
  return patterns;
}

Result<Impact> judge_impact(const Layout& layout, const Policy* policy) {
  const auto now = std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
  return judge_impact(layout, policy, read_login_traces(layout, now - kLately), key_file_patterns());
}

Result<Impact> judge_impact(const Layout& layout, const Policy* policy, const LoginTraces& traces,
                            const std::vector<std::string>& key_files) {
  const Result<std::vector<Account>> accounts = read_accounts(layout);
  if (!accounts) return accounts.error();
  std::string faults;
  const auto config = read_config_file<HostConfig>(layout.host_config(), parse_host_config, faults);
  if (!config) return Error{Errc::malformed, printable(faults, 2000)};
  Result<std::vector<std::string>> members = group_members(layout, kExemptGroup, *accounts);
  if (!members && members.error().code != Errc::not_found) return members.error();
  Impact impact;
  if (members) impact.exempt = std::move(*members);
  impact.exempt.erase(std::remove(impact.exempt.begin(), impact.exempt.end(), paths::kDropAccount),
                      impact.exempt.end());
  const Judge judge(policy, config->host, {impact.exempt.begin(), impact.exempt.end()}, traces);
  for (const Candidate& c : candidates(layout, *accounts, traces, key_files)) {
    if (is_used(c, judge)) impact.accounts.push_back(judge.judge(c));
  }
  std::sort(impact.accounts.begin(), impact.accounts.end(), [](const AccountOutlook& a, const AccountOutlook& b) {
    return std::tie(b.outlook, b.logins, a.account) < std::tie(a.outlook, a.logins, b.account);
  });
  return impact;
}

std::string show_impact(const Impact& impact) {
  std::string text = table(impact) + "\n";
  if (const std::string names = names_of(impact, true, Outlook::refused); !names.empty()) {
    text += "Programs that will be locked out: " + names +
            ".\n  They cannot ask for a grant. Let them come by another way, or put them into the exempt group for now:"
            "\n  usermod -aG " +
            kExemptGroup + " ACCOUNT\n";
  }
  if (const std::string names = names_of(impact, true, Outlook::needs_grant); !names.empty()) {
    text += "Programs seem to use accounts that people share: " + names +
            ".\n  Their keys are in no grant: give each program an account of its own first.\n";
  }
  if (const std::string names = names_of(impact, false, Outlook::refused); !names.empty()) {
    text +=
        "Refused whatever is asked: " + names +
        ".\n  Who needs one of them needs a runbook that names it and a rule for this host: hallpass policy check\n";
  }
  if (const std::string names = names_of(impact, false, Outlook::needs_grant); !names.empty())
    text += "With a grant: " + names + ".\n  hallpass request RUNBOOK --target host=... --reason \"...\"\n";
  return text + (impact.exempt.empty()
                     ? std::string("Nobody is in the exempt group ") + kExemptGroup +
                           ": when hallpass cannot answer, nobody gets in but by the console.\n"
                     : "As before: " + joined(impact.exempt) + " (the group " + kExemptGroup + ").\n");
}

}  // namespace hallpass
