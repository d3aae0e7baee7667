// The end of one session, step by step, until it is proven that nothing is left of it.
//
//   at once       its terminals are told
//   after 30 ms   sshd has carried the words; logind is asked to end it (SIGTERM and SIGHUP to its whole control group)
//   after 200 ms  SIGKILL to the whole control group at once; from then on, again and again, to whatever still carries
//                 the session's audit id, wherever it has gone
//   proven        the control group is empty or gone, no process carries the audit id, logind does not list it
//
// What sits in a system service's control group is left alone and named: it may be a daemon that was restarted by hand.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/session_host.h"
#include "host/session.h"

namespace hallpass {

class SessionEnding {
 public:
  SessionEnding(Session session, SessionHost& host);

  // Does what is due. True: proven, nothing is left.
  bool step();
  // When to call step() again, in time since boot.
  Milliseconds next() const { return next_; }
  Milliseconds began() const { return began_; }

  std::size_t killed() const { return killed_.size(); }  // one by one, after the control group was
  // Of system services: found since the last call.
  std::vector<Process> take_left_alone();
  // What still stands in the way, for people: "process 4711 (dd, waits for a disk)", "logind lists it".
  std::string remains();

 private:
  std::vector<Process> strays(bool outside_only = false);
  bool proven();
  bool kill_strays(bool group_killed);

  Session session_;
  SessionHost& host_;
  Milliseconds began_, next_;
  Milliseconds pause_{10};
  bool asked_ = false, killing_ = false;
  std::set<std::pair<pid_t, std::uint64_t>> killed_, spared_;
  std::vector<Process> left_alone_;
};

// Of a system service: "/system.slice/nginx.service", and what it has below.
bool in_system_service(std::string_view group);

}  // namespace hallpass
