// A host that reads a log's mirror and a drop directory.
#pragma once

#include "tests/unit/agent/mirror.h"

namespace hallpass::testing {

struct LogHost : TestHost {
  TestLog log;
  explicit LogHost(bool require = false, bool deny = false) {
    config.directories = {};
    config.mirror = "/mirror";
    config.drop = "/drop";
    fleet.log = log.trust();
    fleet.log->require_log = require;
    fleet.log->deny_when_stale = deny;
    for (const char* d : {"/mirror", "/mirror/policies", "/drop"}) demand(mkdir((dir.path() + d).c_str(), 0700) == 0);
    fleet.put_policy(mirror() + "/policies");
  }
  std::string mirror() const { return dir.path() + "/mirror"; }
  std::string drop() const { return dir.path() + "/drop"; }
  void publish() {
    log.write(mirror(), clock.wall);
    if (agent) run();
  }
  void minute() {
    clock.pass(60);
    agent->minute();
    run();
  }
  std::uint64_t size() const { return agent->log()->position().frontier.size(); }
  // A request of alice, and an approval of it by bob.
  Request granted() {
    const Request r = fleet.request("alice", "login", clock.wall);
    log.add(TestFleet::line("alice", r));
    log.add(TestFleet::line("bob", TestFleet::decision(r, "bob", true, clock.wall)));
    return r;
  }
};

}  // namespace hallpass::testing
