// What a request can hope for, rule by rule, before anybody signs it: the checks of judging that need no signature.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/hosts.h"
#include "core/policy.h"
#include "core/zones.h"

namespace hallpass::cli {

struct RuleOutlook {
  const Rule* rule = nullptr;          // of the policy given
  std::string obstacle;                // why it cannot admit, one clause; empty: it can
  std::vector<std::string> hosts;      // those of the request that it covers; empty when hosts.toml does not say
  std::vector<std::string> approvers;  // people and services who could fill its gates, sorted; never the subject
  bool self_service() const { return rule->gates.empty(); }
};

struct Outlook {
  std::vector<RuleOutlook>
      rules;  // every rule that names runbook and requester; those that can admit first, fewest approvals first
  std::vector<const HostIdentity*> matched;  // hosts of hosts.toml that the request means
  const RuleOutlook* best() const {
    return rules.empty() || !rules.front().obstacle.empty() ? nullptr : &rules.front();
  }
};

// `possible`: the most that the requester's keys can prove.
Outlook look_ahead(const Policy& policy, const Request& request, Presence possible, const Hosts& hosts,
                   const ZoneTable& zones, UnixTime now);

// Members of the rule's gates without the subject.
std::vector<std::string> approvers_of(const Rule& rule, std::string_view subject);

// The values chosen for a runbook's parameters, from `name=value` words; a parameter of which only one value is listed
// need not be named. `a,b` is two values where the whole is not itself a listed value and each part is. Errors:
// malformed, not_found, with the choices.
Result<std::map<std::string, std::vector<std::string>>> choose_parameters(const Runbook& runbook,
                                                                          const std::vector<std::string>& words);

}  // namespace hallpass::cli
