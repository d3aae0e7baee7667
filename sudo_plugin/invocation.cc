#include "sudo_plugin/invocation.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "core/values/text.h"
#include "host/paths.h"
#include "host/spoken_time.h"
#include "host/sudo_defaults.h"
#include "sudo_plugin/listing.h"
#include "sudo_plugin/path_check.h"

namespace hallpass {
namespace {

// The plugin interface's minor versions in which the front end learned what a runbook may ask for.
constexpr unsigned kIntercept = SUDO_API_MKVERSION(1, 18);  // sudo 1.9.8

std::string target_of(const Wish& wish) {
  return wish.user + (wish.group.empty() ? "" : ":" + wish.group);
}

std::string exit_words(int type, int status) {
  if (type == SUDO_PLUGIN_WAIT_STATUS) {
    return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : std::to_string(WEXITSTATUS(status));
  }
  return (type == SUDO_PLUGIN_EXEC_ERROR ? "not executed, errno " : "sudo failed, errno ") + std::to_string(status);
}

// Whether the caller left sudo so few descriptors that what is there may look missing. (sudo closes what it inherits.)
bool lacks_descriptors() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 64;
}

// Whether what failed may have failed by limits that the caller set. sudo lifts them where it has the capability.
bool is_limited() {
  for (const int which : {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE}) {
    rlimit limit{};
    if (getrlimit(static_cast<__rlimit_resource_t>(which), &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return true;
  }
  return lacks_descriptors();
}

// While sudo looks at a sub-command the kernel holds it, and lets it run when sudo is killed. So the caller must
// neither be allowed to send sudo signals (his is the real user) nor have set a timer that does.
bool cannot_be_killed_by_caller() {
  const itimerval none{};
  for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    if (setitimer(which, &none, nullptr) != 0) return false;
  }
  return setresuid(0, 0, 0) == 0;
}

}  // namespace

void Invocation::choose(const Vector& settings, const Vector& user_info, int optind, char* const argv[],
                        const char* unfit) noexcept {
  try {
    account_ = user_info.text("user");
    const std::string_view uid = user_info.text("uid");
    const auto [end, error] = std::from_chars(uid.data(), uid.data() + uid.size(), uid_);
    if (error != std::errc{} || end != uid.data() + uid.size() || account_.empty()) return;
    choose_or_throw(settings, optind, argv, unfit);
  } catch (...) {
    give_up_grant();
    starved_ = uid_ != 0 && is_limited();
  }
  starved_ = starved_ || (uid_ != 0 && lacks_descriptors());  // root needs no such trick
}

void Invocation::choose_or_throw(const Vector& settings, int optind, char* const argv[], const char* unfit) {
  abilities_.intercept = api_ >= kIntercept;
  abilities_.trace = settings.text("intercept_ptrace") == "true";
  wish_ = typed_wish(settings, optind, argv);
  if (!wish_.group.empty() && settings.text("runas_user").empty()) wish_.user = account_;  // as sudo reads -g alone
  Result<Session> session = session_of_caller(paths::kSessions, account_, uid_);
  const bool strayed = !session && session.error().code == Errc::mismatch;
  if (!session && !strayed) return session.error().code == Errc::not_found ? void() : degrade(session.error().message);
  if (strayed) no_grants_ = session.error().message;
  if (session) session_ = std::move(*session);
  if (unfit != nullptr) return degrade(unfit);
  const Result<SnapshotReader> store = SnapshotReader::open();
  if (!store) return degrade(store.error().message);
  const std::optional<UnixTime> at = deciding_time(*store, read_clock());
  if (!at) return degrade("the clock is not synchronised yet, and this host's owners ask for that");
  // Also for who left his session by the control group or by su; but root needs no leave.
  standing_denied_ = store->meta().standing_sudo_denied && uid_ != 0;
  if (strayed) return;
  const RootOwnedFiles files;
  search_ = Matcher(wish_, *session_, abilities_, files).search(*store, *at);
  if (search_.damaged > 0) {
    send_event(EventRecord(Event::snapshot_record_skipped, "damaged records in the store of admissions were skipped")
                   .with("ACCOUNT", account_)
                   .with("COUNT", std::to_string(search_.damaged)));
  }
  if (search_.cover) prepare_fragment(*search_.cover);
}

void Invocation::prepare_fragment(const Cover& cover) {
  const Result<std::string> site = read_site_defaults(paths::kSudoDefaults);
  if (!site) return degrade(site.error().message);
  if (!are_whole_defaults(*site)) return degrade("the site's Defaults for sudo are damaged");
  if (const Status written = fragment_.write(fragment_text(*site, uid_, cover, abilities_)); !written)
    return degrade(written.error().message);
  // Before sudoers is open: it goes back to the real user that it finds then.
  if (cover.command.subcommands == Subcommands::check && !cannot_be_killed_by_caller())
    return degrade("sudo cannot become root alone, so nothing that it checks would be held");
  cover_ = cover;
}

// The site's own rules decide, and somebody should look.
void Invocation::degrade(const std::string& why) {
  standing_denied_ = false;
  starved_ = starved_ || (uid_ != 0 && is_limited());
  no_grants_ = why;
  send_event(EventRecord(Event::sudo_degraded, "sudo under grants does not work: " + why)
                 .with("ACCOUNT", account_)
                 .with("WHY", why));
}

void Invocation::do_without(const Vector& user_info, const char* why) {
  account_ = user_info.text("user");
  degrade(why);
}

void Invocation::look_at_fragment() {
  if (!cover_ || fragment_.was_read()) return;
  give_up_grant();
  degrade("sudoers had read its own rules already: does sudoers_audit stand before hallpass_audit in sudo.conf?");
}

void Invocation::give_up_grant() {
  cover_.reset();
  fragment_.close();
  standing_denied_ = false;
}

char** Invocation::options(char* const site[]) {
  options_.clear();
  for (std::size_t i = 0; site != nullptr && site[i] != nullptr; ++i) options_.push_back(site[i]);
  static char no_recovery[] = "error_recovery=false";  // half a fragment is none
  if (cover_) {
    fragment_option_ = "sudoers_file=" + fragment_.path();
    options_.push_back(fragment_option_.data());
    options_.push_back(no_recovery);
  }
  options_.push_back(nullptr);
  return options_.data();
}

const char* Invocation::refuse(std::string why) {
  refusal_ = std::move(why);
  return refusal_.c_str();
}

bool Invocation::admit(bool sub, char* const argv[], char* const env_add[], char** command_info[],
                       char* const run_argv[]) {
  const Vector info(*command_info);
  Wish typed = wish_;
  if (sub) {
    typed.mode = Wish::Mode::run;
    typed.typed = info.text("command");
    typed.environment.clear();
  }
  std::optional<Wish> wish = resolved_wish(typed, info, argv, run_argv);
  const char* source = info.get("source");
  if (source != nullptr && !std::string_view(source).starts_with(fragment_.path())) wish.reset();
  if (!wish) {
    refuse("sudoers answered with something else than the grant's command");
    return false;
  }
  for (std::size_t i = 0; !sub && env_add != nullptr && env_add[i] != nullptr; ++i) {
    wish->environment.emplace_back(env_add[i], std::min(strlen(env_add[i]), strcspn(env_add[i], "=")));
  }
  Authority authority = authorise(*cover_, sub, *wish, info, *session_, abilities_);
  // sudo counts the time in whole seconds from now on: it must not be past the end.
  if (authority.allowed && authority.left <= Seconds{1}) {
    authority.allowed = false;
    authority.why = "grant " + cover_->id + " ends in a moment";
  }
  if (authority.allowed) {
    // Before it runs, or the end might not know of it.
    if (const Status noted = note_grant_used(paths::kSessions, session_->audit, cover_->grant); !noted) {
      authority.allowed = false;
      authority.why = noted.error().message;
    }
  }
  if (!authority.allowed) {
    refuse(authority.why);
    return false;
  }
  cover_->end = authority.cover.end;
  admitted_ = true;
  limit_to(authority, command_info);
  return true;
}

void Invocation::limit_to(const Authority& authority, char** command_info[]) {
  if (kept_.size() > 8) {  // the command's own, and the last few of its sub-commands
    kept_.erase(kept_.begin() + 1);
    kept_vectors_.erase(kept_vectors_.begin() + 1);
  }
  long long left = authority.left.count() - 1;
  std::vector<std::string>& copy = kept_.emplace_back();
  for (std::size_t i = 0; *command_info != nullptr && (*command_info)[i] != nullptr; ++i) {
    const std::string_view item = (*command_info)[i];
    long long limit = 0;
    if (!item.starts_with("timeout=")) {
      copy.emplace_back(item);
    } else if (std::from_chars(item.data() + 8, item.data() + item.size(), limit).ec == std::errc{} && limit > 0) {
      left = std::min(left, limit);
    }
  }
  copy.push_back("timeout=" + std::to_string(left));
  copy.push_back("hallpass_grant=" + authority.cover.id);
  std::vector<char*>& vector = kept_vectors_.emplace_back();
  for (std::string& item : copy) vector.push_back(item.data());
  vector.push_back(nullptr);
  *command_info = vector.data();
}

std::optional<UnixTime> Invocation::now() const {
  const Result<SnapshotReader> store = SnapshotReader::open();
  if (!store) return std::nullopt;
  return deciding_time(*store, read_clock());
}

std::string Invocation::hint() const {
  if (!no_grants_.empty()) return "hallpass: grants do not count here: " + no_grants_;
  const std::optional<UnixTime> at =
      session_ && (wish_.mode != Wish::Mode::none || !wish_.cannot.empty()) ? now() : std::nullopt;
  return at ? not_covered(wish_, search_, account_, *at) : std::string();
}

std::string Invocation::listing() const {
  if (!session_ || !no_grants_.empty()) return {};
  const Result<SnapshotReader> store = SnapshotReader::open();
  if (!store) return {};
  const std::optional<UnixTime> at = deciding_time(*store, read_clock());
  return at ? list_grants(*store, *session_, abilities_, *at) : std::string();
}

std::string Invocation::end_words(int wait_status) const {
  if (!admitted_ || !WIFSIGNALED(wait_status)) return {};
  const UnixTime wall = read_clock().wall;
  if (wall + Seconds{2} < cover_->end) return {};
  return "hallpass: grant " + cover_->id + " (" + cover_->runbook + ") ends at " + clock_of(cover_->end, wall) +
         ": the command was stopped. To ask for more: hallpass request " + cover_->runbook;
}

SudoRecord Invocation::record() const {
  SudoRecord r;
  r.account = account_;
  r.session = session_ ? &*session_ : nullptr;
  r.cover = cover_ ? &*cover_ : nullptr;
  r.target = target_of(wish_);
  return r;
}

void Invocation::tell_accept(const Vector& info, char* const run_argv[]) {
  SudoRecord r = record();
  r.path = info.text("command");
  for (std::size_t i = 0; run_argv != nullptr && run_argv[i] != nullptr; ++i) r.command.emplace_back(run_argv[i]);
  if (const std::string_view user = info.text("runas_user"); !user.empty() && !cover_) r.target = user;
  r.why = cover_ ? "grant" : "standing";
  if (ran_.path.empty()) ran_ = {{r.command.begin(), r.command.end()}, r.path, r.target};
  const std::string who = session_ ? session_->subject + " as " + account_ : account_;
  send_event(sudo_event(Event::sudo_allowed,
                        who + " runs " +
                            spoken(r.path, {r.command.begin() + (r.command.empty() ? 0 : 1), r.command.end()}) +
                            " as " + r.target + (cover_ ? " by grant " + cover_->id : " by the site's own sudo rules"),
                        r, "admit"));
}

std::string Invocation::sudoers_refused() const {
  std::string text = "hallpass: grant " + cover_->id + " covers this, but ";
  if (cover_->command.kind == Command::Kind::shell && wish_.program.empty()) {
    text += "the shell must be one of";
    for (const std::string& shell : shells_of(cover_->command.as_user, uid_)) text += " " + shell;
    return text + " (see $SHELL), or sudo refused it: see above";
  }
  if (!cover_->command.sha256.empty())
    return text + wish_.program + " is not the file with the SHA-256 that it names, or sudo refused it: see above";
  return text + "sudo refused it: see above";
}

void Invocation::checks_sub_command(char* const argv[]) {
  sub_.clear();
  for (; argv != nullptr && *argv != nullptr; ++argv) sub_.emplace_back(*argv);
}

void Invocation::tell_refusal(Event event, const char* why, const Vector& info) const {
  SudoRecord r = record();
  r.why = printable(why == nullptr ? "refused" : why, 500);
  r.path = info.text("command");
  if (!wish_.typed.empty() && wish_.mode != Wish::Mode::edit) r.command.push_back(wish_.typed);
  if (wish_.mode == Wish::Mode::edit) r.command.push_back("sudoedit");
  r.command.insert(r.command.end(), wish_.arguments.begin(), wish_.arguments.end());
  if (!sub_.empty()) r.command.assign(sub_.begin(), sub_.end());
  const std::string who = session_ ? session_->subject + " as " + account_ : account_;
  const std::string what =
      r.command.empty() ? "sudo" : spoken(std::string(r.command[0]), {r.command.begin() + 1, r.command.end()});
  const std::string below = sub_.empty() ? "" : ", started by " + spoken(wish_.program, {}) + ",";
  send_event(sudo_event(event, what + below + " by " + who + " as " + r.target + ": " + r.why, r, "deny"));
}

void Invocation::tell_exit(int type, int status) const {
  if (type == SUDO_PLUGIN_NO_STATUS) return;
  SudoRecord r = record();
  r.exit_status = exit_words(type, status);
  r.why = cover_ ? "grant" : "standing";
  r.path = ran_.path;
  if (!ran_.target.empty()) r.target = ran_.target;
  r.command.assign(ran_.command.begin(), ran_.command.end());
  send_event(
      sudo_event(Event::sudo_ended, "a command that " + account_ + " ran with sudo ended: " + r.exit_status, r, ""));
}

}  // namespace hallpass
