#include "hub/config.h"

#include "hub/tokens.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;       // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;  // NOLINT(google-build-using-namespace)

struct Case {
  const char* name;
  std::string toml;
  const char* fault;  // words of the first error; nullptr: it is good
  int line;
};

const std::string kDigest(64, 'a');
const std::string kToken = "[tokens]\nfetch = \"sha256:" + kDigest + "\"\n";
const char* const kWitness = "example.com/witness+7c3e45e9+BPa8VU6C0a/tBInx8OjS/WTCkNMfSrw1AefOw6wixnIW";

const std::vector<Case>& cases() {
  static const std::string vkey =
      NoteSigner::from_seed("w.example.org", NoteKeyType::cosignature, Bytes(32, 7)).verifier().text();
  static const std::string log_key =
      NoteSigner::from_seed("l.example.org", NoteKeyType::ed25519, Bytes(32, 7)).verifier().text();
  static const auto witness = [](const std::string& url, const std::string& key) {
    return "read = \"anyone\"\n[[witness]]\nurl = \"" + url + "\"\nvkey = \"" + key + "\"\n";
  };
  static const std::vector<Case> all = {
      {"nobody can read", "", "nobody can read", 0},
      {"a token is enough", kToken, nullptr, 0},
      {"anyone", "read = \"anyone\"\n", nullptr, 0},
      {"a tokens file", "tokens_file = \"/etc/t\"\n", nullptr, 0},
      {"client certificates", "[tls]\ncertificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/a\"\n", nullptr, 0},
      {"a certificate without its key", kToken + "[tls]\ncertificate = \"/c\"\n", "both certificate and key", 3},
      {"someone", "read = \"someone\"\n", "neither", 1},
      {"IPv6", kToken.substr(0, 0) + "listen = [\"[::1]:8480\"]\nread = \"anyone\"\n", nullptr, 0},
      {"a name to listen on", "read = \"anyone\"\nlisten = [\"localhost:8480\"]\n", "numeric address", 2},
      {"no port", "read = \"anyone\"\nlisten = [\"127.0.0.1\"]\n", "numeric address", 2},
      {"a port over 65535", "read = \"anyone\"\nlisten = [\"127.0.0.1:65536\"]\n", "numeric address", 2},
      {"a port with a sign", "read = \"anyone\"\nlisten = [\"127.0.0.1:+80\"]\n", "numeric address", 2},
      {"IPv6 without brackets", "read = \"anyone\"\nlisten = [\"::1:80\"]\n", "numeric address", 2},
      {"nothing to listen on", "read = \"anyone\"\nlisten = []\n", "empty", 2},
      {"a token in the clear", "[tokens]\nfetch = \"hunter2\"\n", "sha256:HEX", 2},
      {"a digest in capitals", "[tokens]\nfetch = \"sha256:" + std::string(64, 'A') + "\"\n", "sha256:HEX", 2},
      {"a token without a good name", "[tokens]\n\"The Fetcher\" = \"sha256:" + kDigest + "\"\n", "named like", 2},
      {"a relative directory", "read = \"anyone\"\nlog = \"log\"\n", "absolute", 2},
      {"state in the log", "read = \"anyone\"\nlog = \"/l\"\nstate = \"/l/state\"\n", "lies in the log", 3},
      {"limits", kToken + "[limits]\nconnections = 100\nlive_requests = 7\npoll_wait = \"20s\"\n", nullptr, 0},
      {"a poll too long", kToken + "[limits]\npoll_wait = \"1m\"\n", "over 50s", 4},
      {"no requests at all", kToken + "[limits]\nlive_requests = 0\n", "live_requests", 4},
      {"a limit misspelt", kToken + "[limits]\nlive_request = 1\n", "live_request", 4},
      {"a witness", witness("https://w.example.org", vkey), nullptr, 0},
      {"a witness with a log's key", witness("https://w.example.org", log_key), "not a cosignature key", 4},
      {"a witness with another's id", witness("https://w.example.org", kWitness), "vkey", 4},
      {"a witness by ftp", witness("ftp://w.example.org", vkey), "prefix of a witness", 3},
      {"a witness twice",
       witness("https://w.example.org", vkey) + "[[witness]]\nurl = \"https://v.example.org\"\nvkey = \"" + vkey +
           "\"\n",
       "twice", 5},
      {"an unknown member", "read = \"anyone\"\nlissen = []\n", "lissen", 2},
      {"no TOML", "listen = \n", "", 1},
  };
  return all;
}

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : cases()) {
    std::vector<Diagnostic> found;
    const bool good = parse_hub_config(c.toml, found).has_value();
    wrong += wrong_if(good != (c.fault == nullptr), c.name);
    wrong += wrong_if(good == has_errors(found), c.name);
    if (c.fault == nullptr || found.empty()) continue;
    wrong += wrong_if(found.front().message.find(c.fault) == std::string::npos, c.name);
    wrong += wrong_if(c.line != 0 && found.front().line != c.line, c.name);
    wrong += wrong_if(found.front().cure.empty() && c.fault[0] != '\0', c.name);
    wrong += wrong_if(found.front().message.find("hunter2") != std::string::npos, "a token is not printed");
  }
  return wrong;
}

int wrong_values() {
  std::vector<Diagnostic> found;
  const auto config = parse_hub_config(
      "listen = [\"127.0.0.1:1\", \"[::]:2\"]\naccess_log = true\n" + kToken + "[limits]\nconnections = 99\n", found);
  if (!config) return 1;
  int wrong = wrong_if(config->listen.size() != 2 || !config->listen[0].loopback || config->listen[1].loopback ||
                           config->listen[1].address != "::" || config->listen[1].port != 2,
                       "listen");
  wrong += wrong_if(found.size() != 1 || found[0].severity != Diagnostic::Severity::warning ||
                        found[0].message.find("unencrypted") == std::string::npos,
                    "tokens in the clear are warned of");
  wrong += wrong_if(!config->access_log || config->connections != 99 || config->anyone_reads, "values");
  wrong += wrong_if(config->tokens.size() != 1 || config->tokens[0].name != "fetch", "tokens");
  return wrong;
}

int wrong_tokens_files() {
  const std::string good = "# readers\n\nfetch sha256:" + kDigest + "\nbot sha256:" + kDigest + "\n";
  std::vector<Diagnostic> found;
  const auto tokens = parse_tokens(good, found);
  int wrong = wrong_if(!tokens || tokens->size() != 2 || (*tokens)[1].name != "bot", "a good file");
  for (const char* bad :
       {"fetch\n", "fetch sha256:12\n", "fetch  sha256:00\n", "FETCH sha256:00\n", "secret-token\n"}) {
    found.clear();
    wrong += wrong_if(parse_tokens(bad, found).has_value() || found.size() != 1 || found[0].line != 1, bad);
    wrong += wrong_if(found[0].message.find("secret-token") != std::string::npos, "a token is not printed");
  }
  return wrong;
}

int wrong_authorizations() {
  // printf %s open-sesame | sha256sum
  const char* hex = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
  const Tokens tokens(
      {{"other", *parse_digest("sha256:" + kDigest)}, {"reader", *parse_digest(std::string("sha256:") + hex)}});
  const struct {
    const char* header;
    bool allowed;
  } rows[] = {
      {"Bearer open-sesame", true},
      {"bearer open-sesame", true},
      {"BEARER open-sesame", true},
      {"Bearer open-sesam", false},
      {"Bearer open-sesame ", false},
      {"Bearer  open-sesame", false},
      {"Basic open-sesame", false},
      {"open-sesame", false},
      {"Bearer ", false},
      {"Bearer", false},
      {"", false},
      {hex, false},
      {"Beareropen-sesame", false},
  };
  int wrong = 0;
  for (const auto& row : rows) wrong += wrong_if(tokens.allow(row.header) != row.allowed, row.header);
  return wrong + wrong_if(Tokens({}).allow("Bearer open-sesame"), "no tokens, no reader");
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_values(void**) {
  assert_int_equal(wrong_values(), 0);
}
void test_tokens_files(void**) {
  assert_int_equal(wrong_tokens_files(), 0);
}
void test_authorizations(void**) {
  assert_int_equal(wrong_authorizations(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_cases),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_tokens_files),
      cmocka_unit_test(test_authorizations),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
