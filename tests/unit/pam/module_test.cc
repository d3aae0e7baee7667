// Loads the real module through libpam, with service files of its own. This machine has no snapshot for the accounts
// named, or none at all: what is tested is the boundary. Decisions are login_test's.
#include <dlfcn.h>
#include <security/pam_appl.h>

#include <cstdlib>
#include <cstring>

#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

int keep_words(int count, const pam_message** messages, pam_response** responses, void* data) {
  for (int i = 0; i < count; ++i) *static_cast<std::string*>(data) += messages[i]->msg;
  *responses = static_cast<pam_response*>(calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
  return PAM_SUCCESS;
}

enum class Phase { account, session, close, setcred };

struct Outcome {
  int code = -1;
  std::string words;
};

Outcome ask(const char* service, const char* options, const char* account, Phase phase,
            const char* auth_info = nullptr) {
  const ScratchDir dir;
  std::string lines;
  for (const char* type : {"auth", "account", "session"}) {
    lines += std::string(type) + " required " + HALLPASS_PAM_MODULE + " " + options + "\n" + type +
             " required pam_permit.so\n";
  }
  write_text(dir / service, lines);
  Outcome outcome;
  pam_handle_t* pamh = nullptr;
  const pam_conv conversation{keep_words, &outcome.words};
  if (pam_start_confdir(service, account, &conversation, (dir / "").c_str(), &pamh) != PAM_SUCCESS) return outcome;
  if (auth_info != nullptr) pam_putenv(pamh, (std::string("SSH_AUTH_INFO_0=") + auth_info).c_str());
  switch (phase) {
    case Phase::account:
      outcome.code = pam_acct_mgmt(pamh, 0);
      break;
    case Phase::session:
      outcome.code = pam_open_session(pamh, 0);
      break;
    case Phase::close:
      outcome.code = pam_close_session(pamh, 0);
      break;
    case Phase::setcred:
      outcome.code = pam_setcred(pamh, PAM_ESTABLISH_CRED);
      break;
  }
  pam_end(pamh, outcome.code);
  return outcome;
}

constexpr char kNobody[] = "hallpass-test-nobody";

struct Case {
  const char* name;
  const char* service;
  const char* options;
  const char* account;
  Phase phase;
  const char* auth_info;
  int code;
  const char* words;
};

const Case kCases[] = {
    {"refused in the account phase", "sshd", "", kNobody, Phase::account, nullptr, PAM_PERM_DENIED, "hallpass: "},
    {"refused in the session phase", "sshd", "", kNobody, Phase::session, "password", PAM_PERM_DENIED, "hallpass: "},
    {"session without a word from sshd", "sshd", "", kNobody, Phase::session, nullptr, PAM_PERM_DENIED, "did not tell"},
    {"session with an empty word", "sshd", "", kNobody, Phase::session, "", PAM_PERM_DENIED, "did not tell"},
    {"a key that is not well formed", "sshd", "", kNobody, Phase::session, "publickey x", PAM_PERM_DENIED,
     "did not tell"},
    {"observing lets pass", "sshd", "mode=observe", kNobody, Phase::account, nullptr, PAM_SUCCESS, ""},
    {"observing lets pass in the session phase", "sshd", "mode=observe", kNobody, Phase::session, "password",
     PAM_SUCCESS, ""},
    {"an unknown option refuses", "sshd", "nullok", kNobody, Phase::account, nullptr, PAM_PERM_DENIED, "misconfigured"},
    {"an unknown option refuses when observing too", "sshd", "mode=observe x", kNobody, Phase::session, "password",
     PAM_PERM_DENIED, "misconfigured"},
    {"another service is none of ours", "su", "", kNobody, Phase::account, nullptr, PAM_SUCCESS, ""},
    {"another service, session", "systemd-user", "nullok", kNobody, Phase::session, nullptr, PAM_SUCCESS, ""},
    {"a service named", "su", "services=su", kNobody, Phase::account, nullptr, PAM_PERM_DENIED, "hallpass: "},
    {"the exempt group", "sshd", "exempt_group=root", "root", Phase::account, nullptr, PAM_SUCCESS, ""},
    {"the exempt group, session", "sshd", "exempt_group=root", "root", Phase::session, nullptr, PAM_SUCCESS, ""},
    {"the exempt group under a misconfiguration", "sshd", "exempt_group=root x", "root", Phase::account, nullptr,
     PAM_SUCCESS, ""},
    {"post refuses whom the line before would", "sshd", "post", kNobody, Phase::session, "password", PAM_PERM_DENIED,
     "hallpass: "},
    {"post without a word from sshd", "sshd", "post", kNobody, Phase::session, nullptr, PAM_PERM_DENIED,
     "did not tell"},
    {"post, observing", "sshd", "post mode=observe", kNobody, Phase::session, "password", PAM_SUCCESS, ""},
    {"post, the exempt group", "sshd", "post exempt_group=root", "root", Phase::session, nullptr, PAM_SUCCESS, ""},
    {"post, another service", "su", "post", kNobody, Phase::session, nullptr, PAM_SUCCESS, ""},
    {"post with an unknown option", "sshd", "post x", kNobody, Phase::session, "password", PAM_PERM_DENIED,
     "misconfigured"},
    {"post in the account phase", "sshd", "post mode=observe", kNobody, Phase::account, nullptr, PAM_PERM_DENIED,
     "misconfigured"},
    {"closing, post", "sshd", "post", kNobody, Phase::close, nullptr, PAM_SUCCESS, ""},
    {"closing never refuses", "sshd", "x", kNobody, Phase::close, nullptr, PAM_SUCCESS, ""},
    {"setcred decides nothing", "sshd", "", kNobody, Phase::setcred, nullptr, PAM_SUCCESS, ""},
};

int wrong_answers() {
  int wrong = 0;
  for (const auto& c : kCases) {
    const Outcome o = ask(c.service, c.options, c.account, c.phase, c.auth_info);
    const bool words = *c.words == 0 ? o.words.empty() : o.words.find(c.words) != std::string::npos;
    wrong += wrong_if(o.code != c.code || !words, c.name);
  }
  return wrong;
}

// With everything resolved at once, and nothing shown but PAM's functions.
int wrong_loading() {
  void* module = dlopen(HALLPASS_PAM_MODULE, RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return wrong_if(true, dlerror());
  int wrong = 0;
  for (const char* name :
       {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt", "pam_sm_open_session", "pam_sm_close_session"}) {
    wrong += wrong_if(dlsym(module, name) == nullptr, name);
  }
  return wrong + wrong_if(dlsym(module, "_ZN8hallpass10read_clockEv") != nullptr, "hidden");
}

void test_answers(void**) {
  assert_int_equal(wrong_answers(), 0);
}
void test_loading(void**) {
  assert_int_equal(wrong_loading(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_loading)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
