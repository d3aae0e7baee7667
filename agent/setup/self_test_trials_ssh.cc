// The trials of logins.
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "agent/setup/self_test_trials.h"
#include "agent/setup/self_test_words.h"
#include "agent/setup/sshd_config.h"

namespace hallpass {
namespace {

constexpr char kKeysCommand[] = "/usr/libexec/hallpass/hallpass-keys";
constexpr char kOwnDropIn[] = "/etc/ssh/sshd_config.d/hallpass.conf";
constexpr char kPamtester[] = "/usr/bin/pamtester";

// "sshd -T says usepam no, wanted is yes.", and which line of which file says so first.
std::string other_than_wanted(std::string_view keyword, const std::string& is, const std::string& wanted) {
  std::string text = "sshd -T says \"" + std::string(keyword) + " " + is + "\"; it must be \"" + wanted + "\".";
  const auto lines = lines_with(read_sshd_lines(), keyword);
  if (lines.empty() || lines.front().file == kOwnDropIn)
    return text + " Is \"Include /etc/ssh/sshd_config.d/*.conf\" near the top of /etc/ssh/sshd_config?";
  text += " Of several lines sshd takes the first; remove this one, or let its file sort after hallpass.conf:";
  return text + "\n  " + lines.front().where() + ": " + lines.front().keyword + " " + lines.front().value;
}

// What PAM and its modules told the journal meanwhile: sshd's own log does not have it.
std::string words_of_pam(std::time_t since) {
  run_program({{"/usr/bin/journalctl", "--sync"}, {}});
  const ProgramEnd end = run_program(
      {{"/usr/bin/journalctl", "-q", "--no-pager", "-o", "cat", "-n", "200", "--since=@" + std::to_string(since),
        "SYSLOG_IDENTIFIER=sshd", "+", "SYSLOG_IDENTIFIER=sshd-session", "+", "SYSLOG_IDENTIFIER=pamtester"},
       {}});
  return cited(lines_naming(end.output, {"PAM ", "pam_"}), 4);
}

void add_words(std::string& text, const std::string& of, const std::string& words) {
  if (!words.empty()) text += "\n" + of + ":\n" + words;
}

}  // namespace

std::string Trials::accepts_configuration() {
  make_sshd_directory();
  const ProgramEnd end = run_program({{"/usr/sbin/sshd", "-t"}, {}});
  if (end.exited && end.status == 0) return "";
  return "sshd would not start again: sshd -t " + words_of(end) + "\nCorrect what it names.";
}

void Trials::ssh_settings() {
  attempt("sshd accepts its configuration", {&ssh_}, [&] { return accepts_configuration(); });
  attempt("sshd asks PAM about every login", {&ssh_}, [&]() -> std::string {
    const auto read = SshdSettings::read(world_.who().name);
    if (!read) return read.error().message;
    settings_ = *read;
    if (settings_.is("usepam", "yes")) return "";
    return other_than_wanted("usepam", std::string(settings_.get("usepam")), "yes") +
           "\nWithout PAM nothing of hallpass is asked.";
  });
  if (wanted_.mode != Mode::enforce) return;
  attempt("sshd takes keys from hallpass alone", {&ssh_}, [&] { return settings_of_account(false); });
  attempt("sshd leaves the exempt group its key files", {&ssh_}, [&] { return settings_of_account(true); });
}

std::string Trials::settings_of_account(bool exempt) {
  if (Status done = world_.exempt(exempt); !done) return done.error().message;
  const auto settings = SshdSettings::read(world_.who().name);
  [[maybe_unused]] const Status back = world_.exempt(false);  // said again by the trials that need it
  if (!settings) return settings.error().message;
  const std::string files(settings->get("authorizedkeysfile")), command(settings->get("authorizedkeyscommand"));
  if (exempt) {
    if (files.find(".ssh/authorized_keys") != std::string::npos) return "";
    return other_than_wanted("authorizedkeysfile", files, ".ssh/authorized_keys") +
           "\nThat is for members of the group " + world_.exempt_group() +
           ", who would not get in when hallpass cannot answer.";
  }
  if (files != "none") return other_than_wanted("authorizedkeysfile", files, "none");
  if (!command.starts_with(std::string(kKeysCommand) + " "))
    return other_than_wanted("authorizedkeyscommand", command, std::string(kKeysCommand) + " %u %f %t %k");
  if (!settings->is("authorizedkeyscommanduser", "root"))
    return other_than_wanted("authorizedkeyscommanduser", std::string(settings->get("authorizedkeyscommanduser")),
                             "root");
  return "";
}

void Trials::pam_stack() {
  constexpr char kName[] = "PAM's account lines for sshd let an account pass";
  if (access(kPamtester, X_OK) != 0)
    return skip(kName, "pamtester is not installed; the logins below go through the same lines");
  attempt(kName, {&ssh_}, [&]() -> std::string {
    if (Status done = world_.store(true); !done) return done.error().message;
    const std::time_t began = std::time(nullptr);
    const ProgramEnd end = run_program({{kPamtester, "sshd", world_.who().name, "acct_mgmt"}, {}});
    if (end.exited && end.status == 0) return "";
    std::string text = "/etc/pam.d/sshd, or a file that it includes, refuses everybody: pamtester " + words_of(end);
    add_words(text, "the journal", words_of_pam(began));
    return text;
  });
}

void Trials::second_sshd() {
  attempt("a second sshd starts with these files", {&ssh_}, [&]() -> std::string {
    std::string type = acceptable_key_type(settings_.get("pubkeyacceptedalgorithms"));
    if (type.empty()) type = "ed25519";  // that sshd is told to accept it
    if (Status done = world_.make_key(type); !done) return done.error().message;
    auto started = TestSshd::start(world_, wanted_.mode, settings_);
    if (!started) return started.error().message;
    sshd_ = std::move(*started);
    for (const std::string& line : sshd_->set_aside())
      note_ += (note_.empty() ? "set aside for the throw-away account:\n  " : "\n  ") + line;
    return "";
  });
}

std::string Trials::told(const ProgramEnd& login, const std::string& what) const {
  std::string text = what, said = login.errors + login.output;
  const auto mark = said.find(std::string(kInMark) + "\n");
  if (mark != std::string::npos) said.erase(mark, sizeof kInMark);
  if (!login.exited)
    text += "\nssh " + login.fault + ": something that is run for a login hangs, or waits for a network.";
  add_words(text, login.exited ? "ssh ended with " + std::to_string(login.status) : "ssh", cited(said));
  if (sshd_ && mark == std::string::npos) add_words(text, "sshd", cited(sshd_->log()));
  return text;
}

std::string Trials::must_be_in(const std::string& what_failed) {
  const std::time_t began = std::time(nullptr);
  const ProgramEnd login = sshd_->login("true");
  if (outcome_of(login) == LoginOutcome::in) return "";
  std::string text = told(login, what_failed);
  add_words(text, "the journal", words_of_pam(began));
  return text;
}

std::string Trials::must_be_out(LoginOutcome wanted, const std::string& what_failed) {
  const ProgramEnd login = sshd_->login("true");
  const LoginOutcome outcome = outcome_of(login);
  if (outcome == wanted || (wanted == LoginOutcome::refused && outcome == LoginOutcome::told_no)) return "";
  return told(login, what_failed);
}

void Trials::enforced_logins() {
  attempt("a login under a grant is admitted", {&ssh_}, [&] {
    const Status done = world_.store(true);
    return done ? must_be_in("Nobody would get in by a grant.") : done.error().message;
  });
  attempt("a login without a grant is refused, with a sentence", {&ssh_}, [&] {
    const Status done = world_.store(false);
    return done ? must_be_out(LoginOutcome::told_no,
                              "A login without a grant should be refused by a line \"hallpass: …\".")
                : done.error().message;
  });
  attempt("with a damaged store the exempt group gets in", {&ssh_}, [&] {
    Status done = world_.damage_store();
    if (done) done = world_.exempt(true);
    return done ? must_be_in("Members of the group " + world_.exempt_group() +
                             " are the way back when hallpass cannot answer, and would not get in by their key files.")
                : done.error().message;
  });
  attempt("with a damaged store nobody else gets in", {&ssh_}, [&] {
    Status done = world_.damage_store();
    if (done) done = world_.exempt(false);
    return done ? must_be_out(LoginOutcome::refused,
                              "A login should be refused while the store of admissions is damaged.")
                : done.error().message;
  });
}

void Trials::observed_logins() {
  attempt("a login without a grant is let in", {&ssh_}, [&] {
    const Status done = world_.store(false);
    return done ? must_be_in(
                      "Who only observes must refuse nobody. Do all three lines of pam_hallpass.so in "
                      "/etc/pam.d/sshd say mode=observe?")
                : done.error().message;
  });
  attempt("a login is let in when the store is damaged", {&ssh_}, [&] {
    const Status done = world_.damage_store();
    return done ? must_be_in("Who only observes must refuse nobody, whatever hallpass's own files are like.")
                : done.error().message;
  });
}

}  // namespace hallpass
