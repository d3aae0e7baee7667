#include "pam/post.h"

#include <unistd.h>

#include "host/key_record.h"
#include "host/paths.h"
#include "host/small_file.h"

namespace hallpass {
namespace {

// What a file of logind's or PID 1's says under `key` (its form is systemd's own: lines KEY=VALUE, values escaped).
// Empty: nothing, or more than once.
std::string said(const std::string& file, const std::string& key) {
  const std::string lines = "\n" + file, start = "\n" + key + "=";
  const auto at = lines.find(start), end = at == std::string::npos ? at : lines.find('\n', at + 1);
  if (end == std::string::npos || at != lines.rfind(start)) return {};
  return lines.substr(at + start.size(), end - at - start.size());
}

// pam_systemd says only what it was told; logind's own file, and the kernel, say what is so.
const char* not_confirmed(const PostPlaces& places, const LoginProcess& p, bool own_audit_id, uid_t uid,
                          const std::string& logind) {
  const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  if (logind.empty() || logind.find_first_not_of(letters) != std::string::npos) return "no_logind_session";
  const auto file = read_small_file(places.logind + "/" + logind, Keeper::us);
  if (!file || said(*file, "LEADER") != std::to_string(p.pid) || said(*file, "UID") != std::to_string(uid))
    return "logind_session_of_another";
  // In containers logind 257 and later leaves audit ids alone; the kernel's is compared with those of others all the
  // same.
  const bool told = ("\n" + *file).find("\nAUDIT=") != std::string::npos;
  if (own_audit_id && told && said(*file, "AUDIT") != std::to_string(*p.audit)) return "logind_audit_id_differs";
  return p.control_group.ends_with("/session-" + logind + ".scope") ? nullptr : "not_in_session_scope";
}

// PID 1's own word that it will end the session's scope: what is malformed means "no limit" to it, silently.
bool limited(const PostPlaces& places, const std::string& logind) {
  const auto file = read_small_file(places.scopes + "/session-" + logind + ".scope", Keeper::us);
  const std::string limit = file ? said(*file, "RuntimeMaxSec") : "";
  return !limit.empty() && limit[0] >= '1' && limit[0] <= '9';
}

// An audit id that others have too tells no session from another: in a container with a user namespace pam_loginuid
// sets none, and sshd started by hand out of a session hands down its own.
const char* not_its_own(const LoginProcess& p) {
  if (!p.audit) return "audit_id_unset";
  if (p.audit == p.of_sshd) return "audit_id_of_sshd";
  return p.audit == p.of_init ? "audit_id_of_pid_1" : nullptr;
}

}  // namespace

LoginProcess this_process() {
  return {getpid(),         process_start(getpid()),  control_group(0),
          audit_session(0), audit_session(getppid()), audit_session(1)};
}

PostPlaces::PostPlaces()
    : sessions(paths::kSessions), logind("/run/systemd/sessions"), scopes("/run/systemd/transient") {}

Registration register_login(const PostPlaces& places, const LoginProcess& p, const Verdict& admitted,
                            const std::string& account, uid_t uid, const std::string& logind, bool observed) {
  const char* shared = not_its_own(p);
  if (const char* why = not_confirmed(places, p, shared == nullptr, uid, logind)) return {"", why};
  if (!observed && !limited(places, logind)) return {"", "no_time_limit"};
  Session session{p.audit.value_or(kNoAuditSession),
                  logind,
                  admitted.subject,
                  account,
                  uid,
                  admitted.grant,
                  admitted.request,
                  admitted.end,
                  p.pid,
                  p.start,
                  p.control_group,
                  observed};
  if (shared == nullptr) {
    const Status written = register_session(places.sessions, session);
    if (written) return {session_name(session), ""};
    shared = "audit_id_in_use";
    if (written.error().code != Errc::mismatch) return {"", written.error().message};
  }
  session.audit = kNoAuditSession;
  const Status written = register_session(places.sessions, session);
  return written ? Registration{session_name(session), shared} : Registration{"", written.error().message};
}

Verdict without_logind(Verdict verdict, const std::string& why) {
  verdict.decision = Verdict::Decision::deny;
  verdict.why = why;
  verdict.words =
      "hallpass: systemd-logind made no session for this login, so nothing would end it in time.\nThat says nothing "
      "about your grants. Tell those who run this host: systemctl status systemd-logind";
  return verdict;
}

EventRecord registration_event(const std::string& account, const Verdict& admitted, const Registration& done) {
  const bool told_apart = done.why.empty();
  std::string message = "Session " + done.name + " of " + admitted.subject + " on " + account;
  message += told_apart ? " registered under grant " + admitted.grant : " has no audit id of its own: " + done.why;
  EventRecord record(told_apart ? Event::session_registered : Event::session_not_registered, message);
  record.with("ACCOUNT", account).with("SUBJECT", admitted.subject).with("GRANT", admitted.grant);
  return record.with("SESSION", done.name).with("WHY", done.why);
}

}  // namespace hallpass
