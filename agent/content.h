// What of the snapshot does not come from grants alone: whose keys may try, and what to tell those who are not
// admitted.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/docket.h"

namespace hallpass {

// Whom the policy lets ask on this host: account and subject, and the runbooks between them.
using Access = std::map<std::pair<std::string, std::string>, std::set<std::string>>;
Access access_of(const Policy& policy, const HostIdentity& host);

// The keys of everyone whom some rule lets ask for an account on this host, without the voided ones; sorted, distinct.
// With `drop` also every person's, for the account that takes grants carried by hand: who carries need not be who asks.
std::vector<AccountKey> account_keys(const Policy& policy, const Access& access, const std::set<std::string>& voided,
                                     bool drop = false);

// For each of those people and accounts: how far their nearest grant is, and which runbooks can be asked for here.
// Sorted, distinct.
std::vector<Waiting> waiting_records(const Access& access, const Docket& docket, UnixTime now);

}  // namespace hallpass
