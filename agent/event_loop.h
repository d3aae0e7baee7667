// The agent's event loop on sd-event: what wakes it, and nothing else does.
//
//   files       inotify on the directories, and a look at everything once a minute
//   time        the start or end of the next window, to the second
//   clock       a wall clock that was set (timerfd, cancelled by the kernel)
//   people      the control socket; SIGHUP, SIGTERM
//   modules     the event socket
//   sudo        inotify on the files of sudoers, and the end of a program that takes them over
//   trouble     a failed write to try again, journal entries that journald did not take
#pragma once

#include <functional>
#include <memory>

#include "agent/agent.h"
#include "agent/alerts.h"

namespace hallpass {

struct LoopHooks {
  // A new agent after SIGHUP; nullptr: the configuration is refused (told already), the old one goes on.
  std::function<std::unique_ptr<Agent>()> reload;
};

// Runs until SIGTERM or SIGINT. Returns the exit code.
int run_event_loop(std::unique_ptr<Agent> agent, const Layout& layout, AlertingJournal& journal,
                   const AlertQueue& queue, const LoopHooks& hooks);

}  // namespace hallpass
