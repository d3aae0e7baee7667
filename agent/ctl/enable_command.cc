#include "agent/ctl/enable_command.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "agent/ctl/preconditions.h"
#include "agent/ctl/session_commands.h"
#include "agent/ctl/way_back.h"
#include "agent/setup/activation.h"
#include "agent/setup/host_services.h"
#include "agent/setup/impact.h"
#include "agent/setup/self_test.h"
#include "core/edge/files.h"
#include "core/values/text.h"
#include "host/events.h"

namespace hallpass {
namespace {

constexpr Seconds kLeastWithin{30}, kMostWithin{3600};

struct Typed {
  bool observe = false, sudo = false, dry_run = false, no_exempt = false, json = false, at_boot = false;
  std::string within = "5m";
};

// Ctrl-C and a lost terminal wait until the files are in a state that has a name.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigemptyset(&held_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) sigaddset(&held_, number);
    sigprocmask(SIG_BLOCK, &held_, &before_);
    signal(SIGPIPE, SIG_IGN);
  }
  ~SignalsHeld() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  // Somebody wants it to stop. A lost terminal alone is no wish: whoever lost it may come back and confirm.
  bool stop_wanted() const {
    sigset_t waiting;
    sigpending(&waiting);
    return sigismember(&waiting, SIGINT) == 1 || sigismember(&waiting, SIGTERM) == 1 ||
           sigismember(&waiting, SIGQUIT) == 1;
  }

 private:
  sigset_t held_{}, before_{};
};

int not_root() {
  return complain("this is for root: put sudo before it");
}

std::string words_of(const Wanted& wanted) {
  return std::string(to_string(wanted.mode)) + (wanted.sudo ? ", with sudo" : "");
}

void say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void show_trial(const Trial& trial) {
  std::printf("  %-7s %5.1f s  %s\n",
              trial.skipped  ? "skipped"
              : trial.passed ? "ok"
                             : "FAILED",
              trial.seconds, trial.name.c_str());
  if (!trial.detail.empty()) std::printf("%s\n", trial.detail.c_str());
  std::fflush(stdout);
}

bool passes_self_test(const Layout& layout, const Changes& changes, const Wanted& wanted) {
  if (!layout.root.empty()) return true;
  say("\nTrying it, where nobody else sees it:\n");
  const Result<std::vector<Trial>> trials = self_test(layout, changes, wanted, show_trial);
  if (!trials) {
    complain("the trial could not be made: " + trials.error().message + ". Nothing was changed");
    return false;
  }
  for (const Trial& trial : *trials) {
    if (trial.passed || trial.skipped) continue;
    complain("the self-test failed, so nothing was changed: cure what it says and try again");
    return false;
  }
  return true;
}

// What somebody who was killed left: gone before anything new begins.
bool take_up_interrupted(const Layout& layout, const ActivationState& state, bool dry_run) {
  if (!activation_interrupted(layout)) return true;
  if (dry_run) {
    complain(
        "an earlier change of this host was interrupted (" + words_of(state.now) +
        "), which enable would take back first: `hallpass host way-back` does so. Nothing was changed (--dry-run)");
    return false;
  }
  say("An earlier change of this host was interrupted (" + words_of(state.now) + "): taking it back first.\n");
  return run_way_back(layout, "it was interrupted") == kFine;
}

bool may_begin(const Layout& layout, ActivationState& state, bool dry_run) {
  Result<ActivationState> found = read_activation(layout);
  if (found && !take_up_interrupted(layout, *found, dry_run)) return false;
  if (found) found = read_activation(layout);
  if (!found) {
    complain(found.error().message);
    return false;
  }
  state = *found;
  if (!state.pending) return true;
  complain(words_of(state.now) + " waits to be confirmed until " + format_time(state.deadline) +
           ": `hallpass host confirm` from a new login, or `hallpass host disable`. Then enable again");
  return false;
}

// Shows what is going to happen. False: it must not.
bool show_and_judge(const Layout& layout, const Wanted& wanted, const Changes& changes, bool no_exempt) {
  const std::shared_ptr<const Policy> policy = policy_in_force(layout);
  if (const Result<Impact> impact = judge_impact(layout, policy.get())) {
    say(show_impact(*impact));
  } else {
    complain("who will be refused cannot be told: " + impact.error().message);
    if (layout.root.empty()) return false;
  }
  say("\nThese files change:\n\n" + show_changes(changes));
  bool clear = true;
  for (const std::string& obstacle : obstacles(layout, wanted, no_exempt)) {
    complain(obstacle);
    clear = false;
  }
  if (!clear) complain("nothing was changed");
  return clear;
}

std::string what_to_type(const ActivationState& state, Seconds within) {
  std::array<char, 65> name{};
  gethostname(name.data(), name.size() - 1);
  return "\nhallpass: " + words_of(state.now) + ", until " + format_time(state.deadline) + " (" +
         format_duration(within) + "). Then this host goes back to " + words_of(state.before) +
         " by itself, unless you confirm.\n\nLeave this session open. In another window log in ANEW (no multiplexed "
         "connection) and type:\n\n    ssh -o ControlPath=none " +
         printable(name.data(), 64) + "\n    sudo hallpass host confirm\n\nTo " +
         (state.before.mode == Mode::off ? "go back at once" : "switch all of hallpass off at once") +
         ": hallpass host disable\n";
}

// Everything in the way of `why`: back, at once.
int back_at_once(const Layout& layout, const std::string& why) {
  complain(why + ". Going back at once");
  return run_way_back(layout, why) == kFine
             ? complain("everything is as before")
             : complain(
                   "going back failed, too. It is tried again every minute: `journalctl -u hallpass-way-back`, "
                   "docs/troubleshooting.md");
}

Status put_in_force(const Layout& layout, const Changes& changes, const SignalsHeld& signals) {
  if (const Status reloaded = reload_services(layout, changes); !reloaded) return reloaded;
  if (const Status answers = sshd_answers(layout); !answers) return answers;
  if (signals.stop_wanted()) return Error{Errc::unavailable, "you asked to stop"};
  return mark_activation_done(layout);
}

int apply(const Layout& layout, const Changes& changes, const Wanted& wanted, Seconds within) {
  const SignalsHeld signals;
  if (const Status answers = sshd_answers(layout); !answers)
    return complain(answers.error().message + ". Nothing was changed");
  if (const Status armed = arm_way_back(layout, within); !armed)
    return complain("the way back cannot be armed: " + armed.error().message + ". Nothing was changed");
  if (const Status applied = apply_changes(layout, changes, wanted, within); !applied) {
    (void)keep_way_back(layout);
    return complain(applied.error().message);
  }
  if (const Status done = put_in_force(layout, changes, signals); !done)
    return back_at_once(layout, done.error().message);
  const Result<ActivationState> state = read_activation(layout);
  if (!state) return back_at_once(layout, state.error().message);
  publish_activation(layout);
  report(layout, EventRecord(Event::activation_started, "hallpass: " + words_of(state->now) + ", to be confirmed")
                     .with("WHY", words_of(state->before) + " -> " + words_of(state->now))
                     .with("EXPIRES", format_time(state->deadline)));
  say(what_to_type(*state, within));
  return kFine;
}

int run_enable(const Layout& layout, const Typed& typed) {
  if (layout.root.empty() && geteuid() != 0) return not_root();
  const Result<Seconds> within = parse_duration(typed.within);
  if (!within || *within < kLeastWithin || *within > kMostWithin) {
    complain("--within takes 30s to 1h, such as 5m");
    return kUsage;
  }
  const EnableTurn turn(layout);
  if (!turn.taken()) return complain("another `hallpass host enable` runs on this host: wait until it has ended");
  ActivationState state;
  if (!may_begin(layout, state, typed.dry_run)) return kWrong;
  const Wanted wanted{typed.observe ? Mode::observe : Mode::enforce, typed.sudo || state.now.sudo};
  const Result<Changes> changes = plan_changes(layout, wanted);
  if (!changes) return complain(changes.error().message);
  if (changes->empty()) {
    say("There is nothing to do: hallpass is switched on here, " + words_of(wanted) + ".\n");
    return kFine;
  }
  if (!show_and_judge(layout, wanted, *changes, typed.no_exempt)) return kWrong;
  if (typed.dry_run) {
    say("\nNothing was changed or tried (--dry-run).\n");
    return kFine;
  }
  if (!passes_self_test(layout, *changes, wanted)) return kWrong;
  return apply(layout, *changes, wanted, *within);
}

// Only somebody who came in by what is to be confirmed can tell that it works.
std::string not_a_new_login(const ActivationState& state) {
  const std::string cure =
      ". Log in by ssh anew, beside this session, and type it there (`ssh -o ControlPath=none ...`)";
  const Result<CallerSession> session = caller_session();
  if (!session) return session.error().message + cure;
  if (session->service != "sshd")
    return "session " + printable(session->id, 40) + " is of " + printable(session->service, 40) +
           ", which says nothing about ssh" + cure;
  if (session->boot_ms < state.done_boot_ms)
    return "this login is older than the change: its connection came in before" + cure;
  return "";
}

int run_confirm(const Layout& layout) {
  if (layout.root.empty() && geteuid() != 0) return not_root();
  const Result<ActivationState> state = read_activation(layout);
  if (!state) return complain(state.error().message);
  if (!state->pending) return complain("nothing waits to be confirmed: " + words_of(state->now));
  if (way_back_due(*state)) return complain("the time is over: this host is going back. Enable again");
  if (layout.root.empty()) {
    if (const std::string why = not_a_new_login(*state); !why.empty()) return complain("not confirmed: " + why);
  }
  const SignalsHeld signals;
  if (const Status confirmed = confirm_activation(layout); !confirmed)
    return complain("not confirmed: " + confirmed.error().message);
  (void)keep_way_back(layout);
  publish_activation(layout);
  report(layout, EventRecord(Event::activation_confirmed, "hallpass: " + words_of(state->now) + ", confirmed")
                     .with("WHY", words_of(state->now)));
  say("Confirmed: " + words_of(state->now) + ".\n");
  return kFine;
}

int run_disable(const Layout& layout, const Typed& typed) {
  if (layout.root.empty() && geteuid() != 0) return not_root();
  const SignalsHeld signals;
  std::vector<std::string> told;
  const Status done = typed.sudo ? deactivate_sudo(layout, told) : deactivate(layout, told);
  for (const std::string& line : told) say(line + "\n");
  const Status reloaded = typed.sudo ? Status(Unit{}) : reload_or_restart(layout);
  if (done && !typed.sudo) (void)keep_way_back(layout);
  if (!typed.sudo) clean_after_self_test(layout);
  publish_activation(layout);
  if (!done) return complain(done.error().message + ". The other files are done; cure that and type it again");
  report(layout, EventRecord(Event::activation_ended,
                             typed.sudo ? "hallpass was taken out of sudo" : "hallpass was switched off")
                     .with("WHY", ended_words(told)));
  if (!reloaded)
    return complain("the files are as before, but sshd still has the old configuration: " + reloaded.error().message);
  say(typed.sudo ? "sudo goes by the site's own rules.\n"
                 : "hallpass is switched off: logins and sudo go by the site's own rules.\n");
  return kFine;
}

// A package of sshd's or somebody's editor may have taken hallpass out again.
void say_what_differs(const Layout& layout, const ActivationState& state) {
  if ((layout.root.empty() && geteuid() != 0) || state.pending) return;
  const Result<Changes> changes = plan_changes(layout, state.now);
  if (!changes) return;
  for (const FileChange& change : *changes)
    say(change.path +
        " is not as that needs it: `hallpass host enable --dry-run` shows what differs, `hallpass host "
        "check` what it means\n");
}

int run_activation(const Layout& layout, bool as_json) {
  const Result<ActivationState> state = read_activation_or_published(layout);
  if (!state) return complain(state.error().message);
  if (as_json) {
    say(activation_json(*state));
    return kFine;
  }
  say(words_of(state->now) + (to_unix(state->since) == 0 ? "" : ", since " + format_time(state->since)) + "\n");
  if (state->pending)
    say("Not confirmed yet: goes back to " + words_of(state->before) + " at " + format_time(state->deadline) +
        " unless `hallpass host confirm` is typed from a new login.\n");
  say_what_differs(layout, *state);
  return kFine;
}

int run_self_test(const Layout& layout, const Typed& typed) {
  if (geteuid() != 0) return not_root();
  const Wanted wanted{typed.observe ? Mode::observe : Mode::enforce, typed.sudo};
  const Result<Changes> changes = plan_changes(layout, wanted);
  if (!changes) return complain(changes.error().message);
  return passes_self_test(layout, *changes, wanted) ? kFine : kWrong;
}

}  // namespace

void add_enable_commands(CLI::App& app, const Layout& layout, int& code) {
  const auto typed = std::make_shared<Typed>();
  CLI::App* enable = app.add_subcommand("enable", "switch hallpass on; goes back by itself unless it is confirmed");
  enable->add_flag("--observe", typed->observe, "refuse nobody, write what would be refused");
  enable->add_flag("--sudo", typed->sudo, "sudo, too");
  enable->add_flag("--dry-run", typed->dry_run, "show what would change, and change nothing");
  enable->add_flag("--no-exempt", typed->no_exempt, "although nobody is in the exempt group");
  enable->add_option("--within", typed->within, "time to confirm, 30s to 1h")->type_name("TIME")->capture_default_str();
  enable->callback([&layout, &code, typed] { code = run_enable(layout, *typed); });
  CLI::App* confirm = app.add_subcommand("confirm", "it works: typed in a new login");
  confirm->callback([&layout, &code] { code = run_confirm(layout); });
  CLI::App* disable = app.add_subcommand("disable", "back to the files as they were before hallpass");
  disable->add_flag("--sudo", typed->sudo, "only sudo's");
  disable->callback([&layout, &code, typed] { code = run_disable(layout, *typed); });
  CLI::App* activation = app.add_subcommand("activation", "what is switched on here");
  activation->add_flag("--json", typed->json, "as JSON");
  activation->callback([&layout, &code, typed] { code = run_activation(layout, typed->json); });
  CLI::App* trial = app.add_subcommand("self-test", "try what enable would do, and change nothing");
  trial->add_flag("--observe", typed->observe, "as enable --observe");
  trial->add_flag("--sudo", typed->sudo, "as enable --sudo");
  trial->callback([&layout, &code, typed] { code = run_self_test(layout, *typed); });
  CLI::App* back = app.add_subcommand("way-back", "for systemd")->group("");
  back->add_flag("--at-boot", typed->at_boot, "as without it");
  back->callback([&layout, &code] { code = run_way_back(layout); });
}

}  // namespace hallpass
