#include "cli/process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>

extern char** environ;

namespace hallpass::cli {
namespace {

constexpr std::size_t kMaxOutput = std::size_t{1024} * 1024;

std::string error_words(int number) {
  return std::generic_category().message(number);
}

class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    sigset_t interrupts;
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    sigaddset(&interrupts, SIGQUIT);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &interrupts);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

// While the child owns the terminal, Ctrl-C is for it.
class IgnoreInterrupts {
 public:
  IgnoreInterrupts() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGINT, &ignore, &old_int_);
    sigaction(SIGQUIT, &ignore, &old_quit_);
  }
  ~IgnoreInterrupts() {
    sigaction(SIGINT, &old_int_, nullptr);
    sigaction(SIGQUIT, &old_quit_, nullptr);
  }
  IgnoreInterrupts(const IgnoreInterrupts&) = delete;
  IgnoreInterrupts& operator=(const IgnoreInterrupts&) = delete;

 private:
  struct sigaction old_int_ {};
  struct sigaction old_quit_ {};
};

std::string drain(int fd) {
  std::string out;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;
    // Keep reading past the limit, or the child would block on a full pipe.
    if (out.size() < kMaxOutput) out.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A file in memory that holds `input`, read from its beginning: unlike a pipe it cannot fill up while the child fills
// another. -1 with errno.
int memory_file(std::string_view input) {
  const int fd = memfd_create("hallpass-input", MFD_CLOEXEC);
  while (fd >= 0 && !input.empty()) {
    const ssize_t n = write(fd, input.data(), input.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      close(fd);
      return -1;
    }
    input.remove_prefix(static_cast<std::size_t>(n));
  }
  if (fd >= 0) lseek(fd, 0, SEEK_SET);
  return fd;
}

// Closes what it holds at the end of scope.
class Owned {
 public:
  ~Owned() { reset(); }
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace

Result<Finished> run(const std::vector<std::string>& argv, Streams streams, std::string_view input) {
  std::vector<char*> pointers;
  for (const std::string& word : argv) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);

  const IgnoreInterrupts ignore;
  SpawnSetup setup;
  Owned in, out, child_out;
  if (streams == Streams::fed) {
    in.reset(memory_file(input));
    if (in.get() < 0) return Error{Errc::unavailable, "cannot make a file in memory: " + error_words(errno)};
    posix_spawn_file_actions_adddup2(&setup.actions, in.get(), STDIN_FILENO);
  }
  if (streams == Streams::terminal) {
    posix_spawn_file_actions_adddup2(&setup.actions, STDERR_FILENO, STDOUT_FILENO);
  } else {
    std::array<int, 2> fds{-1, -1};
    if (pipe2(fds.data(), O_CLOEXEC) != 0) return Error{Errc::unavailable, "cannot make a pipe: " + error_words(errno)};
    out.reset(fds[0]);
    child_out.reset(fds[1]);
    posix_spawn_file_actions_adddup2(&setup.actions, child_out.get(), STDOUT_FILENO);
  }
  if (streams == Streams::captured) {
    posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&setup.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, pointers[0], &setup.actions, &setup.attributes, pointers.data(), environ);
  child_out.reset();
  if (failed != 0) return Error{Errc::unavailable, fmt::format("cannot run {}: {}", argv[0], error_words(failed))};
  Finished finished;
  if (out.get() >= 0) finished.output = drain(out.get());
  out.reset();
  finished.status = wait_for(pid);
  return finished;
}

Result<TemporaryDirectory> TemporaryDirectory::create() {
  int last = ENOENT;
  for (const char* name : {"XDG_RUNTIME_DIR", "TMPDIR", ""}) {
    const char* value = *name == '\0' ? "/tmp" : std::getenv(name);
    if (value == nullptr || *value != '/') continue;
    std::string path = std::string(value) + "/hallpass-XXXXXX";
    if (mkdtemp(path.data()) != nullptr) return TemporaryDirectory(std::move(path));
    last = errno;
  }
  return Error{Errc::unavailable, "cannot make a temporary directory: " + error_words(last)};
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace hallpass::cli
