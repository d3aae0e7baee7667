// The last step of a login, after pam_systemd: logind must confirm the session, and it enters the registry of sessions
// (docs/architecture.md, "Sessions").
#pragma once

#include <sys/types.h>

#include "host/session.h"
#include "pam/login.h"

namespace hallpass {

// What is true of the sshd process that the session begins with. Audit ids: nullopt where the kernel has set none.
struct LoginProcess {
  pid_t pid = 0;
  std::string start, control_group;
  std::optional<std::uint32_t> audit, of_sshd, of_init;
};
LoginProcess this_process();

struct PostPlaces {
  std::string sessions, logind, scopes;
  PostPlaces();  // /run/hallpass/sessions, /run/systemd/sessions, /run/systemd/transient
};

struct Registration {
  std::string name;  // of the record; empty: the login must be refused, nothing would keep its end
  std::string why;   // a word why there is none, or why it tells the session from no other by its audit id
};

// `admitted`: the verdict that let in. `logind`: XDG_SESSION_ID as pam_systemd left it.
Registration register_login(const PostPlaces& places, const LoginProcess& process, const Verdict& admitted,
                            const std::string& account, uid_t uid, const std::string& logind, bool observed);

// The refusal, in words, of a login that was admitted but is not confirmed.
Verdict without_logind(Verdict admitted, const std::string& why);
// The journal's entry about a confirmed one.
EventRecord registration_event(const std::string& account, const Verdict& admitted, const Registration& done);

}  // namespace hallpass
