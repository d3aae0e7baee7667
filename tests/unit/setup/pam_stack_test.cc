#include "agent/setup/pam_stack.h"

#include <map>
#include <string>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

const std::map<std::string, std::string> kOthers = {
    {"common-session",
     "session [default=1] pam_permit.so\nsession required pam_unix.so\nsession optional pam_systemd.so\n"},
    {"password-auth",
     "auth required pam_env.so\naccount sufficient pam_localuser.so\n"
     "session [success=1 default=ignore] pam_succeed_if.so service in crond quiet\n"
     "-session optional pam_systemd.so\nsession required pam_unix.so\n"},
    {"postlogin", "session optional pam_lastlog.so\n"},
    {"outer", "session include inner\n"},
    {"inner", "session optional /usr/lib/security/pam_systemd.so\n"},
    {"loop", "session include loop\n"},
    {"ending", "session sufficient pam_x.so\nsession optional pam_systemd.so\n"},
    {"walled", "session substack ending-inside\nsession optional pam_systemd.so\n"},
    {"ending-inside", "session sufficient pam_x.so\n"},
    {"bare", "session required pam_unix.so\n"},
};

std::optional<std::string> other(const std::string& name) {
  const auto found = kOthers.find(name);
  return found == kOthers.end() ? std::nullopt : std::optional(found->second);
}

#define A "account    required     pam_hallpass.so\n"
#define S "session    requisite    pam_hallpass.so\n"
#define P "session    required     pam_hallpass.so post\n"
#define LOGINUID "session required pam_loginuid.so\n"
#define DEBIAN_END LOGINUID S "@include common-session\n" P

struct Good {
  const char* name;
  const char* before;
  const char* after;
};

const Good kGood[] = {
    {"Debian",
     "@include common-auth\naccount required pam_nologin.so\n@include common-account\n" LOGINUID
     "@include common-session\nsession optional pam_motd.so\n@include common-password\n",
     "@include common-auth\naccount required pam_nologin.so\n" A "@include common-account\n" DEBIAN_END
     "session optional pam_motd.so\n@include common-password\n"},
    {"Red Hat",
     "auth substack password-auth\nauth include postlogin\naccount required pam_sepermit.so\n"
     "account include password-auth\nsession required pam_selinux.so close\n" LOGINUID
     "session required pam_selinux.so open env_params\nsession include password-auth\nsession include postlogin\n",
     "auth substack password-auth\nauth include postlogin\naccount required pam_sepermit.so\n" A
     "account include password-auth\nsession required pam_selinux.so close\n" LOGINUID
     "session required pam_selinux.so open env_params\n" S "session include password-auth\n" P
     "session include postlogin\n"},
    {"what is included is looked into, also twice",
     "account include common-account\n" LOGINUID "session include outer\n",
     A "account include common-account\n" LOGINUID S "session include outer\n" P},
    {"an include that ends nothing but itself", "account include x\n" LOGINUID "session include walled\n",
     A "account include x\n" LOGINUID S "session include walled\n" P},
    {"pam_systemd itself", "account substack x\n" LOGINUID "session include bare\n-session optional pam_systemd.so\n",
     A "account substack x\n" LOGINUID "session include bare\n" S "-session optional pam_systemd.so\n" P},
    {"before the first thing that may end the stack",
     "account sufficient pam_localuser.so\naccount include x\n" LOGINUID "session include outer\n",
     A "account sufficient pam_localuser.so\naccount include x\n" LOGINUID S "session include outer\n" P},
    {"before what may jump",
     "account [success=1 default=ignore] pam_a.so\naccount include x\n" LOGINUID "session include outer\n",
     A "account [success=1 default=ignore] pam_a.so\naccount include x\n" LOGINUID S "session include outer\n" P},
    {"no line end at the end", "@include common-account\n" LOGINUID "@include common-session",
     A "@include common-account\n" DEBIAN_END},
    {"comments and blanks stay",
     "# @include common-account\n\n  \t\n@include common-account # yes\n" LOGINUID
     "#session required pam_hallpass.so\n@include common-session\n",
     "# @include common-account\n\n  \t\n" A "@include common-account # yes\n" LOGINUID
     "#session required pam_hallpass.so\n" S "@include common-session\n" P},
    {"a comment ends a line for good",
     "@include common-account\n" LOGINUID "# not continued \\\n@include common-session\n",
     A "@include common-account\n" LOGINUID "# not continued \\\n" S "@include common-session\n" P},
    {"continued lines stay whole",
     "account \\\n  include \\\n x\nsession \\\nrequired pam_loginuid.so\nsession include \\\n outer\nx y z\n",
     A "account \\\n  include \\\n x\nsession \\\nrequired pam_loginuid.so\n" S "session include \\\n outer\n" P
       "x y z\n"},
    {"upper case", "ACCOUNT Include x\nSESSION REQUIRED pam_loginuid.so\nSession INCLUDE outer\n",
     A "ACCOUNT Include x\nSESSION REQUIRED pam_loginuid.so\n" S "Session INCLUDE outer\n" P},
    {"our lines are replaced, wherever they stand",
     "session required pam_hallpass.so post mode=observe\n" A A "@include common-account\naccount required "
     "/usr/lib/security/pam_hallpass.so\n" LOGINUID S "@include common-session\n" P P,
     A "@include common-account\n" DEBIAN_END},
    {"done is done", A "@include common-account\n" DEBIAN_END, A "@include common-account\n" DEBIAN_END},
};

struct Bad {
  const char* name;
  const char* before;
  const char* words;
};

const Bad kBad[] = {
    {"empty", "", "no account stack"},
    {"no account include", "account required pam_unix.so\n" LOGINUID "@include common-session\n", "no account stack"},
    {"nothing brings pam_systemd", "@include common-account\n" LOGINUID "session include bare\n",
     "pam_systemd.so is not reached"},
    {"the included file is missing", "@include common-account\n" LOGINUID "session include gone\n",
     "pam_systemd.so is not reached"},
    {"includes in a circle", "@include common-account\n" LOGINUID "session include loop\n",
     "pam_systemd.so is not reached"},
    {"no pam_loginuid", "@include common-account\n@include common-session\n", "pam_loginuid"},
    {"pam_loginuid too late", "@include common-account\n@include common-session\n" LOGINUID, "pam_loginuid"},
    {"a session stack that may end early",
     "@include common-account\n" LOGINUID "session sufficient pam_x.so\n@include common-session\n", "line 3"},
    {"the same in what is included", "@include common-account\n" LOGINUID "session include ending\n", "line 3"},
    {"done in brackets",
     "@include common-account\n" LOGINUID "session [ success=done default=ignore ] pam_x.so\n"
     "@include common-session\n",
     "may end the session stack"},
    {"a jump over our place",
     "@include common-account\n" LOGINUID "session [success=2 default=ignore] pam_x.so\n"
     "session optional pam_y.so\n@include common-session\n",
     "jump"},
    {"an include of anything", "@include site-local\n@include common-account\n" LOGINUID "@include common-session\n",
     "line 1"},
    {"Windows line ends", "@include common-account\r\n" LOGINUID "@include common-session\r\n", "Windows"},
    {"a word that would be lost",
     "account required pam_hallpass.so exempt_group=ops\n@include common-account\n" LOGINUID
     "@include common-session\n",
     "exempt_group=ops"},
};

int wrong_good() {
  int wrong = 0;
  for (const Good& c : kGood) {
    const Result<std::string> put = put_pam_lines(c.before, false, other);
    if (!put) {
      print_error("%s\n", put.error().message.c_str());
      wrong += wrong_if(true, c.name);
      continue;
    }
    if (*put != c.after) print_error("%s", put->c_str());
    wrong += wrong_if(*put != c.after, c.name);
    const PamLines found = pam_lines_in(*put);
    wrong += wrong_if(found.count != 3 || found.observe, c.name);
    // Again, and to observe mode and back: always the same.
    const Result<std::string> again = put_pam_lines(*put, false, other);
    wrong += wrong_if(!again || *again != *put, c.name);
    const Result<std::string> observing = put_pam_lines(*put, true, other);
    wrong += wrong_if(!observing || pam_lines_in(*observing).count != 3 || !pam_lines_in(*observing).observe, c.name);
    const Result<std::string> back = observing ? put_pam_lines(*observing, false, other) : observing.error();
    wrong += wrong_if(!back || *back != *put, c.name);
    if (pam_lines_in(c.before).count == 0) {
      std::string whole = c.before;
      if (!whole.ends_with('\n')) whole += '\n';
      wrong += wrong_if(without_pam_lines(*put) != whole, c.name);
    }
  }
  return wrong;
}

int wrong_bad() {
  int wrong = 0;
  for (const Bad& c : kBad) {
    const Result<std::string> put = put_pam_lines(c.before, true, other);
    wrong += wrong_if(put || put.error().code != Errc::mismatch, c.name);
    wrong += wrong_if(!put && put.error().message.find(c.words) == std::string::npos, c.name);
  }
  return wrong;
}

int wrong_taking_out() {
  const std::string mixed =
      "# pam_hallpass.so\r\naccount required pam_hallpass.so\r\nx\n\nsession required \\\n pam_hallpass.so post";
  const PamLines found = pam_lines_in(mixed);
  return wrong_if(without_pam_lines(mixed) != "# pam_hallpass.so\r\nx\n\n", "taken out of any file, and nothing else") +
         wrong_if(found.count != 2 || found.observe, "counted") +
         wrong_if(without_pam_lines("a\\") != "a\\", "a backslash at the end") +
         wrong_if(
             pam_lines_in("account required pam_hallpass.so mode=observe\naccount required pam_hallpass.so\n").observe,
             "one line that enforces is enforcing");
}

void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}
void test_bad(void**) {
  assert_int_equal(wrong_bad(), 0);
}
void test_taking_out(void**) {
  assert_int_equal(wrong_taking_out(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                              cmocka_unit_test(test_taking_out)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
