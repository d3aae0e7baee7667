// Who a session on this host is, for sudo and for the end: one record a login, /run/hallpass/sessions/<audit session
// id>, written by pam_hallpass.so (post) and read by the sudo plugin and the agent. docs/architecture.md, "Sessions".
//
// The kernel gives every process the audit session id of the login it descends from (/proc/<pid>/sessionid);
// pam_loginuid sets it once and no unprivileged process can change it. A record is a FlatBuffer (host/session.fbs)
// behind an XXH3 checksum, written by rename into a directory that is root's alone. It stays until the agent has seen
// that nothing of the session is left.
//
// A session that its audit id does not tell from others is recorded as logind-<logind's name>, with kNoAuditSession:
// its end is kept by its control group, and it has no grants in sudo.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/digest.h"
#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr std::uint32_t kNoAuditSession = 0xffffffff;

struct Session {
  std::uint32_t audit = kNoAuditSession;  // audit session id
  std::string logind;                     // logind's name for it: "5"
  std::string subject, account;
  uid_t uid = 0;              // of the account
  std::string grant_id;       // that let it in
  Digest grant;               // the same, in full
  UnixTime end{};             // of that grant, as judged at login
  pid_t leader = 0;           // sshd's monitor
  std::string leader_start;   // field 22 of its /proc/<pid>/stat
  std::string control_group;  // "/user.slice/user-1000.slice/session-5.scope"
  bool observed = false;      // only watched (mode=observe): never ended
};

// What its record is called: "5" by its audit id, or "logind-5".
std::string session_name(const Session& session);

// The audit session id of a process; nullopt: unset, or it cannot be read. `pid` 0: the calling process.
std::optional<std::uint32_t> audit_session(pid_t pid);
// The process's control group in systemd's hierarchy (unified, or named "systemd"); empty: unknown.
std::string control_group(pid_t pid);

// Whether the process that the session began with is still the same one.
bool leader_lives(const Session& session);
// The record of a session. Errors: not_found, untrusted (owner, mode or links of file or directory), malformed,
// unavailable.
Result<Session> read_session(const std::string& dir, const std::string& name);
// The record, when it is this process's own beyond doubt: the leader lives (same start time), the account is `account`
// with `uid`, and the process sits in the session's control group. Errors: not_found (no such session), mismatch (which
// of these does not hold).
Result<Session> session_of_caller(const std::string& dir, std::string_view account, uid_t uid);

// Notes that a grant's powers were used in this session, so that its end ends the session's processes. Idempotent,
// without locks: an empty file "<audit id>.<hex of the grant's digest>" beside the record, which must stand. Errors:
// unavailable.
Status note_grant_used(const std::string& dir, std::uint32_t audit, const Digest& grant);

// --- session_list.cc: for the agent

struct Registry {
  std::vector<std::string> names;                   // of all records, sorted
  std::map<std::string, std::vector<Digest>> used;  // by record: the grants that were noted, sorted
};
// Errors: not_found (no directory), untrusted.
Result<Registry> read_registry(const std::string& dir);

// --- session_writer.cc: for pam_hallpass.so

// Writes the record; makes `dir` (0700). Errors: mismatch (a record of that name stands), untrusted, unavailable.
Status register_session(const std::string& dir, const Session& session);
// Removes the record and the notes beside it.
void unregister_session(const std::string& dir, const std::string& name);

}  // namespace hallpass
