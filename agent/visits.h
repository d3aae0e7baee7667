// What an account's visitors leave outside of their sessions, and what becomes of it when the last grant for the
// account is over (docs/architecture.md, "Sessions").
//
// A visit begins with the first registered session on an account and ends when no session is left and nobody is
// admitted any more. On a personal account, at its end: the user manager, lingering and at jobs that came since its
// beginning are ended, crontab entries that came since are reported. What stood before is recorded at the beginning and
// never touched. On a shared account everything is reported and nothing ended.
//
// What stood before is what is older than the leader of the first session: processes and the units they are in by their
// start in ticks since boot, files by their ctime against the leader's start put on the wall clock as it is when the
// record is made. That is moments after the login while the agent runs, so a clock that is set in between decides
// nothing. Only where the agent was away at the login and the clock was set forward meanwhile can something that the
// visitor made pass for older; he can bring about neither. Set back, something old would pass for the visitor's: what
// was made before the login by less than the clock was set back.
//
// Lingering, at jobs and crontabs outlive a reboot, so visits are kept in files that do too:
// /var/lib/hallpass/visits/<account>.json ("visit/1", docs/formats.md), written durably before anything else is done.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/account_traces.h"
#include "agent/journal.h"
#include "agent/session_host.h"
#include "agent/storage_alarm.h"
#include "agent/visit_ending.h"
#include "agent/visit_record.h"
#include "core/values/time.h"
#include "host/session.h"

namespace hallpass {

class Visits {
 public:
  struct Places : AccountPlaces {
    std::string visits;  // /var/lib/hallpass/visits
    std::string boot;    // this boot's id; empty: asked of the kernel
  };
  Visits(Places places, SessionHost& host, Journal& journal);

  // Reads what an earlier process wrote. A damaged file is told and set aside (".damaged"); what is left on that
  // account is then only reported. Before any other call.
  void load();
  // A session was registered: call it for every record, also for one whose leader is gone already, and never for
  // observed ones. `personal`: the account is its subject's own; one session of somebody else makes the visit one to a
  // shared account. What is there now that is older than the session's leader is recorded, unless a visit to the
  // account is known. A session that began earlier than those known takes back what is younger than itself.
  void session_began(const Session& session, bool personal);

  // A session is over: what was left on a shared account and was not told yet is told, when many end at once only once
  // a second; the rest is told at the next one or at the visit's end. `audits`: of registered sessions that live.
  void session_over(const Session& session, bool personal, const std::set<std::uint32_t>& audits);

  // Accounts with a visit that is not over yet.
  std::vector<std::string> open() const;
  // Nobody is admitted to `account` and no registered session is left there: ends what came since. Called again and
  // again until it says true: nothing is left, or what is left was told. It never waits. To be called only when it is
  // known who is admitted (after a start: when the ledger was read and judged).
  bool end(const std::string& account, UnixTime now);
  // When to call end() again: soon, but later while another login is in the way, which may take all day.
  Milliseconds again(const std::string& account) const;
  static constexpr Milliseconds kAgain{250}, kAgainAtDoor{2000};

 private:
  struct Entry {
    Visit visit;
    bool saved = false;
    bool over = false;  // all but the removal of its file
    std::unique_ptr<VisitEnding> ending;
    Milliseconds stepped{0};           // last
    std::optional<Milliseconds> told;  // that it is not over
    // Looked at last, and told already, on a shared account.
    std::optional<Milliseconds> looked;
    std::set<std::pair<pid_t, std::uint64_t>> told_processes;
    std::set<std::string> told_things;
  };
  std::string path_of(const std::string& account) const { return places_.visits + "/" + account + ".json"; }
  void load_one(const std::string& account);
  void set_aside(const std::string& account, const std::string& why);
  void begin(const Session& session, bool personal, std::uint64_t start);
  bool save(Entry& e);
  bool close(const std::string& account);
  void stop_ending(Entry& e);

  EventFields fields(const Visit& visit) const;
  bool tell_crontabs(Entry& e);  // true: something was told
  void tell_cleaned(Entry& e);
  void tell_in_doubt(const Entry& e);
  void tell_not_cleaned(Entry& e);
  void tell_unknown(const Entry& e);
  void tell_left(Entry& e, const std::set<std::uint32_t>& audits);
  std::vector<Process> left_running(const Visit& visit, const std::set<std::uint32_t>& audits);
  std::vector<std::string> things_left(const Visit& visit);

  Places places_;
  SessionHost& host_;
  Journal& journal_;
  StorageAlarm alarm_;
  std::map<std::string, Entry> entries_;
};

}  // namespace hallpass
