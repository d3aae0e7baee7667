#include "pam/post.h"

#include <unistd.h>

#include "host/key_record.h"
#include "host/paths.h"
#include "host/small_file.h"

namespace hallpass {
namespace {

// Does the file of logind's session say this, once? Its form is logind's own: lines KEY=VALUE, values escaped.
bool says(const std::string& file, const std::string& line) {
  const std::string lines = "\n" + file, key = "\n" + line.substr(0, line.find('=') + 1);
  const auto at = lines.find(key);
  return at != std::string::npos && at == lines.rfind(key) && lines.find("\n" + line + "\n", at) == at;
}

// pam_systemd says only what it was told; logind's own file, and the kernel, say what is so.
const char* not_confirmed(const PostPlaces& places, const LoginProcess& p, bool own_audit_id, uid_t uid,
                          const std::string& logind) {
  const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  if (logind.empty() || logind.find_first_not_of(letters) != std::string::npos) return "no_logind_session";
  const auto file = read_small_file(places.logind + "/" + logind, Keeper::us);
  if (!file || !says(*file, "LEADER=" + std::to_string(p.pid)) || !says(*file, "UID=" + std::to_string(uid)))
    return "logind_session_of_another";
  if (own_audit_id && !says(*file, "AUDIT=" + std::to_string(*p.audit))) return "logind_audit_id_differs";
  return p.control_group.ends_with("/session-" + logind + ".scope") ? nullptr : "not_in_session_scope";
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

PostPlaces::PostPlaces() : sessions(paths::kSessions), logind("/run/systemd/sessions") {}

Registration register_login(const PostPlaces& places, const LoginProcess& p, const Verdict& admitted,
                            const std::string& account, uid_t uid, const std::string& logind) {
  const char* shared = not_its_own(p);
  if (const char* why = not_confirmed(places, p, shared == nullptr, uid, logind)) return {false, std::nullopt, why};
  if (shared != nullptr) return {true, std::nullopt, shared};
  const Status written =
      register_session(places.sessions, {*p.audit, logind, admitted.subject, account, uid, admitted.grant,
                                         admitted.request, admitted.end, p.pid, p.start, p.control_group});
  if (written) return {true, p.audit, ""};
  return {true, std::nullopt, written.error().code == Errc::mismatch ? "audit_id_in_use" : written.error().message};
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
  const std::string session = done.audit ? std::to_string(*done.audit) : "";
  std::string message = "Session " + session + (session.empty() ? "of " : " of ") + admitted.subject + " on " + account;
  message += done.audit ? " registered under grant " + admitted.grant : " not registered: " + done.why;
  EventRecord record(done.audit ? Event::session_registered : Event::session_not_registered, message);
  record.with("ACCOUNT", account).with("SUBJECT", admitted.subject).with("GRANT", admitted.grant);
  return record.with("SESSION", session).with("WHY", done.why);
}

}  // namespace hallpass
