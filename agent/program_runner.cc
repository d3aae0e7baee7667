#include "agent/program_runner.h"

#include <sys/wait.h>

#include <csignal>
#include <utility>

namespace hallpass {

ProgramRunner::~ProgramRunner() {
  forget();
}

void ProgramRunner::run() {
  SudoDefaults& sudo = sudo_();
  if (program_) {
    if (awaited_ && sudo.outdated()) kill(program_->pid(), SIGKILL);
    return;
  }
  while (const std::optional<Program> program = sudo.next()) {
    const Status started = start(*program);
    if (started) return;
    ProgramEnd end;
    end.fault = started.error().message;
    sudo.ended(end);
  }
}

Status ProgramRunner::start(const Program& program) {
  auto started = RunningProgram::start(program);
  if (!started) return started.error();
  const pid_t pid = (*started)->pid();
  const std::uint64_t limit_us = static_cast<std::uint64_t>(kProgramLimit.count()) * 1'000'000;
  if (sd_event_add_child(event_, &end_, pid, WEXITED, on_end, this) < 0 ||
      sd_event_add_time_relative(event_, &late_, CLOCK_MONOTONIC, limit_us, 0, on_late, this) < 0) {
    forget();
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return Error{Errc::unavailable, "cannot wait for " + program.argv[0]};
  }
  program_ = std::move(*started);
  awaited_ = true;
  return Unit{};
}

void ProgramRunner::forget() {
  program_.reset();
  end_ = sd_event_source_disable_unref(end_);
  late_ = sd_event_source_disable_unref(late_);
}

int ProgramRunner::on_end(sd_event_source*, const siginfo_t* info, void* p) {
  ProgramRunner& runner = *static_cast<ProgramRunner*>(p);
  const ProgramEnd end = runner.program_->collect(info->si_code, info->si_status);
  if (std::exchange(runner.awaited_, false)) runner.sudo_().ended(end);
  runner.forget();
  runner.ended_();
  return 0;
}

// Told now, for a process that waits for a dead disk ends no sooner when it is killed.
int ProgramRunner::on_late(sd_event_source*, std::uint64_t, void* p) {
  ProgramRunner& runner = *static_cast<ProgramRunner*>(p);
  kill(runner.program_->pid(), SIGKILL);
  if (std::exchange(runner.awaited_, false)) runner.sudo_().ended(not_in_time());
  runner.ended_();
  return 0;
}

}  // namespace hallpass
