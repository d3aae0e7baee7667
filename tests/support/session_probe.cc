// Set-user-id root on a test host: who the caller is by the registry of sessions, as sudo would ask. `session_probe ID`
// (root): the record itself.
#include <pwd.h>
#include <unistd.h>

#include <cstdio>

#include "core/values/bytes.h"
#include "host/paths.h"
#include "host/session.h"

int main(int argc, char** argv) {
  const passwd* user = getpwuid(getuid());
  if (user == nullptr) return 2;
  const std::string dir = hallpass::paths::kSessions;
  const auto session = argc > 1 && getuid() == 0 ? hallpass::read_session(dir, argv[1])
                                                 : hallpass::session_of_caller(dir, user->pw_name, getuid());
  if (!session) {
    std::printf("none: %s\n", session.error().message.c_str());
    return 1;
  }
  const auto& s = *session;
  std::printf("audit=%u logind=%s subject=%s account=%s uid=%u grant_id=%s grant=%s end=%lld leader=%d group=%s\n",
              s.audit, s.logind.c_str(), s.subject.c_str(), s.account.c_str(), static_cast<unsigned>(s.uid),
              s.grant_id.c_str(), hallpass::hex_encode(s.grant.bytes).c_str(),
              static_cast<long long>(hallpass::to_unix(s.end)), static_cast<int>(s.leader), s.control_group.c_str());
  return 0;
}
