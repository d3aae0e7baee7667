// Registers a process as a session by hand, for tests of what reads the registry without a login: a record as
// pam_hallpass.so (post) writes it, for the audit session that the process is in.
#include <cstdio>
#include <cstdlib>

#include "host/key_record.h"
#include "host/session.h"

int main(int argc, char** argv) {
  using namespace hallpass;  // NOLINT(google-build-using-namespace): a program of one file
  if (argc != 6) {
    std::fputs("usage: make_session DIRECTORY PID ACCOUNT UID SUBJECT\n", stderr);
    return 2;
  }
  Session s;
  s.leader = static_cast<pid_t>(std::strtol(argv[2], nullptr, 10));
  const auto audit = audit_session(s.leader);
  if (!audit) {
    std::fputs("make_session: that process is in no audit session\n", stderr);
    return 1;
  }
  s.audit = *audit;
  s.logind = std::to_string(*audit);
  s.account = argv[3];
  s.uid = static_cast<uid_t>(std::strtoul(argv[4], nullptr, 10));
  s.subject = argv[5];
  s.leader_start = process_start(s.leader);
  s.control_group = control_group(s.leader);
  const Status done = register_session(argv[1], s);
  if (!done) std::fprintf(stderr, "make_session: %s\n", done.error().message.c_str());
  if (done) std::printf("%u\n", s.audit);
  return done ? 0 : 1;
}
