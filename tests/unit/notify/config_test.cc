#include "notify/config.h"

#include "tests/unit/cmocka.h"
#include "tests/unit/support/config_cases.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

const ConfigCase kCases[] = {
    {"nothing", "", nullptr, 0},
    {"a webhook", "webhook = \"https://a.example.org/x?y=1\"\n", nullptr, 0},
    {"everything",
     "webhook = \"https://a.example.org:8443/x\"\nwebhook_header = [\"Authorization: Bearer s3cret\", \"X-Team: "
     "ops\"]\n"
     "ca_file = \"/etc/ca.pem\"\ncommand = [\"/usr/bin/page\", \"--now\", \"\"]\nretry_longest = \"30s\"\n"
     "reject_after = \"2h\"\nallow_plain_http = false\n",
     nullptr, 0},
    {"http to this machine", "webhook = \"http://127.0.0.1:8000/\"\n", nullptr, 0},
    {"http to this machine by name", "webhook = \"http://localhost/\"\n", nullptr, 0},
    {"http to this machine, IPv6", "webhook = \"http://[::1]:80/\"\n", nullptr, 0},
    {"http allowed", "allow_plain_http = true\nwebhook = \"http://a.example.org/\"\n", nullptr, 0},
    {"http elsewhere", "\nwebhook = \"http://a.example.org/\"\n", "unencrypted", 2},
    {"http to a name that begins like this machine", "webhook = \"http://127.0.0.1.example.org/\"\n", "unencrypted", 1},
    {"http to another name", "webhook = \"http://localhost.example.org/\"\n", "unencrypted", 1},
    {"another scheme", "webhook = \"ftp://a.example.org/\"\n", "neither", 1},
    {"a file", "webhook = \"file:///etc/shadow\"\n", "neither", 1},
    {"no scheme", "webhook = \"a.example.org/x\"\n", "not a URL", 1},
    {"no host", "webhook = \"https://\"\n", "not a URL", 1},
    {"an empty webhook", "webhook = \"\"\n", "not a URL", 1},
    {"a space in it", "webhook = \"https://a.example.org/a b\"\n", "not a URL", 1},
    {"a line break in it", "webhook = \"https://a.example.org/\\r\\nX: y\"\n", "not a URL", 1},
    {"a password in it", "webhook = \"https://u:p@a.example.org/\"\n", "password", 1},
    {"a user in it", "webhook = \"https://u@a.example.org/\"\n", "user name", 1},
    {"a number", "webhook = 7\n", "webhook", 1},
    {"a header without a name", "webhook = \"https://a/\"\nwebhook_header = [\": x\"]\n", "no HTTP header", 2},
    {"a header without a value", "webhook = \"https://a/\"\nwebhook_header = [\"X: \"]\n", "no HTTP header", 2},
    {"a header with a line break", "webhook = \"https://a/\"\nwebhook_header = [\"X: a\\r\\nY: b\"]\n", "characters",
     2},
    {"a header with a space in its name", "webhook = \"https://a/\"\nwebhook_header = [\"X Y: a\"]\n", "no HTTP header",
     2},
    {"our own header", "webhook = \"https://a/\"\nwebhook_header = [\"idempotency-key: a\"]\n", "hallpass's own", 2},
    {"the host", "webhook = \"https://a/\"\nwebhook_header = [\"X: y\",\n\"Host: a\"]\n", "hallpass's own", 3},
    {"headers as a string", "webhook = \"https://a/\"\nwebhook_header = \"X: y\"\n", "webhook_header", 2},
    {"a relative CA file", "webhook = \"https://a/\"\nca_file = \"ca.pem\"\n", "absolute", 2},
    {"an empty command", "command = []\n", "empty", 1},
    {"a relative command", "command = [\"page\"]\n", "absolute", 1},
    {"a command line", "command = \"/usr/bin/page --now\"\n", "command", 1},
    {"a zero byte in it", "command = [\"/usr/bin/page\", \"a\\u0000b\"]\n", "zero byte", 1},
    {"no duration", "retry_longest = \"5 minutes\"\n", "duration", 1},
    {"a number for a duration", "retry_longest = 300\n", "retry_longest", 1},
    {"too long", "\nretry_longest = \"2h\"\n", "over 1h", 2},
    {"rejected too late", "reject_after = \"8d\"\n", "over 7d", 1},
    {"an unknown member", "webhok = \"https://a/\"\n", "webhok", 1},
    {"a format", "webhook = \"https://a/\"\nformat = \"slack\"\n", nullptr, 0},
    {"an unknown format", "webhook = \"https://a/\"\nformat = \"irc\"\n", "unknown", 2},
    {"e-mail", "[email]\nserver = \"smtps://mail.example.org\"\nfrom = \"h@example.org\"\nto = [\"ops@example.org\"]\n",
     nullptr, 0},
    {"all of e-mail",
     "[email]\nserver = \"smtp://mail.example.org:587\"\nuser = \"h\"\npassword_file = \"/etc/p\"\nfrom = "
     "\"h@example.org\"\n"
     "to = [\"ops@example.org\", \"ops@example.org\"]\ndomain = \"example.org\"\nallow_plain = "
     "false\n[email.people]\nbob "
     "= \"b.smith@example.org\"\n",
     nullptr, 0},
    {"no server", "[email]\nfrom = \"h@example.org\"\n", "server", 1},
    {"no sender", "[email]\nserver = \"smtp://a\"\n", "from", 1},
    {"e-mail that is no table", "email = 7\n", "no table", 1},
    {"another protocol", "[email]\nserver = \"https://a/\"\nfrom = \"h@a\"\n", "neither", 2},
    {"a password in the URL", "[email]\nserver = \"smtp://u:p@a\"\nfrom = \"h@a\"\n", "password", 2},
    {"a path in the URL", "[email]\nserver = \"smtp://a/x\"\nfrom = \"h@a\"\n", "path", 2},
    {"a query in the URL", "[email]\nserver = \"smtp://a?x\"\nfrom = \"h@a\"\n", "more than", 2},
    {"a line break in the URL", "[email]\nserver = \"smtp://a\\r\\nQUIT\"\nfrom = \"h@a\"\n", "not a URL", 2},
    {"a sender with a line break", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\\r\\nBcc: e@b\"\n",
     "no e-mail address", 3},
    {"a recipient that is none", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\nto = [\"ops\"]\n",
     "no e-mail address", 4},
    {"too many recipients",
     "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\nto = [\"a@a\", \"b@a\", \"c@a\", \"d@a\", \"e@a\", \"f@a\", "
     "\"g@a\", \"h@a\", \"i@a\"]\n",
     "more than 8", 4},
    {"a domain that is none", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\ndomain = \"@a\"\n", "no domain", 4},
    {"a person that is none", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\npeople = { \"B b\" = \"b@a\" }\n",
     "no name", 4},
    {"a person's address", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\npeople = { bob = \"b\" }\n",
     "no e-mail address", 4},
    {"a user without a password", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\nuser = \"h\"\n", "belong together",
     4},
    {"a password without a user", "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\npassword_file = \"/p\"\n",
     "belong together", 4},
    {"a relative password file",
     "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\nuser = \"h\"\npassword_file = \"p\"\n", "absolute", 5},
    {"an unknown member of e-mail",
     "[email]\nserver = \"smtp://a\"\nfrom = \"h@a\"\nto = [\"o@a\"]\npassword = \"x\"\n", "password", 5},
    {"no TOML", "webhook = \n", "", 1},
};

int wrong_cases() {
  return wrong_config_cases(kCases, parse_notify_config);
}

int wrong_values() {
  std::vector<Diagnostic> found;
  const auto c = parse_notify_config(kCases[2].toml, found);
  const auto none = parse_notify_config("", found);
  if (!c || !none) return wrong_if(true, "good");
  return wrong_if(c->webhook != "https://a.example.org:8443/x" || c->webhook_headers.size() != 2, "webhook") +
         wrong_if(c->webhook_shown != "https://a.example.org:8443", "its path may be a secret") +
         wrong_if(c->ca_file != "/etc/ca.pem" || c->command.size() != 3 || c->command[1] != "--now", "command") +
         wrong_if(c->retry_longest != Seconds{30} || c->reject_after != Seconds{7200}, "times") +
         wrong_if(!none->webhook.empty() || !none->command.empty() || none->retry_longest != Seconds{300}, "usual");
}

int wrong_addresses() {
  std::vector<Diagnostic> found;
  const auto c = parse_notify_config(
      "[email]\nserver = \"smtp://mail.example.org:587\"\nfrom = \"h@example.org\"\nto = [\"a@b\", \"a@b\"]\ndomain = "
      "\"example.org\"\npeople = { bob = \"b.smith@example.net\" }\n",
      found);
  if (!c) return wrong_if(true, "good");
  return wrong_if(c->email.address_of("bob") != "b.smith@example.net", "by name") +
         wrong_if(c->email.address_of("ana") != "ana@example.org", "by domain") +
         wrong_if(EmailConfig().address_of("ana") != "", "nobody knows") +
         wrong_if(c->email.to.size() != 1, "once each") +
         wrong_if(c->email.server != "smtp://mail.example.org:587" || c->email.allow_plain, "as written");
}

// Diagnostics land in the journal and on terminals.
int wrong_secrets() {
  int wrong = 0;
  for (const char* toml :
       {"webhook = \"http://a.example.org/s3cret\"\n", "webhook = \"https://s3cret:s3cret@a/\"\n",
        "webhook = \"https://a/ s3cret\"\n", "webhook = \"https://a/\"\nwebhook_header = [\"s3cret\"]\n",
        "webhook = \"https://a/\"\nwebhook_header = [\"Host: s3cret\"]\n"}) {
    std::vector<Diagnostic> found;
    const bool good = parse_notify_config(toml, found).has_value();
    std::string all;
    for (const Diagnostic& d : found) all += format_diagnostic("notify.toml", d);
    wrong += wrong_if(good || all.find("s3cret") != std::string::npos, toml);
  }
  return wrong;
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_values(void**) {
  assert_int_equal(wrong_values() + wrong_addresses() + wrong_secrets(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_values)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
