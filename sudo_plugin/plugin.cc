// hallpass_sudo.so: the C boundary. Two plugins that wrap those of the distribution's sudoers.so: hallpass_audit, which
// sudo opens first and which therefore chooses the authority, and hallpass_policy. docs/architecture.md, "sudo";
// hallpass_sudo(8); sudo_plugin(5).
#include <dlfcn.h>
#include <sys/stat.h>

#include "sudo_plugin/invocation.h"
#include "sudo_plugin/sudoers.h"

#define HALLPASS_EXPORT extern "C" __attribute__((visibility("default")))

HALLPASS_EXPORT policy_plugin hallpass_policy;
HALLPASS_EXPORT audit_plugin hallpass_audit;

namespace hallpass {
namespace {

// sudo is one call and one thread. Never destroyed: sudo reads what was handed to it until its end.
Invocation* call = nullptr;
sudo_printf_t print = nullptr;
bool is_policy = false;  // sudo.conf names our policy, not only our audit plugin

void say(int type, const std::string& text) {
  if (print != nullptr && !text.empty()) print(type, "%s\n", text.c_str());
}

int fail(const char* what, const char** errstr) {
  if (print != nullptr) print(SUDO_CONV_ERROR_MSG, "hallpass: %s\n", what);
  if (errstr != nullptr) *errstr = what;
  return -1;
}

// Nothing unwinds into C; a fault is an error, and an error runs nothing.
template <class F>
int guard(const char** errstr, F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    // Without errstr it was not about whether something runs.
    return fail(
        errstr == nullptr ? "out of memory or a fault inside" : "out of memory or a fault inside: nothing is run",
        errstr);
  }
}

bool is_roots_alone(const char* path) {
  struct stat st {};
  return stat(path, &st) == 0 && st.st_uid == 0 && (st.st_mode & 022) == 0;
}

// sudo loads a plugin that anybody owns; somebody who can write ours must gain no grant by it unnoticed.
bool own_file_is_trusted() {
  Dl_info self{};
  if (dladdr(&hallpass_policy, &self) == 0 || self.dli_fname == nullptr) return false;
  const std::string file = self.dli_fname;
  return file.starts_with('/') && is_roots_alone(file.c_str()) &&
         is_roots_alone(file.substr(0, file.rfind('/') + 1).c_str());
}

const char* unfit() {
  if (!is_policy) return "sudo.conf does not name hallpass_policy";
  return own_file_is_trusted() ? nullptr : "hallpass_sudo.so or its folder has the wrong owner or mode";
}

// --- hallpass_audit

int audit_open(unsigned version, sudo_conv_t conv, sudo_printf_t printer, char* const settings[],
               char* const user_info[], int optind, char* const argv[], char* const envp[], char* const options[],
               const char** errstr) {
  return guard(errstr, [&] {
    print = printer;
    Sudoers& inner = sudoers();
    if (inner.audit == nullptr) return fail(inner.error.c_str(), errstr);
    call = new Invocation(version);
    call->choose(Vector(settings), Vector(user_info), optind, argv, unfit());
    inner.audit->event_alloc = hallpass_audit.event_alloc;
    const int rc = inner.audit->open(version, conv, printer, settings, user_info, optind, argv, envp,
                                     call->options(options), errstr);
    call->look_at_fragment();
    return rc;
  });
}

void audit_close(int type, int status) {
  guard(nullptr, [&] {
    if (call != nullptr) call->tell_exit(type, status);
    return 0;
  });
  guard(nullptr, [&] {
    if (sudoers().audit != nullptr && sudoers().audit->close != nullptr) sudoers().audit->close(type, status);
    return 0;
  });
}

int audit_accept(const char* plugin, unsigned type, char* const info[], char* const run_argv[], char* const envp[],
                 const char** errstr) {
  return guard(errstr, [&] {
    // Each plugin's word is heard; the front end's, last, means that it runs.
    if (type == SUDO_FRONT_END && call != nullptr && !call->listing_only) call->tell_accept(Vector(info), run_argv);
    audit_plugin* inner = sudoers().audit;
    return inner == nullptr || inner->accept == nullptr ? 1 : inner->accept(plugin, type, info, run_argv, envp, errstr);
  });
}

// sudoers logged what it refused itself, and skips that when the name is its own.
const char* spoken_by(const char* plugin, unsigned type) {
  const bool ours = call != nullptr && !call->refusal().empty();
  return type == SUDO_POLICY_PLUGIN && !ours ? "sudoers_policy" : plugin;
}

int audit_reject(const char* plugin, unsigned type, const char* why, char* const info[], const char** errstr) {
  return guard(errstr, [&] {
    if (call != nullptr && !call->listing_only) call->tell_refusal(Event::sudo_refused, why, Vector(info));
    audit_plugin* inner = sudoers().audit;
    return inner == nullptr || inner->reject == nullptr
               ? 1
               : inner->reject(spoken_by(plugin, type), type, why, info, errstr);
  });
}

int audit_error(const char* plugin, unsigned type, const char* why, char* const info[], const char** errstr) {
  return guard(errstr, [&] {
    if (call != nullptr && !call->listing_only) call->tell_refusal(Event::sudo_failed, why, Vector(info));
    audit_plugin* inner = sudoers().audit;
    return inner == nullptr || inner->error == nullptr ? 1
                                                       : inner->error(spoken_by(plugin, type), type, why, info, errstr);
  });
}

int audit_version(int verbose) {
  audit_plugin* inner = sudoers().audit;
  return inner == nullptr || inner->show_version == nullptr ? 1 : inner->show_version(verbose);
}

// --- hallpass_policy

int policy_open(unsigned version, sudo_conv_t conv, sudo_printf_t printer, char* const settings[],
                char* const user_info[], char* const envp[], char* const options[], const char** errstr) {
  return guard(errstr, [&] {
    print = printer;
    Sudoers& inner = sudoers();
    if (inner.policy == nullptr) return fail(inner.error.c_str(), errstr);
    if (call == nullptr) {
      call = new Invocation(version);
      call->do_without(Vector(user_info), "sudo.conf does not name hallpass_audit");
    }
    inner.policy->event_alloc = hallpass_policy.event_alloc;
    return inner.policy->open(version, conv, printer, settings, user_info, envp, call->options(options), errstr);
  });
}

void policy_close(int status, int error) {
  guard(nullptr, [&] {
    if (call != nullptr && error == 0) say(SUDO_CONV_ERROR_MSG, call->end_words(status));
    return 0;
  });
  guard(nullptr, [&] {
    policy_plugin* inner = sudoers().policy;
    if (inner != nullptr && inner->close != nullptr) inner->close(status, error);
    return 0;
  });
}

int policy_version(int verbose) {
  if (print != nullptr) print(SUDO_CONV_INFO_MSG, "hallpass sudo plugin version %s\n", HALLPASS_VERSION);
  policy_plugin* inner = sudoers().policy;
  return inner == nullptr || inner->show_version == nullptr ? 1 : inner->show_version(verbose);
}

int refuse(const std::string& words, std::string why, const char** errstr) {
  say(SUDO_CONV_ERROR_MSG, words);
  const char* reason = call->refuse(std::move(why));
  if (errstr != nullptr) *errstr = reason;
  return 0;
}

int refuse_starved(const char** errstr) {
  return refuse("hallpass: nothing is run with so little memory, file size or descriptors: see ulimit -a",
                "started with limits under which grants cannot be looked up", errstr);
}

int check_by_grant(bool sub, int rc, char* const argv[], char* env_add[], char** info[], char** run_argv[],
                   const char** errstr) {
  if (rc != 1) {
    if (!sub) say(SUDO_CONV_ERROR_MSG, call->sudoers_refused());
    return rc;
  }
  if (call->admit(sub, argv, env_add, info, *run_argv)) return 1;
  const std::string why = call->refusal();
  return refuse("hallpass: refused: " + why, why, errstr);
}

int check_policy(int argc, char* const argv[], char* env_add[], char** info[], char** run_argv[], char** env_out[],
                 const char** errstr) {
  return guard(errstr, [&] {
    policy_plugin* inner = sudoers().policy;
    if (inner == nullptr || call == nullptr) return fail("sudo has not opened its plugins", errstr);
    const bool sub = call->first_check_done;
    call->first_check_done = true;
    if (sub) call->checks_sub_command(argv);
    call->refuse("");
    if (call->starved()) return refuse_starved(errstr);
    if (!call->by_grant() && call->standing_denied()) return refuse(call->hint(), "no grant covers it", errstr);
    const int rc = inner->check_policy(argc, argv, env_add, info, run_argv, env_out, errstr);
    if (call->by_grant()) return check_by_grant(sub, rc, argv, env_add, info, run_argv, errstr);
    if ((rc == 0 || rc == -1) && !sub) say(SUDO_CONV_ERROR_MSG, call->hint());
    // sudoers drops its own close when nothing needs it; sudo then need not wait for the command.
    if (rc == 1 && inner->close == nullptr) hallpass_policy.close = nullptr;
    return rc;
  });
}

int list(int argc, char* const argv[], int verbose, const char* user, const char** errstr) {
  return guard(errstr, [&] {
    policy_plugin* inner = sudoers().policy;
    if (inner == nullptr || inner->list == nullptr || call == nullptr)
      return fail("sudo has not opened its plugins", errstr);
    call->listing_only = true;
    if (call->starved()) return refuse_starved(errstr);
    const bool own = user == nullptr;
    const std::string grants = own && argc == 0 ? call->listing() : std::string();
    say(SUDO_CONV_INFO_MSG, grants);
    if (own && argc == 0 && call->has_idle_grants()) say(SUDO_CONV_ERROR_MSG, call->hint());
    if (!own && call->standing_denied()) return refuse(call->hint(), "only its grants count in this session", errstr);
    if (own && call->standing_denied() && !call->by_grant()) {
      if (argc == 0) {
        if (grants.empty())
          say(SUDO_CONV_ERROR_MSG, "hallpass: no grant of yours allows sudo now. To ask: hallpass request");
        return grants.empty() ? 0 : 1;
      }
      return refuse(call->hint(), "no grant covers it", errstr);
    }
    const int rc = inner->list(argc, argv, verbose, user, errstr);
    if (own && argc > 0 && !call->by_grant() && (rc == 0 || rc == -1)) say(SUDO_CONV_ERROR_MSG, call->hint());
    return rc == 0 && !grants.empty() ? 1 : rc;
  });
}

int validate(const char** errstr) {
  return guard(errstr, [&] {
    policy_plugin* inner = sudoers().policy;
    return inner == nullptr || inner->validate == nullptr ? -1 : inner->validate(errstr);
  });
}

void invalidate(int rmcred) {
  policy_plugin* inner = sudoers().policy;
  if (inner != nullptr && inner->invalidate != nullptr) inner->invalidate(rmcred);
}

int init_session(struct passwd* pw, char** env_out[], const char** errstr) {
  return guard(errstr, [&] {
    policy_plugin* inner = sudoers().policy;
    return inner == nullptr ? -1 : inner->init_session == nullptr ? 1 : inner->init_session(pw, env_out, errstr);
  });
}

// Called before open, and without a way to fail: open tells what went wrong.
void register_hooks(int version, int (*add)(struct sudo_hook*)) {
  is_policy = true;
  guard(nullptr, [&] {
    policy_plugin* inner = sudoers().policy;
    if (inner != nullptr && inner->register_hooks != nullptr) inner->register_hooks(version, add);
    return 0;
  });
}

void deregister_hooks(int version, int (*remove)(struct sudo_hook*)) {
  policy_plugin* inner = sudoers().policy;
  if (inner != nullptr && inner->deregister_hooks != nullptr) inner->deregister_hooks(version, remove);
}

}  // namespace
}  // namespace hallpass

// Not const: the front end writes event_alloc, and we take close away.
policy_plugin hallpass_policy = {
    SUDO_POLICY_PLUGIN,
    SUDO_API_VERSION,
    hallpass::policy_open,
    hallpass::policy_close,
    hallpass::policy_version,
    hallpass::check_policy,
    hallpass::list,
    hallpass::validate,
    hallpass::invalidate,
    hallpass::init_session,
    hallpass::register_hooks,
    hallpass::deregister_hooks,
    nullptr,
};

audit_plugin hallpass_audit = {
    SUDO_AUDIT_PLUGIN,
    SUDO_API_VERSION,
    hallpass::audit_open,
    hallpass::audit_close,
    hallpass::audit_accept,
    hallpass::audit_reject,
    hallpass::audit_error,
    hallpass::audit_version,
    nullptr,
    nullptr,
    nullptr,
};
