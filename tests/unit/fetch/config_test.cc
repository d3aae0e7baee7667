#include "agent/fetch/config.h"

#include "tests/unit/cmocka.h"
#include "tests/unit/support/config_cases.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

const ConfigCase kCases[] = {
    {"one URL", "urls = [\"https://hub.example.org\"]\n", nullptr, 0},
    {"everything",
     "urls = [\"https://hub.example.org:8443/log/\", \"https://files.example.org\"]\ntoken_file = \"/etc/t\"\n"
     "client_certificate = \"/etc/c\"\nclient_key = \"/etc/k\"\nca_file = \"/etc/ca\"\npoll = \"30s\"\n"
     "answer_timeout = \"1m\"\nmirror = \"/srv/mirror/\"\nallow_plain_http = false\n",
     nullptr, 0},
    {"http to this machine", "urls = [\"http://127.0.0.1:8000\", \"http://localhost\", \"http://[::1]:80\"]\n", nullptr,
     0},
    {"http allowed", "allow_plain_http = true\nurls = [\"http://hub.example.org\"]\n", nullptr, 0},
    {"nothing", "", "urls", 0},
    {"no URL", "urls = []\n", "urls is empty", 1},
    {"a string", "urls = \"https://hub.example.org\"\n", "urls", 1},
    {"http elsewhere", "urls = [\"https://a.example.org\",\n\"http://hub.example.org\"]\n", "unencrypted", 2},
    {"another scheme", "urls = [\"ftp://hub.example.org\"]\n", "neither", 1},
    {"a file", "urls = [\"file:///etc/shadow\"]\n", "neither", 1},
    {"no scheme", "urls = [\"hub.example.org\"]\n", "not a URL", 1},
    {"a password", "urls = [\"https://u:p@hub.example.org\"]\n", "password", 1},
    {"a question", "urls = [\"https://hub.example.org/x?y=1\"]\n", "after ?", 1},
    {"a fragment", "urls = [\"https://hub.example.org/#x\"]\n", "after #", 1},
    {"twice", "urls = [\"https://hub.example.org\", \"https://hub.example.org/\"]\n", "twice", 1},
    {"nine",
     "urls = [\"https://a\",\"https://b\",\"https://c\",\"https://d\",\"https://e\",\"https://f\",\"https://g\","
     "\"https://h\",\"https://i\"]\n",
     "more than 8", 1},
    {"a relative token file", "urls = [\"https://a\"]\ntoken_file = \"token\"\n", "absolute", 2},
    {"a relative mirror", "urls = [\"https://a\"]\nmirror = \"mirror\"\n", "absolute", 2},
    {"a key without its certificate", "urls = [\"https://a\"]\nclient_key = \"/k\"\n", "without client_certificate", 2},
    {"a certificate without its key", "urls = [\"https://a\"]\nclient_certificate = \"/c\"\n", "without client_key", 2},
    {"no duration", "urls = [\"https://a\"]\npoll = \"often\"\n", "duration", 2},
    {"too seldom", "urls = [\"https://a\"]\npoll = \"2h\"\n", "over 1h", 2},
    {"too patient", "urls = [\"https://a\"]\nanswer_timeout = \"11m\"\n", "over 10m", 2},
    {"an unknown member", "urls = [\"https://a\"]\nmiror = \"/x\"\n", "miror", 2},
    {"no TOML", "urls = \n", "", 1},
};

int wrong_cases() {
  return wrong_config_cases(kCases, parse_fetch_config);
}

int wrong_values() {
  std::vector<Diagnostic> found;
  const auto config = parse_fetch_config(kCases[1].toml, found);
  if (!config) return 1;
  return wrong_if(config->urls.size() != 2, "two") +
         wrong_if(config->urls[0].url != "https://hub.example.org:8443/log", "without the slash at its end") +
         wrong_if(config->urls[0].shown != "https://hub.example.org:8443", "shown without its path") +
         wrong_if(config->mirror != "/srv/mirror", "mirror") + wrong_if(config->poll != Seconds{30}, "poll") +
         wrong_if(config->answer_timeout != Seconds{60}, "timeout") +
         wrong_if(config->token_file != "/etc/t" || config->client_certificate != "/etc/c", "credentials");
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_values(void**) {
  assert_int_equal(wrong_values(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_values)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
