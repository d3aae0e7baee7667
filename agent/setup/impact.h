// Who can log in to this host today, and what enforcing would make of each: shown before anything is switched on.
#pragma once

#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/login_traces.h"
#include "core/policy.h"
#include "core/values/result.h"

namespace hallpass {

inline constexpr char kExemptGroup[] = "hallpass-exempt";

enum class Outlook {
  exempt,       // a member of the exempt group: logs in as before
  needs_grant,  // a runbook of the policy names this account, or it is a person's own
  refused,      // nothing in the policy reaches it: refused whatever is asked
};

struct AccountOutlook {
  std::string account;
  Outlook outlook = Outlook::refused;
  bool automation = false;  // nobody's own by its traces: logins without a terminal, a system account, a known name
  std::string why;          // "no runbook names it", "alice's own account"
  std::string evidence;     // of automation: "its name"
  int logins = 0;           // by ssh in the last 30 days, from the journal; -1: unknown
  std::string last_login;   // UTC, empty: none seen
  int keys = 0;             // in its key files
};

struct Impact {
  std::vector<std::string> exempt;       // without hallpass-drop, which is a member so that grants can be handed in
  std::vector<AccountOutlook> accounts;  // that can log in; refused first, those that log in most first
};

// `policy`: the one in force, nullptr: none, everybody but the exempt group will be refused. Reads host.toml, for which
// rules concern this host. Errors: unavailable, malformed (host.toml, with what is wrong).
Result<Impact> judge_impact(const Layout& layout, const Policy* policy);
// The same with what is known of logins, and sshd's AuthorizedKeysFile.
Result<Impact> judge_impact(const Layout& layout, const Policy* policy, const LoginTraces& traces,
                            const std::vector<std::string>& key_files);
// A table, then what to do for each of its groups. Ends with a newline.
std::string show_impact(const Impact& impact);

// Where sshd looks for keys as the site has it: hallpass's own "none" does not count, for what would be lost by it is
// asked.
std::vector<std::string> key_file_patterns();

}  // namespace hallpass
