// Who logged in lately, as the host itself recorded it: sshd's lines in the journal, and wtmp, which has only those
// that had a terminal.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/layout.h"
#include "core/values/time.h"

namespace hallpass {

struct SeenLogins {
  int count = 0;
  int recorded = 0;  // of these, since logins on terminals are recorded
  UnixTime last{};
};

struct LoginTraces {
  bool known = false;  // the journal could be read
  std::map<std::string, SeenLogins, std::less<>> by_account;
  // Since when logins on terminals are recorded; nullopt: they are not, so that nobody can be told to have none.
  std::optional<UnixTime> terminals_since;
  std::set<std::string, std::less<>> on_terminal;
  // Several logins since they are recorded, none of them on a terminal.
  bool never_on_terminal(const std::string& account) const;
};

// The account of sshd's "Accepted publickey for alice from 192.0.2.7 port 4711 ssh2: …"; empty: another line.
std::string accepted_account(std::string_view message);
// Adds what the records of one wtmp file say (utmp(5)); a file that is cut short is read as far as it goes.
void add_terminals(std::string_view wtmp, LoginTraces& traces);
// One line of sshd's. All terminals must have been added before.
void add_login(std::string_view message, UnixTime at, LoginTraces& traces);

// Since `since`. Never fails: what cannot be read is not known.
LoginTraces read_login_traces(const Layout& layout, UnixTime since);

}  // namespace hallpass
