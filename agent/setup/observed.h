// What observe mode saw: logins and sessions that enforcing would have refused or ended, summed up from the journal.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/journal_reader.h"
#include "core/json.h"
#include "core/policy.h"
#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

struct Times {
  int count = 0;
  UnixTime first{}, last{};
  void add(UnixTime at);
};

// Logins of one kind that would have been refused.
struct RefusedLogins {
  std::string person;  // as the policy names him; empty: nobody's
  std::string key;     // "<type> <base64>" of a key that the policy in force then did not list for the account
  std::string account;
  std::string from;  // address or host name, as sshd said
  std::string why;   // a word of docs/journal-events.md
  Times times;
  std::string comment;     // of that key in the account's key files
  std::string automation;  // why it looks like a program's; empty: it does not
};
struct EndedSessions {
  std::string person, account, why;
  Times times;
};
// A command that the site's own sudoers gave to somebody under a grant.
struct StandingSudo {
  std::string person, account, target, path;
  std::vector<std::string> arguments;  // without the program
  Times times;
  // An entry of a runbook's `sudo` that gives just this; empty: no policy can name it.
  std::string line() const;
};

struct Observations {
  UnixTime since{};
  bool all = true;  // false: there were more entries than are read, the oldest are missing
  Times admitted;
  std::map<std::pair<std::string, std::string>, Times> admitted_by;  // person and account
  std::vector<RefusedLogins> refused;                                // the most frequent first
  std::vector<EndedSessions> ended;
  std::vector<StandingSudo> sudo;

  bool nothing() const { return admitted.count == 0 && refused.empty() && ended.empty() && sudo.empty(); }
  bool ready() const { return admitted.count > 0 && refused.empty() && ended.empty(); }
};

// Sums entries up, in any order.
class Observer {
 public:
  void add(const JournalEntry& entry);
  // Ordered; the observer is empty afterwards.
  Observations take();

 private:
  void add_sudo(const JournalEntry& entry);
  template <class Kind>
  static Times& times(std::map<std::string, Kind>& kinds, Kind kind, const std::string& name);

  Observations seen_;
  std::map<std::string, RefusedLogins> refused_;
  std::map<std::string, EndedSessions> ended_;
  std::map<std::string, StandingSudo> sudo_;
};

// Errors: unavailable (the journal cannot be read).
Result<Observations> read_observations(const Layout& layout, UnixTime since);

// Whose the keys are by `policy`, which may know more than the one that was in force; and which logins look like a
// program's, by the account's files and the logins of the last 30 days.
void look_closer(Observations& observations, const Layout& layout, const Policy* policy, const HostIdentity& host);

}  // namespace hallpass
