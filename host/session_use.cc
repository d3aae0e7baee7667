// What sudo and the agent do with a session's record; sshd's module has no part in it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/values/bytes.h"
#include "host/session.h"
#include "host/small_file.h"

namespace hallpass {

Result<Session> session_of_caller(const std::string& dir, std::string_view account, uid_t uid) {
  const auto audit = audit_session(0);
  if (!audit) return Error{Errc::not_found, "this process descends from no login"};
  auto session = read_session(dir, std::to_string(*audit));
  if (!session) return session;
  const std::string which = "session " + std::to_string(*audit);
  if (!leader_lives(*session)) return Error{Errc::mismatch, which + " is over: its leader is gone"};
  if (session->account != account || session->uid != uid)
    return Error{Errc::mismatch, which + " is of " + session->account + ", not of the calling user"};
  // Exactly: only root can make a group below a session's, and what sits elsewhere does not end with the session.
  if (session->control_group.empty() || control_group(0) != session->control_group)
    return Error{Errc::mismatch, "the calling process has left the control group of " + which};
  return session;
}

Status note_grant_used(const std::string& dir, std::uint32_t audit, const Digest& grant) {
  if (const Status ours = private_directory(dir); !ours) return Error{Errc::unavailable, ours.error().message};
  const std::string record = dir + "/" + std::to_string(audit);
  // Without its record a note would stay for good.
  struct stat st {};
  const bool known = lstat(record.c_str(), &st) == 0;  // not access(2): in sudo the real user is the caller
  const std::string note = record + "." + hex_encode(grant.bytes);
  const int fd = known ? open(note.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
  if (fd < 0) return Error{Errc::unavailable, "noting " + note + ": " + std::generic_category().message(errno)};
  close(fd);
  return Unit{};
}

}  // namespace hallpass
