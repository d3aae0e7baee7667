#include "agent/ctl/session_commands.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "agent/ctl/ask.h"
#include "agent/ctl/session_lines.h"
#include "core/values/text.h"
#include "host/clock.h"

namespace hallpass {
namespace {

constexpr std::chrono::milliseconds kLook{100};
constexpr int kLooks = 60;

Result<Json> ask(const Layout& layout, const std::string& command) {
  const Result<std::string> answer = ask_agent(layout.control_socket(), command);
  if (!answer) return answer.error();
  return parse_json(*answer);
}

// instead: what serves while there is no agent.
int complain_of_agent(const Error& error, const std::string& instead) {
  return complain(error.message + (error.code == Errc::mismatch ? "" : "\n" + instead));
}

int only_root() {
  return complain("only root may do that: sudo hallpass host ...");
}

bool agreed(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string answer;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) answer += static_cast<char>(c);
  return answer == "y" || answer == "Y" || answer == "yes" || answer == "Yes";
}

bool registered(const Json& sessions, const std::string& name) {
  const Json* list = sessions.find("sessions");
  if (list == nullptr || list->as_array() == nullptr) return true;
  return std::any_of(list->as_array()->begin(), list->as_array()->end(),
                     [&](const Json& s) { return member_text(s, "session") == name; });
}

}  // namespace

int run_time(const Layout& layout, bool as_json) {
  const Result<Json> answer = ask(layout, "time");
  if (!answer) return complain_of_agent(answer.error(), "What your grants allow and how long, without it: sudo -l");
  std::fputs((as_json ? to_pretty_json(*answer) : time_lines(*answer, read_clock().wall)).c_str(), stdout);
  return kFine;
}

int run_done(const Layout& layout, bool yes) {
  const Result<Json> facts = ask(layout, "time");
  if (!facts)
    return complain_of_agent(facts.error(), "To end your access without it: leave this session, and hallpass revoke");
  if (!yes && (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)) {
    complain("there is no terminal to ask on; run this again with --yes");
    return kUsage;
  }
  if (!yes && !agreed(done_question(*facts))) return complain("you said no; nothing has changed");
  // Said first: afterwards nobody may be there to hear it.
  std::fputs(done_lines(*facts).c_str(), stdout);
  std::fflush(stdout);
  const Result<Json> answer = ask(layout, "done");
  return answer ? kFine : complain("that failed: " + answer.error().message);
}

int run_sessions(const Layout& layout, bool as_json) {
  if (geteuid() != 0) return only_root();
  const Result<Json> answer = ask(layout, "sessions");
  if (!answer) return complain(answer.error().message);
  const std::string lines = session_lines(*answer, read_clock().wall);
  if (!as_json && lines.empty()) std::fputs("no sessions under a grant\n", stderr);
  std::fputs((as_json ? to_pretty_json(*answer) : lines).c_str(), stdout);
  return kFine;
}

int run_end(const Layout& layout, const std::string& session, const std::string& reason) {
  if (geteuid() != 0) return only_root();
  if (session.empty() || session.find(' ') != std::string::npos) {
    complain("\"" + printable(session, 40) + "\" is no session; those that there are: hallpass host sessions");
    return kUsage;
  }
  if (const Status fine = check_text(reason); !fine) {
    complain("--reason: " + fine.error().message);
    return kUsage;
  }
  const Result<Json> answer = ask(layout, "end " + session + (reason.empty() ? "" : " " + reason));
  if (!answer) return complain(answer.error().message);
  const std::string name = member_text(*answer, "session");
  const std::string whose =
      "session " + name + " of " + member_text(*answer, "subject") + " on " + member_text(*answer, "account");
  for (int i = 0; i < kLooks; ++i) {
    const Result<Json> now = ask(layout, "sessions");
    if (!now) return complain(now.error().message);
    if (!registered(*now, name)) {
      std::printf("%s is over\n", whose.c_str());
      const Json* grants = answer->find("grants");
      if (grants != nullptr && grants->as_array() != nullptr && !grants->as_array()->empty())
        std::printf("%s may log in again; against that: hallpass revoke ID, on any machine with the directory\n",
                    member_text(*answer, "subject").c_str());
      return kFine;
    }
    std::this_thread::sleep_for(kLook);
  }
  return complain(whose + " is not over yet; the agent goes on, and says in the journal what stands in the way");
}

}  // namespace hallpass
