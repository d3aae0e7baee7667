// What an account's visitors leave outside of their sessions, and what becomes of it when the last grant for the
// account is over (docs/architecture.md, "Sessions").
//
// A visit begins with the first registered session on an account and ends when no session is left and nobody is
// admitted any more. On a personal account, at its end: the user manager, lingering and at jobs that came since its
// beginning are ended, crontab entries that came since are reported. What stood before is recorded at the beginning and
// never touched. On a shared account processes of the account outside every registered session are reported, never
// ended.
//
// Lingering, at jobs and crontabs outlive a reboot, so visits are kept in files that do too:
// /var/lib/hallpass/visits/<account>, JSON ("visit/1", docs/formats.md), written durably before anything else is done.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/journal.h"
#include "agent/session_host.h"
#include "core/values/result.h"
#include "core/values/time.h"
#include "host/session.h"

namespace hallpass {

class Visits {
 public:
  // Directories of the machine, so that tests have their own.
  struct Places {
    std::string visits;                                                                   // /var/lib/hallpass/visits
    std::string linger = "/var/lib/systemd/linger";                                       // a file an account
    std::vector<std::string> at_spools = {"/var/spool/cron/atjobs", "/var/spool/at"};     // Debian's, Red Hat's
    std::vector<std::string> crontabs = {"/var/spool/cron/crontabs", "/var/spool/cron"};  // Debian's, Red Hat's
  };
  Visits(Places places, SessionHost& host, Journal& journal);

  // Reads what an earlier process wrote. A damaged file is told and set aside; that visit's account is then only
  // reported on.
  void load();
  // A session was registered. `personal`: the account is its subject's own. What is there now that is older than the
  // session's leader is recorded, unless a visit to the account is known already.
  void session_began(const Session& session, bool personal);

  // When the last session of an account is gone: what it left on a shared account is reported. `audits`: of registered
  // sessions that live.
  void session_over(const Session& session, bool personal, const std::set<std::uint32_t>& audits);

  // Accounts with a visit that is not over yet.
  std::vector<std::string> open() const;
  // Nobody is admitted to `account` and no registered session is left there: ends what came since. Called again and
  // again
  // (`now` grows) until it says true: nothing is left, or what is left was told. It never waits.
  bool end(const std::string& account, UnixTime now);
  // When to call end() again.
  static constexpr Milliseconds kAgain{250};
};

}  // namespace hallpass
