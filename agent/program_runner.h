// Runs what the agent wants run, one program after the other, while the event loop goes on.
#pragma once

#include <systemd/sd-event.h>

#include <functional>
#include <memory>

#include "agent/program.h"
#include "agent/sudoers.h"

namespace hallpass {

class ProgramRunner {
 public:
  // `sudo`: who asks for programs; another after a reload. `ended`: called when one has ended or was late.
  ProgramRunner(std::function<SudoDefaults&()> sudo, std::function<void()> ended)
      : sudo_(std::move(sudo)), ended_(std::move(ended)) {}
  ~ProgramRunner();
  ProgramRunner(const ProgramRunner&) = delete;
  ProgramRunner& operator=(const ProgramRunner&) = delete;

  // SIGCHLD must be blocked. `event` must live longer.
  void attach(sd_event* event) { event_ = event; }
  // Starts what is asked for, if nothing runs.
  void run();
  // Who asked for what runs now is gone.
  void abandon() { awaited_ = false; }

 private:
  Status start(const Program& program);
  void forget();
  static int on_end(sd_event_source*, const siginfo_t* info, void* p);
  static int on_late(sd_event_source*, std::uint64_t, void* p);

  std::function<SudoDefaults&()> sudo_;
  std::function<void()> ended_;
  sd_event* event_ = nullptr;
  std::unique_ptr<RunningProgram> program_;
  bool awaited_ = false;  // whoever asked for it may have been told already: it was late
  sd_event_source *end_ = nullptr, *late_ = nullptr;
};

}  // namespace hallpass
