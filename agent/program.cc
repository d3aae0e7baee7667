#include "agent/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

namespace hallpass {
namespace {

Error failed(const std::string& what, int error) {
  return {Errc::unavailable, what + ": " + std::strerror(error)};
}

// Holds `limit` bytes and cannot grow: a write beyond them fails. How much was written is the shared offset.
int bounded_memory(std::size_t limit) {
  const int fd = memfd_create("hallpass-program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  if (ftruncate(fd, static_cast<off_t>(limit)) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
    return fd;
  close(fd);
  return -1;
}

int memory_with(const std::string& text) {
  const int fd = memfd_create("hallpass-input", MFD_CLOEXEC);
  std::size_t done = 0;
  while (fd >= 0 && done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) {
      close(fd);
      return -1;
    }
    done += static_cast<std::size_t>(n);
  }
  if (fd >= 0) lseek(fd, 0, SEEK_SET);
  return fd;
}

// False: there was more than fits.
bool take(int fd, std::size_t limit, std::string& text) {
  const off_t written = lseek(fd, 0, SEEK_CUR);
  text.resize(written < 0 ? 0 : std::min(static_cast<std::size_t>(written), limit));
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return written >= 0 && static_cast<std::size_t>(written) < limit;
}

class SpawnSettings {
 public:
  SpawnSettings(int in, int out, int err) {
    sigset_t none, ours;
    sigemptyset(&none);
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);  // ignored by the agent
    ok_ = posix_spawn_file_actions_init(&files_) == 0 && posix_spawnattr_init(&attributes_) == 0 &&
          posix_spawn_file_actions_adddup2(&files_, in, 0) == 0 &&
          posix_spawn_file_actions_adddup2(&files_, out, 1) == 0 &&
          posix_spawn_file_actions_adddup2(&files_, err, 2) == 0 && close_others() &&
          posix_spawnattr_setsigmask(&attributes_, &none) == 0 &&
          posix_spawnattr_setsigdefault(&attributes_, &ours) == 0 &&
          posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0;
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  int spawn(pid_t& pid, const Program& program) const {
    if (!ok_) return ENOMEM;
    std::vector<char*> argv;
    for (const std::string& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char* environment[] = {path, locale, nullptr};
    return posix_spawn(&pid, argv[0], &files_, &attributes_, argv.data(), environment);
  }

 private:
  // All of ours are closed on exec; this is for what the agent may have inherited itself.
  bool close_others() {
#if __GLIBC_PREREQ(2, 34)
    return posix_spawn_file_actions_addclosefrom_np(&files_, 3) == 0;
#else
    return true;
#endif
  }

  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
  bool ok_ = false;
};

}  // namespace

Result<std::unique_ptr<RunningProgram>> RunningProgram::start(const Program& program) {
  std::unique_ptr<RunningProgram> running(new RunningProgram);
  running->output_ = bounded_memory(kMaxProgramOutput);
  running->errors_ = bounded_memory(kMaxProgramErrors);
  const int input = program.input.empty() ? open("/dev/null", O_RDONLY | O_CLOEXEC) : memory_with(program.input);
  if (running->output_ < 0 || running->errors_ < 0 || input < 0) {
    const int error = errno;
    if (input >= 0) close(input);
    return failed("cannot make room for what a program writes", error);
  }
  const int error = SpawnSettings(input, running->output_, running->errors_).spawn(running->pid_, program);
  close(input);
  if (error != 0) return failed("cannot start " + program.argv[0], error);
  return running;
}

RunningProgram::~RunningProgram() {
  if (output_ >= 0) close(output_);
  if (errors_ >= 0) close(errors_);
}

ProgramEnd RunningProgram::collect(int code, int status) const {
  ProgramEnd end;
  end.exited = code == CLD_EXITED;
  end.status = status;
  if (!end.exited) end.fault = "was ended by signal " + std::to_string(status);
  take(errors_, kMaxProgramErrors, end.errors);
  if (!take(output_, kMaxProgramOutput, end.output)) {
    end.exited = false;
    end.fault = "wrote more than " + std::to_string(kMaxProgramOutput) + " bytes";
  }
  return end;
}

ProgramEnd not_in_time() {
  ProgramEnd end;
  end.fault = "did not end within " + std::to_string(kProgramLimit.count()) + " s";
  return end;
}

ProgramEnd run_program(const Program& program, std::chrono::milliseconds limit) {
  const auto started = RunningProgram::start(program);
  if (!started) {
    ProgramEnd end;
    end.fault = started.error().message;
    return end;
  }
  const RunningProgram& running = **started;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(running.pid()), &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      kill(running.pid(), SIGKILL);
      waitid(P_PID, static_cast<id_t>(running.pid()), &info, WEXITED);
      return not_in_time();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return running.collect(info.si_code, info.si_status);
}

}  // namespace hallpass
