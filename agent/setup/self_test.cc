// Who does what: the caller's process only listens. A keeper, forked and in a session of its own, makes the account,
// starts the worker in its mount namespace and takes everything away again, also when the caller is killed. What is
// left when the keeper is killed too is clean_after_self_test()'s.
#include "agent/setup/self_test.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <thread>

#include "agent/program.h"
#include "agent/setup/self_test_account.h"
#include "agent/setup/self_test_report.h"
#include "agent/setup/self_test_trials.h"
#include "agent/setup/self_test_words.h"
#include "agent/setup/self_test_world.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::chrono::seconds kTestLimit{100}, kLockLimit{20};
constexpr std::size_t kMaxAccountsBytes = std::size_t{64} * 1024 * 1024;

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return Error{Errc::unavailable, std::string("cannot make a pipe: ") + std::strerror(errno)};
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// --- one self-test at a time: the lock is on the directory, and goes with the processes that hold it

Result<Fd> lock_place() {
  const auto deadline = std::chrono::steady_clock::now() + kLockLimit;
  for (;;) {
    mkdir(kSelfTestPlace, 0700);  // nobody else may hold the lock; in the namespace a tmpfs covers it
    Fd place(open(kSelfTestPlace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat held {
    }, named{};
    if (place.get() < 0 || fstat(place.get(), &held) != 0 || held.st_uid != 0)
      return Error{Errc::unavailable, std::string(kSelfTestPlace) + " is not root's directory; remove it"};
    // Whoever had the lock before may have removed it.
    if (flock(place.get(), LOCK_EX | LOCK_NB) == 0 && stat(kSelfTestPlace, &named) == 0 && named.st_ino == held.st_ino)
      return place;
    if (std::chrono::steady_clock::now() >= deadline)
      return Error{Errc::unavailable, "another self-test runs on this host; try again when it has ended"};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

// --- taking away

std::string text_of(const char* path) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxAccountsBytes, true);
  return text ? *text : std::string();
}

// A process of the namespace sees a tmpfs where there is an empty directory for everybody else.
bool is_in_world(pid_t pid, const void*) {
  return text_of(("/proc/" + std::to_string(pid) + "/mountinfo").c_str())
             .find(std::string(" ") + kSelfTestPlace + " ") != std::string::npos;
}

// With the lock held. Returns what is left all the same; empty: nothing.
std::string take_away() {
  const std::string units = std::string(kSelfTestPrefix) + "*.service";
  run_program({{"/usr/bin/systemctl", "stop", units}, {}});
  std::string left = end_processes(is_in_world, nullptr) ? "" : "processes of the self-test do not end";
  for (const std::string& name : throw_aways(text_of("/etc/passwd"), text_of("/etc/group"))) {
    const Status removed = remove_throw_away(name);
    if (!removed) left += (left.empty() ? "" : "; ") + removed.error().message;
  }
  rmdir(kSelfTestPlace);
  return left;
}

// --- the worker, in the namespace

void work(int out, pid_t keeper, const ThrowAway& who, const Changes& changes, const Wanted& wanted) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) return;
  setpgid(0, 0);
  umask(022);
  const ProgramEnd root_sudo = wanted.sudo ? run_program({{"/usr/bin/sudo", "-n", "true"}, {}}) : ProgramEnd{};
  Result<TestWorld> world = TestWorld::enter(changes, who);
  if (!world) {
    report_fault(out, world.error().message);
    return;
  }
  Trials(*world, wanted, root_sudo, [&](const Trial& trial) { report_trial(out, trial); }).run();
  report_done(out);
}

// --- the keeper

// Until the worker has ended, or the caller has gone or wants no more.
void wait_for(pid_t worker, int caller, int worker_lives) {
  const auto deadline = std::chrono::steady_clock::now() + kTestLimit;
  pollfd watched[] = {{caller, POLLIN, 0}, {worker_lives, POLLIN, 0}};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = left.count() <= 0 ? 0 : poll(watched, 2, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    break;
  }
  kill(-worker, SIGKILL);
  kill(worker, SIGKILL);
  while (waitpid(worker, nullptr, 0) < 0 && errno == EINTR) continue;
}

void keep(int out, int caller, const Changes& changes, const Wanted& wanted) {
  Result<Fd> place = lock_place();
  if (!place) return report_fault(out, place.error().message);
  if (const std::string left = take_away(); !left.empty())
    return report_fault(out, "of an earlier self-test is left: " + left);
  place = lock_place();  // take_away removed it
  if (!place) return report_fault(out, place.error().message);
  const auto who = make_throw_away(new_self_test_name(), kSelfTestHome);
  auto lives = make_pipe();
  if (!who || !lives) {
    report_fault(out, !who ? who.error().message : lives.error().message);
    take_away();
    return;
  }
  const pid_t keeper = getpid(), worker = fork();
  if (worker == 0) {
    lives->read.reset();
    try {
      work(out, keeper, *who, changes, wanted);
    } catch (const std::exception& e) {
      report_fault(out, std::string("the self-test failed inside: ") + e.what());
    }
    _exit(0);
  }
  lives->write.reset();
  if (worker < 0) report_fault(out, std::string("the self-test cannot start: ") + std::strerror(errno));
  if (worker > 0) wait_for(worker, caller, lives->read.get());
  if (const std::string left = take_away(); !left.empty()) report_fault(out, left);
  report_end(out);
}

// A signal for the caller's terminal must not reach who cleans up after it.
[[noreturn]] void be_keeper(int out, int caller, const Changes& changes, const Wanted& wanted) {
  setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_IGN);
  const int null = open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) dup2(null, fd);
  try {
    keep(out, caller, changes, wanted);
  } catch (const std::exception& e) {
    report_fault(out, std::string("the self-test failed inside: ") + e.what());
  }
  _exit(0);
}

// --- the caller

volatile std::sig_atomic_t caught_signal = 0;

// While a test runs a signal only ends it; what it would have done it does afterwards.
class HeldSignals {
 public:
  HeldSignals() {
    caught_signal = 0;
    struct sigaction note {};
    note.sa_handler = [](int number) { caught_signal = number; };
    for (std::size_t i = 0; i < std::size(kHeld); ++i) sigaction(kHeld[i], &note, &before_[i]);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() {
    for (std::size_t i = 0; i < std::size(kHeld); ++i) sigaction(kHeld[i], &before_[i], nullptr);
    if (caught_signal != 0) raise(caught_signal);
  }

 private:
  static constexpr int kHeld[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction before_[3]{};
};

Status can_be_made(const Layout& layout) {
  if (!layout.root.empty()) return Error{Errc::unavailable, "a self-test is of the host itself, not of " + layout.root};
  if (geteuid() != 0) return Error{Errc::unavailable, "a self-test needs root: sudo hallpass host self-test"};
  for (const char* program : {"/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/sbin/useradd",
                              "/usr/sbin/userdel", "/usr/bin/systemd-run", "/usr/bin/systemctl", "/usr/bin/nsenter"}) {
    if (access(program, X_OK) != 0)
      return Error{Errc::unavailable, std::string("a self-test needs ") + program + ", which is not there; install it"};
  }
  for (const char* directory : {"/run/hallpass", "/var/lib/hallpass", "/run/systemd/system"}) {
    if (access(directory, F_OK) != 0)
      return Error{Errc::unavailable,
                   std::string(directory) + " is missing: start hallpass-agent first, under systemd"};
  }
  return Unit{};
}

}  // namespace

Result<std::vector<Trial>> self_test(const Layout& layout, const Changes& changes, const Wanted& wanted,
                                     const std::function<void(const Trial&)>& told) {
  if (const Status can = can_be_made(layout); !can) return can.error();
  auto results = make_pipe(), caller = make_pipe();
  if (!results || !caller) return Error{Errc::unavailable, "the self-test cannot make pipes"};
  const HeldSignals held;
  const pid_t keeper = fork();
  if (keeper < 0) return Error{Errc::unavailable, std::string("the self-test cannot start: ") + std::strerror(errno)};
  if (keeper == 0) {
    results->read.reset();
    caller->write.reset();
    be_keeper(results->write.get(), caller->read.get(), changes, wanted);
  }
  results->write.reset();
  ReportReader reader(told);
  char bytes[4096];
  for (;;) {
    const ssize_t got = read(results->read.get(), bytes, sizeof bytes);
    if (caught_signal != 0) caller->write.reset();  // the keeper goes home, and we wait for it
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    reader.take({bytes, static_cast<std::size_t>(got)});
  }
  while (waitpid(keeper, nullptr, 0) < 0 && errno == EINTR) continue;
  if (caught_signal != 0) return Error{Errc::unavailable, "the self-test was interrupted; nothing of it is left"};
  return reader.finish();
}

void clean_after_self_test(const Layout& layout) {
  if (!layout.root.empty() || geteuid() != 0) return;
  const bool nothing =
      access(kSelfTestPlace, F_OK) != 0 && throw_aways(text_of("/etc/passwd"), text_of("/etc/group")).empty();
  if (nothing) return;
  const Result<Fd> place = lock_place();
  if (place) take_away();
}

}  // namespace hallpass
