// What an account has on the machine besides its sessions: lingering, crontabs, at jobs, its user manager.
//
// Nothing here looks into a home directory or into /run/user: who owns those can mount a file system there that never
// answers, and the agent must not wait for one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/at_spool.h"
#include "agent/session_host.h"
#include "agent/visit_record.h"

namespace hallpass {

// Directories of the machine, so that tests have their own.
struct AccountPlaces {
  std::string linger = "/var/lib/systemd/linger";                                       // a file an account
  std::vector<std::string> at_spools = {"/var/spool/cron/atjobs", "/var/spool/at"};     // Debian's, Red Hat's
  std::vector<std::string> crontabs = {"/var/spool/cron/crontabs", "/var/spool/cron"};  // Debian's, Red Hat's
};

// Since when the account's user manager runs without anybody logged in; nullopt: it does not.
std::optional<std::int64_t> lingering_since(const AccountPlaces& places, const std::string& account);

struct Crontab {
  std::string path;
  std::int64_t changed = 0;
  std::vector<std::string> lines;  // that say something: no comments, no empty ones
};
std::vector<Crontab> crontabs_of(const AccountPlaces& places, const std::string& account);
// What a record keeps of a line, which may hold a secret.
std::string line_digest(std::string_view line);

// Control group of a user's manager, and of a logind session.
std::string manager_group(uid_t uid);
std::string session_group(uid_t uid, const std::string& id);
// The unit that a group below `manager` belongs to: "<manager>/app.slice/web.service" of ".../web.service/worker".
// The group itself when it lies in no unit: directly in the manager's group or in a slice.
std::string unit_of(std::string_view group, std::string_view manager);
// What runs there. `nested`: also in groups nested deeper than anybody lists, as their owner may; that takes a look at
// all processes of the machine.
std::vector<Process> processes_of_manager(SessionHost& host, uid_t uid, bool nested);
// The manager itself, not what it runs.
bool is_manager_itself(const Process& process, std::string_view manager);
// Of at's jobs, those that run and what ended ones left running: in the daemon's control group, and in sessions that
// PAM gave them (Red Hat's). A job's own atd, which is root's, is one of them: it has the job's login.
std::vector<Process> processes_of_at(SessionHost& host, uid_t uid);
// By the PAM service that made a logind session: another user's identity taken on; a program that runs things for
// absent users. Neither is a login.
bool changes_user(const std::string& service);
bool runs_jobs(const std::string& service);

// CLOCK_REALTIME, nanoseconds since 1970.
std::int64_t wall_clock();
// When a process started, by the wall clock as it is now.
std::int64_t wall_start(const SessionHost& host, std::uint64_t start);

// Records what stands on the account that is older than `visit` (its start and began).
void take_stock(Visit& visit, const AccountPlaces& places, SessionHost& host, bool ids_tell);

// "sleep (1234), bash (1235) and 3 more", printable.
std::string named_processes(const std::vector<Process>& processes);

}  // namespace hallpass
