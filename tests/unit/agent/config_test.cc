#include "agent/config.h"

#include "tests/unit/cmocka.h"
#include "tests/unit/support/config_cases.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

const ConfigCase kCases[] = {
    {"the least", "name = \"web-3\"\ndirectories = [\"/srv/x\"]\n", nullptr, 0},
    {"everything",
     "name = \"web-3\"\nlabels = { env = \"prod\" }\ndirectories = [\"/a\", \"/b\"]\nclock = \"strict\"\nmax_grants = "
     "5\nstanding_sudo = \"deny\"\nwarn = [\"30s\"]\n[accounts.deploy]\nuser_manager = "
     "\"deny\"\n[accounts.web]\nuser_manager = "
     "\"allow\"\n[alerts]\nrefused_logins = 3\n",
     nullptr, 0},
    {"labels as a table", "name = \"w\"\ndirectories = [\"/a\"]\n[labels]\nenv = \"prod\"\n", nullptr, 0},
    {"no name", "directories = [\"/a\"]\n", "name", 0},
    {"a name with a slash", "name = \"a/b\"\ndirectories = [\"/a\"]\n", "not a host name", 0},
    {"no directories", "name = \"w\"\n", "no directories", 0},
    {"an empty list", "name = \"w\"\ndirectories = []\n", "no directories", 0},
    {"a relative directory", "name = \"w\"\ndirectories = [\"inbox\"]\n", "absolute", 2},
    {"a directory with ..", "name = \"w\"\ndirectories = [\"/a/../b\"]\n", "absolute", 2},
    {"the root", "name = \"w\"\ndirectories = [\"/\"]\n", "absolute", 2},
    {"twice the same", "name = \"w\"\ndirectories = [\"/a\", \"/a\"]\n", "twice", 2},
    {"a label called host", "name = \"w\"\ndirectories = [\"/a\"]\n[labels]\nhost = \"x\"\n", "host", 4},
    {"a label with capitals", "name = \"w\"\ndirectories = [\"/a\"]\n[labels]\nEnv = \"x\"\n", "Env", 4},
    {"a label that is a number", "name = \"w\"\ndirectories = [\"/a\"]\n[labels]\nenv = 3\n", "label", 4},
    {"labels that are a string", "name = \"w\"\nlabels = \"env\"\ndirectories = [\"/a\"]\n", "labels", 2},
    {"an unknown clock", "name = \"w\"\ndirectories = [\"/a\"]\nclock = \"fast\"\n", "clock", 0},
    {"an unknown word about sudo", "name = \"w\"\ndirectories = [\"/a\"]\nstanding_sudo = \"no\"\n", "standing_sudo",
     0},
    {"warnings that are no durations", "name = \"w\"\ndirectories = [\"/a\"]\nwarn = [\"5m\", \"soon\"]\n",
     "is no duration", 3},
    {"a warning that is a number", "name = \"w\"\ndirectories = [\"/a\"]\nwarn = [5]\n", "warn", 3},
    {"eleven warnings",
     "name = \"w\"\ndirectories = [\"/a\"]\nwarn = "
     "[\"1m\",\"2m\",\"3m\",\"4m\",\"5m\",\"6m\",\"7m\",\"8m\",\"9m\",\"10m\",\"11m\"]\n",
     "more than 10", 3},
    {"accounts that are no table", "name = \"w\"\ndirectories = [\"/a\"]\naccounts = 5\n", "accounts", 3},
    {"an account that is no name",
     "name = \"w\"\ndirectories = [\"/a\"]\n[accounts.\"a/b\"]\nuser_manager = \"deny\"\n", "a/b", 3},
    {"an account that is no table", "name = \"w\"\ndirectories = [\"/a\"]\n[accounts]\ndeploy = true\n", "deploy", 4},
    {"an unknown word about user managers",
     "name = \"w\"\ndirectories = [\"/a\"]\n[accounts.deploy]\nuser_manager = \"off\"\n", "user_manager", 3},
    {"an unknown member of an account", "name = \"w\"\ndirectories = [\"/a\"]\n[accounts.deploy]\nlinger = true\n",
     "linger", 4},
    {"alerts that are no table", "name = \"w\"\ndirectories = [\"/a\"]\nalerts = []\n", "alerts", 3},
    {"fewer than no refused logins", "name = \"w\"\ndirectories = [\"/a\"]\n[alerts]\nrefused_logins = -1\n",
     "refused_logins", 4},
    {"a truth value about sudo", "name = \"w\"\ndirectories = [\"/a\"]\nstanding_sudo = false\n", "standing_sudo", 3},
    {"an unknown member", "name = \"w\"\ndirectories = [\"/a\"]\ncolour = \"red\"\n", "colour", 3},
    {"no TOML", "name = \n", "", 1},
};

int wrong_cases() {
  return wrong_config_cases(kCases, parse_host_config);
}

int wrong_values() {
  std::vector<Diagnostic> found;
  const auto usual =
      parse_host_config("name = \"w\"\ndirectories = [\"/a\"]\nclock = \"normal\"\nstanding_sudo = \"allow\"\n", found);
  const auto c = parse_host_config(kCases[1].toml, found);
  return wrong_if(!c || c->host.name != "web-3" || c->host.labels.at("env") != "prod" || c->directories.size() != 2 ||
                      !c->strict_clock || !c->standing_sudo_denied || c->max_grants != 5 || c->refused_logins != 3 ||
                      c->warn != std::vector<Seconds>{Seconds{30}} ||
                      c->without_user_manager != std::set<std::string>{"deploy"},
                  "values") +
         wrong_if(!usual || usual->strict_clock || usual->standing_sudo_denied || usual->refused_logins != 10 ||
                      usual->warn.size() != 2 || !usual->without_user_manager.empty(),
                  "what is usual");
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
