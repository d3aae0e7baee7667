// hallpass-drop: what sshd runs for the account hallpass-drop, whatever the client asks for. hallpass-drop(8).
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <string>

#include "agent/drop/inbox.h"
#include "agent/drop/stream.h"
#include "agent/drop/talk.h"
#include "core/values/text.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace): a program of one file
using namespace hallpass::drop;  // NOLINT(google-build-using-namespace)
using std::chrono::seconds;

constexpr char kInbox[] = "/var/lib/hallpass-drop/in";
// From the start of the program. Whatever is stuck, the kernel ends it at the last of them.
constexpr seconds kReadBy{20}, kStoreBy{24}, kAnswerBy{28}, kKilledAt{30};
constexpr seconds kAgentTime{5};

enum class Exit {
  taken = 0,        // and read by the agent
  refused = 1,      // no statements, too many, or no room
  usage = 2,        // not run as sshd runs it
  unavailable = 3,  // the directory cannot be used
  late = 4,         // what was handed in did not end in time
  waiting = 5,      // safely written; the agent has not read it yet
};

void give_up_core_dumps_and_descriptors() {
  umask(077);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  // 0, 1 and 2 must be something, or a file of ours would become one of them.
  for (int fd = open("/dev/null", O_RDWR); fd >= 0; fd = open("/dev/null", O_RDWR)) {
    if (fd <= STDERR_FILENO) continue;
    close(fd);
    break;
  }
  close_range(3, ~0U, 0);
}

// Signals as they are in a fresh process, whatever was inherited: the alarm must kill.
void set_alarm() {
  std::signal(SIGALRM, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  alarm(static_cast<unsigned>(kKilledAt.count()));
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? printable(name) : "this host";
}

std::string counted(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

std::string words_for(const Documents& d) {
  if (d.proofs.empty()) return counted(d.statements.size(), "statement");
  if (d.statements.empty()) return counted(d.proofs.size(), "proof");
  return counted(d.statements.size(), "statement") + " and " + counted(d.proofs.size(), "proof");
}

struct Outcome {
  Exit exit = Exit::taken;
  std::string words;
};

Outcome refused(const Error& error, Exit otherwise) {
  const bool theirs = error.code != Errc::unavailable && error.code != Errc::not_found;
  return {theirs ? Exit::refused : otherwise, error.message};
}

Outcome hand_in(Clock::time_point started) {
  const auto text = read_to_end(STDIN_FILENO, kMaxStreamBytes, started + kReadBy);
  if (!text) return refused(text.error(), Exit::late);
  const auto documents = split_stream(*text);
  if (!documents) return refused(documents.error(), Exit::refused);
  auto inbox = Inbox::open(kInbox);
  if (!inbox) return {Exit::unavailable, inbox.error().message};
  const auto names = inbox->store(*documents, started + kStoreBy);
  if (!names) return refused(names.error(), Exit::unavailable);
  const std::size_t left = inbox->await_taken(*names, std::min(Clock::now() + kAgentTime, started + kAnswerBy));
  if (left == 0) return {Exit::taken, host_name() + " took " + words_for(*documents)};
  return {Exit::waiting,
          host_name() + " has " + words_for(*documents) + "; the agent has not read them yet; they wait"};
}

int run(int argc, const std::string& asked_for) {
  const auto started = Clock::now();
  openlog("hallpass-drop", LOG_PID, LOG_AUTHPRIV);
  Outcome outcome{Exit::usage, "takes no arguments: sshd runs it; to hand grants in, `hallpass carry HOST ID`"};
  if (geteuid() == 0) {
    outcome.words = "does not run as root, for its files would be root's; log in as hallpass-drop";
  } else if (argc == 1) {
    outcome = hand_in(started);
  }
  const bool done = outcome.exit == Exit::taken || outcome.exit == Exit::waiting;
  syslog(done ? LOG_INFO : LOG_NOTICE, "%s%s%s", done ? "" : "refused: ", outcome.words.c_str(),
         asked_for.empty() ? "" : (" (the client asked for: " + asked_for + ")").c_str());
  say(done ? STDOUT_FILENO : STDERR_FILENO, (done ? "" : "hallpass-drop: ") + outcome.words + "\n",
      std::max(started + kAnswerBy, Clock::now()));
  return static_cast<int>(outcome.exit);
}

}  // namespace

int main(int argc, char**) {
  try {
    give_up_core_dumps_and_descriptors();
    set_alarm();
    const char* command = std::getenv("SSH_ORIGINAL_COMMAND");
    const std::string asked_for = command == nullptr ? "" : printable(command, 80);
    clearenv();
    return run(argc, asked_for);
  } catch (const std::exception&) {
    return static_cast<int>(Exit::unavailable);
  }
}
