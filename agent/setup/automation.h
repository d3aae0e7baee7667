// Accounts by which programs log in: they cannot ask for a grant, so enforcing stops them without anybody being there
// to read why.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/setup/accounts.h"
#include "agent/setup/login_traces.h"

namespace hallpass {

// "ansible", "svc-web", "backup_pg": a name that programs are usually given.
bool is_automation_name(std::string_view account);

// The weakest evidence: people who only copy files have no terminal either.
inline constexpr char kNoTerminal[] = "it never logs in on a terminal";

// Why the account looks like a program's, in a few words; empty: nothing says so.
//   account    nullptr: not in /etc/passwd
//   by_name    false: the name and the number say nothing, for the policy gives the account to people
std::string automation_evidence(const Account* account, const std::string& name, const std::vector<AuthorizedKey>& keys,
                                const LoginTraces& traces, bool by_name);

}  // namespace hallpass
