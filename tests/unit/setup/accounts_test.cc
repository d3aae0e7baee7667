#include "agent/setup/accounts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

constexpr char kBlob[] = "AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS";

// A directory in place of /, removed at the end.
struct Root {
  Layout layout;
  Root() {
    char name[] = "/tmp/hallpass-accounts-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    layout.root = name;
  }
  ~Root() { std::filesystem::remove_all(layout.root); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(layout.at(path)).parent_path());
    std::ofstream(layout.at(path)) << text;
  }
};

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/bash\n"
    "sync:x:4:65534:sync:/bin:/bin/sync\n"
    "www:x:33:33:www:/var/www:/usr/sbin/nologin\n"
    "alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\n"
    "# bob is away\n"
    "old:x:1001:1001::/home/old:/bin/sh\n"
    "plain:x:1002:1000::/home/plain:\n"
    "alice:x:0:0::/root:/bin/sh\n"
    "broken:x:abc:1::/:/bin/sh\n"
    "short:x:1\n";
constexpr char kShadow[] =
    "root:*:19000:0:99999:7:::\n"
    "alice:$y$j9T$abcdefghij$klmnopqrstuvwxyz:19000:0:99999:7:::\n"
    "old:!$y$j9T$abcdefghij$klmnopqrstuvwxyz:19000:0:99999:7::1:\n"
    "plain:!:19000:0:99999:7::99999:\n";

struct Expected {
  const char* name;
  bool can_log_in, has_password;
};
const Expected kExpected[] = {
    {"root", true, false}, {"sync", false, false}, {"www", false, false},
    {"alice", true, true}, {"old", false, false},  {"plain", true, false},
};

int wrong_accounts() {
  Root root;
  root.write("/etc/passwd", kPasswd);
  root.write("/etc/shadow", kShadow);
  const auto accounts = read_accounts(root.layout);
  int wrong = wrong_if(!accounts || accounts->size() != std::size(kExpected), "how many accounts there are");
  if (wrong != 0) return wrong;
  for (std::size_t i = 0; i < std::size(kExpected); ++i) {
    const Account& account = (*accounts)[i];
    const Expected& expected = kExpected[i];
    wrong += wrong_if(account.name != expected.name || account.can_log_in != expected.can_log_in ||
                          account.has_password != expected.has_password,
                      expected.name);
  }
  wrong += wrong_if((*accounts)[3].uid != 1000 || (*accounts)[3].home != "/home/alice", "the first line of a name");
  return wrong;
}
void test_accounts(void** /*state*/) {
  assert_int_equal(wrong_accounts(), 0);
}

int wrong_without_files() {
  Root root;
  int wrong = wrong_if(read_accounts(root.layout).has_value(), "without /etc/passwd");
  root.write("/etc/passwd", kPasswd);
  const auto accounts = read_accounts(root.layout);
  wrong += wrong_if(!accounts || accounts->size() != std::size(kExpected), "without /etc/shadow");
  return wrong;
}
void test_without_files(void** /*state*/) {
  assert_int_equal(wrong_without_files(), 0);
}

int wrong_groups() {
  Root root;
  root.write("/etc/passwd", kPasswd);
  root.write("/etc/group", "wheel:x:10:root\nstaff:x:1000:old,,www\nempty:x:77:\n");
  const auto accounts = read_accounts(root.layout);
  if (!accounts) return wrong_if(true, "the accounts");
  const auto staff = group_members(root.layout, "staff", *accounts);
  const auto empty = group_members(root.layout, "empty", *accounts);
  const auto none = group_members(root.layout, "sta", *accounts);
  int wrong = wrong_if(!staff || *staff != std::vector<std::string>{"alice", "old", "plain", "www"}, "with primary");
  wrong += wrong_if(!empty || !empty->empty(), "an empty group");
  wrong += wrong_if(none || none.error().code != Errc::not_found, "no such group");
  return wrong;
}
void test_groups(void** /*state*/) {
  assert_int_equal(wrong_groups(), 0);
}

struct KeyCase {
  const char* name;
  std::string line;
  bool is_key;
  const char* comment;
};
const std::string kKey = std::string("ssh-ed25519 ") + kBlob;
const KeyCase kKeyCases[] = {
    {"a plain key", kKey, true, ""},
    {"with a comment", kKey + " alice@laptop at home", true, "alice@laptop at home"},
    {"indented, with a carriage return", "\t " + kKey + " x\r", true, "x"},
    {"with options", "restrict,from=\"10.0.0.0/8\" " + kKey + " x", true, "x"},
    {"with blanks and quotes in an option", "command=\"echo \\\"a b\\\" c\",no-pty " + kKey, true, ""},
    {"a certificate authority", "cert-authority,principals=\"a b\" " + kKey, true, ""},
    {"a comment", "# " + kKey, false, ""},
    {"an empty line", "", false, ""},
    {"no base64", "ssh-ed25519 AAAA*", false, ""},
    {"no key", "ssh-ed25519", false, ""},
    {"a quote that does not end", "command=\"x " + kKey, false, ""},
};

int wrong_key_lines() {
  int wrong = 0;
  for (const KeyCase& c : kKeyCases) {
    Root root;
    Account account;
    account.name = "alice";
    account.home = "/home/alice";
    root.write("/home/alice/.ssh/authorized_keys", "# first\n" + c.line + "\n");
    const auto keys = authorized_keys(root.layout, account, {".ssh/authorized_keys", "%h/.ssh/authorized_keys"});
    bool bad = keys.size() != (c.is_key ? 1U : 0U);
    if (!bad && c.is_key) {
      bad = keys[0].key != kKey || keys[0].comment != c.comment || keys[0].line != 2 ||
            keys[0].file != "/home/alice/.ssh/authorized_keys" || keys[0].fingerprint.rfind("SHA256:", 0) != 0;
    }
    wrong += wrong_if(bad, c.name);
  }
  return wrong;
}
void test_key_lines(void** /*state*/) {
  assert_int_equal(wrong_key_lines(), 0);
}

int wrong_key_files() {
  Root root;
  Account account;
  account.name = "alice";
  account.home = "/home/alice";
  root.write("/etc/ssh/keys/alice", kKey + "\n");
  root.write("/root/.ssh/authorized_keys", kKey + "\n");
  std::filesystem::create_directories(root.layout.at("/home/alice"));
  int wrong = wrong_if(authorized_keys(root.layout, account, {"/etc/ssh/keys/%u"}).size() != 1, "an absolute pattern");
  wrong += wrong_if(!authorized_keys(root.layout, account, {"/etc/ssh/keys/%x", "none"}).empty(), "an unknown letter");
  std::filesystem::create_directory_symlink(root.layout.at("/root/.ssh"), root.layout.at("/home/alice/.ssh"));
  wrong += wrong_if(!authorized_keys(root.layout, account, {".ssh/authorized_keys"}).empty(), "a link to a directory");
  std::filesystem::remove(root.layout.at("/home/alice/.ssh"));
  std::filesystem::create_directories(root.layout.at("/home/alice/.ssh"));
  std::filesystem::create_symlink(root.layout.at("/root/.ssh/authorized_keys"),
                                  root.layout.at("/home/alice/.ssh/authorized_keys"));
  wrong += wrong_if(!authorized_keys(root.layout, account, {".ssh/authorized_keys"}).empty(), "a link to a file");
  std::filesystem::remove(root.layout.at("/home/alice/.ssh/authorized_keys"));
  if (mkfifo(root.layout.at("/home/alice/.ssh/authorized_keys").c_str(), 0600) != 0) std::abort();
  wrong += wrong_if(!authorized_keys(root.layout, account, {".ssh/authorized_keys"}).empty(), "a FIFO");
  return wrong;
}
void test_key_files(void** /*state*/) {
  assert_int_equal(wrong_key_files(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_accounts),  cmocka_unit_test(test_without_files), cmocka_unit_test(test_groups),
      cmocka_unit_test(test_key_lines), cmocka_unit_test(test_key_files),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
