// pam_hallpass.so: the C boundary, and what each of PAM's phases does. docs/architecture.md, "Login"; pam_hallpass(8).
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>
#include <unistd.h>

#include <cstring>

#include "host/key_record.h"
#include "host/paths.h"
#include "pam/auth_info.h"
#include "pam/exempt.h"
#include "pam/login.h"
#include "pam/options.h"
#include "pam/post.h"
#include "pam/words.h"

namespace hallpass {
namespace {

enum class Phase { account, session };

std::string item(pam_handle_t* pamh, int which) {
  const void* value = nullptr;
  return pam_get_item(pamh, which, &value) == PAM_SUCCESS && value != nullptr ? static_cast<const char*>(value) : "";
}

// The other end chooses its host name, in a way: letters, digits and what addresses have.
std::string remote_host(pam_handle_t* pamh) {
  std::string host = item(pamh, PAM_RHOST).substr(0, 255);
  for (char& c : host) {
    if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:%_-", c) == nullptr) c = '?';
  }
  return host;
}

Login what_is_known(pam_handle_t* pamh, Phase phase, const std::string& account, bool* readable) {
  Login login;
  login.account = account;
  login.session = phase == Phase::session;
  const char* text = pam_getenv(pamh, "SSH_AUTH_INFO_0");
  const AuthInfo info = parse_auth_info(text == nullptr ? "" : text);
  login.keys = info.keys;
  // In the account phase sshd has usually told nothing yet; then what hallpass-keys recorded about this process says
  // which key.
  *readable = info.readable || (!login.session && (text == nullptr || *text == '\0'));
  if (!login.session && info.keys.empty()) login.offered = read_key_record(paths::kOffers, getpid(), account);
  return login;
}

Verdict judge(pam_handle_t* pamh, Phase phase, const std::string& account) {
  Verdict verdict;
  bool readable = false;
  const Login login = what_is_known(pamh, phase, account, &readable);
  if (!readable) {
    verdict.why = "auth_info_unreadable";
    verdict.words = "hallpass: sshd did not tell in a known form how this login was proved";
    return verdict;
  }
  const auto store = SnapshotReader::open();
  if (store) return decide(*store, read_clock(), login);
  verdict.why = store.error().message;
  verdict.words = store_words(verdict.why);
  send_event(EventRecord(Event::snapshot_unusable, verdict.why).with("ACCOUNT", account).with("WHY", verdict.why));
  return verdict;
}

// pam_systemd makes it RuntimeMaxSec of the session's scope, two seconds late: the agent acts first. Plain digits, or
// it would silently mean "no limit".
int hand_over_limit(pam_handle_t* pamh, Seconds left) {
  char* text = strdup(std::to_string(left.count() + 2).c_str());
  if (text == nullptr) return PAM_PERM_DENIED;
  return pam_set_data(pamh, "systemd.runtime_max_sec", text, [](pam_handle_t*, void* data, int) { free(data); });
}

int answer(pam_handle_t* pamh, Phase phase, const Options& options, const std::string& account,
           const Verdict& verdict) {
  const bool admitted = verdict.decision == Verdict::Decision::admit;
  const std::string rhost = remote_host(pamh);
  if (verdict.damaged > 0) {
    send_event(EventRecord(Event::snapshot_record_skipped, "damaged records in the store of admissions were skipped")
                   .with("ACCOUNT", account)
                   .with("COUNT", std::to_string(verdict.damaged)));
  }
  if (!admitted) {
    send_event(
        login_event(options.observe ? Event::login_would_refuse : Event::login_refused, account, rhost, verdict));
    if (options.observe) return PAM_SUCCESS;
    pam_error(pamh, "%s", verdict.words.c_str());
    return PAM_PERM_DENIED;
  }
  if (phase == Phase::account) {
    if (verdict.sure) pam_info(pamh, "%s", verdict.words.c_str());
    return PAM_SUCCESS;
  }
  send_event(login_event(Event::login_admitted, account, rhost, verdict));
  return options.observe || hand_over_limit(pamh, verdict.left) == PAM_SUCCESS ? PAM_SUCCESS : PAM_PERM_DENIED;
}

// Directly after pam_systemd: decides again, demands that logind keeps the session, and registers it. The agent
// publishes first and reads the registry second; this registers first and reads the snapshot second. So an admission
// that goes at this moment is seen by one of them.
int post(pam_handle_t* pamh, const Options& options, const std::string& account) {
  Verdict verdict = judge(pamh, Phase::session, account);
  if (verdict.decision != Verdict::Decision::admit)  // watching only, the line before has told
    return options.observe ? PAM_SUCCESS : answer(pamh, Phase::session, options, account, verdict);
  const struct passwd* user = pam_modutil_getpwnam(pamh, account.c_str());
  const uid_t uid = user == nullptr ? static_cast<uid_t>(-1) : user->pw_uid;  // which no session has
  const char* logind = pam_getenv(pamh, "XDG_SESSION_ID");
  const Registration done =
      register_login({}, this_process(), verdict, account, uid, logind ? logind : "", options.observe);
  if (done.name.empty()) return answer(pamh, Phase::session, options, account, without_logind(verdict, done.why));
  const Verdict again = judge(pamh, Phase::session, account);
  if (again.decision != Verdict::Decision::admit) {
    if (!options.observe) unregister_session(paths::kSessions, done.name);
    return answer(pamh, Phase::session, options, account, again);
  }
  send_event(registration_event(account, verdict, done));
  return PAM_SUCCESS;
}

int run(pam_handle_t* pamh, Phase phase, int argc, const char** argv) {
  Options options = parse_options(argc, argv);
  if (options.post && phase == Phase::account) options.unknown = "post";
  if (!options.serves(item(pamh, PAM_SERVICE))) return PAM_IGNORE;
  const std::string account = item(pamh, PAM_USER);
  if (account.empty()) return PAM_PERM_DENIED;
  if (in_exempt_group(account, options.exempt_group)) {
    if (phase == Phase::session && !options.post) {
      send_event(
          EventRecord(Event::login_exempt, "Login to " + account + " by the exempt group " + options.exempt_group)
              .with("ACCOUNT", account)
              .with("RHOST", remote_host(pamh)));
    }
    return PAM_SUCCESS;
  }
  if (!options.unknown.empty()) {
    send_event(EventRecord(Event::module_misconfigured, "unknown option of pam_hallpass.so: " + options.unknown)
                   .with("WHY", options.unknown));
    pam_error(pamh, "hallpass: pam_hallpass.so is misconfigured on this host. Tell those who run it.");
    return PAM_PERM_DENIED;
  }
  // Watching is done where enforcing would decide; the account phase only has the better place for words.
  if (options.observe && phase == Phase::account) return PAM_SUCCESS;
  if (options.post) return post(pamh, options, account);
  return answer(pamh, phase, options, account, judge(pamh, phase, account));
}

// Nothing unwinds into C; a fault answers "no".
template <class F>
int guard(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    try {
      send_event(EventRecord(Event::login_fault, "pam_hallpass.so failed inside and refused a login"));
    } catch (...) {  // NOLINT(bugprone-empty-catch): already saying no
    }
    return PAM_PERM_DENIED;
  }
}

}  // namespace
}  // namespace hallpass

#define HALLPASS_EXPORT extern "C" __attribute__((visibility("default")))

HALLPASS_EXPORT int pam_sm_authenticate(pam_handle_t*, int, int, const char**) {
  return PAM_IGNORE;
}
// sshd ignores a failing setcred after publickey: nothing is decided here.
HALLPASS_EXPORT int pam_sm_setcred(pam_handle_t*, int, int, const char**) {
  return PAM_IGNORE;
}

HALLPASS_EXPORT int pam_sm_acct_mgmt(pam_handle_t* pamh, int, int argc, const char** argv) {
  return hallpass::guard([&] { return hallpass::run(pamh, hallpass::Phase::account, argc, argv); });
}

HALLPASS_EXPORT int pam_sm_open_session(pam_handle_t* pamh, int, int argc, const char** argv) {
  return hallpass::guard([&] { return hallpass::run(pamh, hallpass::Phase::session, argc, argv); });
}

// The session's record stays: its processes are still running now, and what ends them must know whose they are.
HALLPASS_EXPORT int pam_sm_close_session(pam_handle_t*, int, int, const char**) {
  return hallpass::guard([] {
    hallpass::remove_key_record(hallpass::paths::kOffers, getpid());
    return PAM_SUCCESS;
  });
}
