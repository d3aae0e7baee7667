#include "agent/setup/sshd_config.h"

#include <map>

#include "agent/setup/self_test_sshd.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

std::string read_all(const std::map<std::string, std::string>& texts,
                     const std::map<std::string, std::vector<std::string>>& patterns) {
  SshdFiles files;
  files.read = [&](const std::string& path) { return texts.contains(path) ? texts.at(path) : ""; };
  files.names = [&](const std::string& pattern) {
    return patterns.contains(pattern) ? patterns.at(pattern) : std::vector<std::string>();
  };
  std::string out;
  for (const SshdLine& line : read_sshd_lines(files))
    out += line.where() + " " + line.keyword + "|" + line.value + "\n";
  return out;
}

struct Case {
  const char* name;
  std::string config, lines;
};

int wrong_lines() {
  const std::map<std::string, std::vector<std::string>> patterns = {
      {"/etc/ssh/sshd_config.d/*.conf", {"/etc/ssh/sshd_config.d/a.conf", "/etc/ssh/sshd_config.d/b.conf"}},
      {"/etc/ssh/one", {"/etc/ssh/one"}},
      {"/else/with blank", {"/else/with blank"}},
      {"/loop", {"/loop"}}};
  const Case cases[] = {
      {"nothing", "", ""},
      {"comments and blanks", "# a\n\n  \t\n #b\n", ""},
      {"keywords in any case, blanks, =", "UsePAM yes\n\tuselogin=no \r\nPort = 22\nMatch User bob\n",
       "/etc/ssh/sshd_config:1 usepam|yes\n/etc/ssh/sshd_config:2 uselogin|no\n/etc/ssh/sshd_config:3 port|22\n"
       "/etc/ssh/sshd_config:4 match|User bob\n"},
      {"files in their place", "A 1\nInclude /etc/ssh/sshd_config.d/*.conf\nB 2\n",
       "/etc/ssh/sshd_config:1 a|1\n/etc/ssh/sshd_config:2 include|/etc/ssh/sshd_config.d/*.conf\n"
       "/etc/ssh/sshd_config.d/a.conf:1 x|1\n/etc/ssh/sshd_config.d/b.conf:2 y|2\n/etc/ssh/sshd_config:3 b|2\n"},
      {"a relative name, and one in quotes", "Include one \"/else/with blank\" # /etc/ssh/sshd_config.d/*.conf\n",
       "/etc/ssh/sshd_config:1 include|one \"/else/with blank\" # /etc/ssh/sshd_config.d/*.conf\n"
       "/etc/ssh/one:1 one|1\n/else/with blank:1 two|2\n"},
      {"no newline at the end", "A 1", "/etc/ssh/sshd_config:1 a|1\n"},
      {"a keyword alone", "A", "/etc/ssh/sshd_config:1 a|\n"},
  };
  int wrong = 0;
  for (const Case& c : cases) {
    const std::map<std::string, std::string> texts = {{kSshdConfig, c.config},
                                                      {"/etc/ssh/sshd_config.d/a.conf", "X 1\n"},
                                                      {"/etc/ssh/sshd_config.d/b.conf", "\nY 2\n"},
                                                      {"/etc/ssh/one", "one 1"},
                                                      {"/else/with blank", "two 2"}};
    wrong += wrong_if(read_all(texts, patterns) != c.lines, c.name);
  }
  const std::string loop = read_all({{kSshdConfig, "Include /loop"}, {"/loop", "Include /loop"}}, patterns);
  return wrong + wrong_if(loop.size() > 2000, "a file that includes itself");
}

int wrong_without() {
  const std::vector<std::string> keywords = {"allowusers", "port"};
  const Case cases[] = {
      {"nothing to do", "UsePAM yes\n# AllowUsers x\n", "UsePAM yes\n# AllowUsers x\n"},
      {"in any case, with =", "ALLOWUSERS=bob\nPort 22\nX 1\n",
       "#hallpass-selftest# ALLOWUSERS=bob\n#hallpass-selftest# Port 22\nX 1\n"},
      {"in a Match block", "Match User a\n  AllowUsers b\n", "Match User a\n#hallpass-selftest#   AllowUsers b\n"},
      {"not what only begins so", "PortX 1\n", "PortX 1\n"},
      {"no newline at the end", "Port 1", "#hallpass-selftest# Port 1"},
      {"an empty line stays one", "\n\nX 1\n\n", "\n\nX 1\n\n"},
  };
  int wrong = 0;
  for (const Case& c : cases) wrong += wrong_if(without_keywords(c.config, keywords) != c.lines, c.name);
  return wrong;
}

int wrong_with() {
  const std::vector<SshdLine> lines = {{"/a", 1, "port", "1"}, {"/a", 2, "usepam", "no"}, {"/b", 1, "port", "2"}};
  const auto ports = lines_with(lines, "Port");
  return wrong_if(ports.size() != 2 || ports[0].where() != "/a:1" || ports[1].where() != "/b:1",
                  "lines with a keyword") +
         wrong_if(!lines_with(lines, "match").empty(), "none");
}

int wrong_keys() {
  const Case cases[] = {
      {"all", "ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512", "ed25519"},
      {"only P-256", "ecdsa-sha2-nistp256,rsa-sha2-512", "ecdsa"},
      {"only RSA", "rsa-sha2-512", "rsa"},
      {"only security keys", "sk-ssh-ed25519@openssh.com", ""},
      {"not told", "", ""},
  };
  int wrong = 0;
  for (const Case& c : cases) wrong += wrong_if(acceptable_key_type(c.config) != c.lines, c.name);
  return wrong;
}

int wrong_listeners() {
  constexpr std::string_view kTable =
      "  sl  local_address rem_address   st tx_queue\n"
      "   0: 0100007F:8235 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 26 1\n"
      "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 26 1\n"
      "   2: 0100007F:8236 0100007F:8235 01 00000000:00000000 00:00000000 00000000     0        0 26 1\n";
  return wrong_if(!has_listener(kTable, 0x8235), "one that listens") +
         wrong_if(has_listener(kTable, 0x8236), "one that is connected") +
         wrong_if(has_listener(kTable, 22), "one on another address") + wrong_if(has_listener("", 1), "none");
}

void test_lines(void**) {
  assert_int_equal(wrong_lines(), 0);
}
void test_without(void**) {
  assert_int_equal(wrong_without(), 0);
}
void test_with(void**) {
  assert_int_equal(wrong_with(), 0);
}
void test_keys(void**) {
  assert_int_equal(wrong_keys(), 0);
}
void test_listeners(void**) {
  assert_int_equal(wrong_listeners(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_without), cmocka_unit_test(test_with),
                              cmocka_unit_test(test_keys), cmocka_unit_test(test_listeners)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
