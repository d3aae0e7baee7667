// A program that the agent runs beside its work, without a shell: fixed environment, no descriptor of ours, what it
// writes bounded and kept in memory files, so that nothing has to be read while it runs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxProgramOutput = std::size_t{1024} * 1024;
inline constexpr std::size_t kMaxProgramErrors = std::size_t{16} * 1024;
inline constexpr std::chrono::seconds kProgramLimit{10};

struct Program {
  std::vector<std::string> argv;  // argv[0]: an absolute path
  std::string input;              // its standard input
};

struct ProgramEnd {
  bool exited = false;  // else `fault` says what happened instead
  int status = 0;
  std::string fault;  // "did not end within 10 s", "was ended by signal 9"
  std::string output, errors;
};

class RunningProgram {
 public:
  // Errors: unavailable.
  static Result<std::unique_ptr<RunningProgram>> start(const Program& program);
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  // Waiting for it is the caller's affair, as is killing it.
  pid_t pid() const { return pid_; }
  // What it left, once it has ended: `code` and `status` as in siginfo_t (CLD_EXITED and its exit status, ...).
  ProgramEnd collect(int code, int status) const;

 private:
  RunningProgram() = default;
  pid_t pid_ = -1;
  int output_ = -1, errors_ = -1;
};

// Starts it and waits: for programs without an event loop, and for tests.
ProgramEnd run_program(const Program& program, std::chrono::milliseconds limit = kProgramLimit);
ProgramEnd not_in_time();

}  // namespace hallpass
