#include "notify/command.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace hallpass {
namespace {

// A file, not a pipe: a program that does not read it keeps nobody waiting.
Descriptor memory_with(const std::string& text) {
  Descriptor fd(memfd_create("hallpass-document", MFD_CLOEXEC));
  if (!fd.ok() || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      lseek(fd.get(), 0, SEEK_SET) != 0) {
    return Descriptor();
  }
  return fd;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_for(const QueuedDocument& document) {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) out.emplace_back(*entry);
  out.push_back("HALLPASS_ALERT_ID=" + document.head.id);
  out.push_back("HALLPASS_ALERT_EVENT=" + document.head.event);
  return out;
}

// In a process group of its own, with our signals and without our descriptors. Returns errno.
int spawn(pid_t& pid, const std::vector<std::string>& argv, const std::vector<std::string>& environment, int input) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  if (posix_spawn_file_actions_init(&files) != 0) return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&files);
    return ENOMEM;
  }
  sigset_t none, ours;
  sigemptyset(&none);
  sigemptyset(&ours);
  sigaddset(&ours, SIGPIPE);
  int error = posix_spawn_file_actions_adddup2(&files, input, 0) | posix_spawn_file_actions_adddup2(&files, 2, 1);
#if __GLIBC_PREREQ(2, 34)
  error |= posix_spawn_file_actions_addclosefrom_np(&files, 3);  // libcurl's may lack O_CLOEXEC
#endif
  error |= posix_spawnattr_setsigmask(&attributes, &none) | posix_spawnattr_setsigdefault(&attributes, &ours);
  error |=
      posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  if (error == 0) {
    error =
        posix_spawn(&pid, argv[0].c_str(), &files, &attributes, pointers(argv).data(), pointers(environment).data());
  }
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

}  // namespace

Command::~Command() {
  if (pid_ < 0) return;
  kill_all();
  waitpid(pid_, nullptr, 0);
}

void Command::kill_all() const {
  if (kill(-pid_, SIGKILL) != 0) kill(pid_, SIGKILL);
}

Status Command::begin(const QueuedDocument& document, Moment now) {
  const Descriptor input = memory_with(document.json);
  if (!input.ok()) return Error{Errc::unavailable, "no memory for its input"};
  const int error = spawn(pid_, argv_, environment_for(document), input.get());
  if (error != 0) {
    pid_ = -1;
    return Error{Errc::unavailable, "it cannot be run: " + std::generic_category().message(error)};
  }
  late_ = false;
  deadline_ = now + limit_;
  return Unit{};
}

std::optional<Outcome> Command::outcome(Moment now) {
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0) {
    if (now < deadline_) return std::nullopt;
    kill_all();
    late_ = true;
    deadline_ = now + Seconds{1};  // a process that waits for a dead disk ends later
    return std::nullopt;
  }
  pid_ = -1;
  const auto failed = [](std::string why) { return Outcome{Outcome::Kind::failed, std::move(why), std::nullopt}; };
  if (late_) return failed("it did not end within " + format_duration(limit_));
  if (ended < 0) return failed("its end was not seen");
  if (WIFSIGNALED(status)) return failed("signal " + std::to_string(WTERMSIG(status)) + " ended it");
  const int code = WEXITSTATUS(status);
  if (code == 0) return Outcome{Outcome::Kind::delivered, "", std::nullopt};
  Outcome outcome = failed("it ended with status " + std::to_string(code));
  if (code == EX_DATAERR) outcome.kind = Outcome::Kind::refused;
  return outcome;
}

}  // namespace hallpass
