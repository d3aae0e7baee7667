// The trials of sudo.
#include "agent/setup/self_test_trials.h"
#include "agent/setup/self_test_words.h"

namespace hallpass {
namespace {

constexpr char kSudo[] = "/usr/bin/sudo";

bool says(const ProgramEnd& end, std::string_view words) {
  return end.output.find(words) != std::string::npos || end.errors.find(words) != std::string::npos;
}

}  // namespace

void Trials::sudo_of_root() {
  attempt("sudo of root works as before", {&sudo_}, [&]() -> std::string {
    const ProgramEnd now = run_program({{kSudo, "-n", "true"}, {}});
    if (now.exited && root_sudo_.exited && now.status == root_sudo_.status) {
      if (now.status != 0) note_ = "it fails, as before: sudo -n true " + words_of(now);
      return "";
    }
    return "With the changed /etc/sudo.conf nobody could use sudo any more, root neither: sudo -n true " +
           words_of(now) + "\nBefore: it " + words_of(root_sudo_);
  });
  attempt("sudo loads hallpass's plugin", {&sudo_}, [&]() -> std::string {
    const ProgramEnd end = run_program({{kSudo, "-V"}, {}});
    if (end.exited && end.status == 0 && says(end, "hallpass sudo plugin version")) return "";
    return "sudo -V does not name it; does /etc/sudo.conf have the lines of /usr/share/hallpass/sudo/sudo.conf? It " +
           words_of(end);
  });
}

// Sites may ask for a terminal (Defaults requiretty), which people have.
ProgramEnd Trials::in_session(const std::string& command) {
  ProgramEnd end = sshd_->login(command, needs_terminal_);
  if (needs_terminal_ || !says(end, "must have a tty")) return end;
  needs_terminal_ = true;
  return sshd_->login(command, true);
}

void Trials::sudo_under_grant() {
  const std::vector<Chain*> chains = {&sudo_, &ssh_};
  attempt("sudo lists what a grant allows", chains, [&]() -> std::string {
    Status done = world_.store(true);
    if (done) done = world_.exempt(false);
    if (!done) return done.error().message;
    const ProgramEnd end = in_session("sudo -n -l");
    // On its output: a login tells of its grant, too.
    if (end.output.find(world_.grant()) != std::string::npos) return "";
    return told(end, "`sudo -l` in a session under a grant does not show the grant.");
  });
  attempt("sudo runs what a grant allows", chains, [&]() -> std::string {
    const ProgramEnd end = in_session("sudo -n /usr/bin/id -u");
    if (end.exited && end.status == 0 && says(end, "\n0")) return "";
    return told(end, "`sudo id -u` was to run as root, under a grant that names it.");
  });
  attempt("sudo refuses what no grant allows", chains, [&]() -> std::string {
    const ProgramEnd end = in_session("sudo -n /usr/bin/id -g");
    if (end.exited && end.status != 0 && says(end, "no grant of yours covers")) return "";
    return told(end, "`sudo id -g` was to be refused: the grant names id -u only.");
  });
}

}  // namespace hallpass
