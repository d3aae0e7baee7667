// What sudoers answers is held against what the grant says; the fragment that makes it answer so; the journal's words.
#include <grp.h>

#include "sudo_plugin/authorise.h"
#include "sudo_plugin/fragment.h"
#include "sudo_plugin/path_check.h"
#include "sudo_plugin/records.h"
#include "tests/unit/host/snapshot_fixture.h"
#include "tests/unit/sudo_plugin/vectors.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)
using List = std::vector<std::string>;

Command as(const char* user, const char* group = "") {
  Command c;
  c.as_user = user;
  c.as_group = group;
  c.executables = {"/usr/bin/x"};
  return c;
}

struct Answer {
  const char* name;
  Command command;
  List info;
  bool fits;
};

// Debian's daemon is user and group 1 and in no other group; bin is group 2.
const Answer kAnswers[] = {
    {"root", as("root"), {"runas_uid=0", "runas_gid=0", "runas_groups=0"}, true},
    {"no user said", as("root"), {"runas_gid=0"}, false},
    {"no group said", as("root"), {"runas_uid=0"}, false},
    {"another user", as("root"), {"runas_uid=1", "runas_gid=0"}, false},
    {"another effective user", as("daemon"), {"runas_uid=1", "runas_euid=0", "runas_gid=1"}, false},
    {"a number with more behind it", as("root"), {"runas_uid=0x", "runas_gid=0"}, false},
    {"another group", as("daemon"), {"runas_uid=1", "runas_gid=2"}, false},
    {"another effective group", as("daemon"), {"runas_uid=1", "runas_gid=1", "runas_egid=0"}, false},
    {"the named group", as("daemon", "bin"), {"runas_uid=1", "runas_gid=2", "runas_groups=2,1"}, true},
    {"not the named group", as("daemon", "bin"), {"runas_uid=1", "runas_gid=1"}, false},
    {"a group that the user lacks", as("daemon"), {"runas_uid=1", "runas_gid=1", "runas_groups=1,2"}, false},
    {"groups that are no numbers", as("daemon"), {"runas_uid=1", "runas_gid=1", "runas_groups=1,,"}, false},
    {"the caller's groups", as("daemon"), {"runas_uid=1", "runas_gid=1", "preserve_groups=true"}, false},
    {"a user that is not here", as("no-such-user"), {"runas_uid=1", "runas_gid=1"}, false},
    {"a group that is not here", as("daemon", "no-such-group"), {"runas_uid=1", "runas_gid=1"}, false},
};

int wrong_users() {
  int wrong = 0;
  for (const Answer& c : kAnswers) {
    Words info(c.info);
    wrong += wrong_if(runs_as_another(Vector(info.get()), c.command).empty() != c.fits, c.name);
  }
  return wrong;
}

int wrong_promises() {
  Command deny = as("root"), check = as("root"), digest = as("root");
  deny.subcommands = Subcommands::deny;
  check.subcommands = Subcommands::check;
  digest.sha256 = "aa";
  Words none{}, noexec{"noexec=true"}, intercept{"intercept=true"}, opened{"execfd=5"},
      off{"noexec=false", "intercept=false"}, follow{"sudoedit_follow=true"};
  const auto kept = [](Words& info, const Command& c) { return breaks_promise(Vector(info.get()), c).empty(); };
  return wrong_if(!kept(none, as("root")), "nothing was promised") +
         wrong_if(kept(none, deny) || kept(off, deny), "deny") + wrong_if(!kept(noexec, deny), "deny, kept") +
         wrong_if(kept(none, check) || kept(off, check) || kept(noexec, check), "check") +
         wrong_if(!kept(intercept, check), "check, kept") + wrong_if(kept(none, digest), "sha256") +
         wrong_if(!kept(opened, digest), "sha256, kept") + wrong_if(kept(follow, as("root")), "links");
}

int wrong_fragment() {
  Cover cover;
  cover.command = as("postgres", "adm");
  cover.command.executables = {"/usr/bin/psql", "/bin/psql"};
  cover.command.sha256 = std::string(64, 'a');
  cover.command.subcommands = Subcommands::check;
  cover.command.env_keep = {"LANG", "TZ"};
  Command other = as("postgres", "adm"), foreign = as("root");
  other.executables = {"/usr/bin/less"};
  cover.others = {cover.command, other, foreign};
  const std::string text = fragment_text("Defaults site\n", 1001, cover, {true, true});
  const std::string rule = "#1001 ALL = (postgres : adm) NOPASSWD: NOSETENV: NOFOLLOW: ";
  const std::string mine = rule + "INTERCEPT: sha256:" + std::string(64, 'a') +
                           " /usr/bin/psql, sha256:" + std::string(64, 'a') + " /bin/psql\n";
  const std::size_t at = text.find(mine), others = text.find(rule + "/usr/bin/less\n");
  int wrong =
      wrong_if(!text.starts_with("Defaults site\n"), "the site's Defaults come first") +
      wrong_if(at == std::string::npos, "the command") +
      wrong_if(others == std::string::npos || others > at, "what it may start comes before it: the last rule wins") +
      wrong_if(text.find("/usr/bin/x") != std::string::npos, "no command of another user");
  for (const char* line : {"Defaults env_reset, !setenv,", "Defaults!/usr/bin/psql, /bin/psql env_reset, !setenv,",
                           "Defaults!/usr/bin/psql, /bin/psql env_keep += \"LANG TZ\"\n",
                           "intercept_type=trace, intercept_verify\n", "!log_servers\n", "always_set_home"}) {
    const std::size_t found = text.find(line);
    wrong += wrong_if(found == std::string::npos || found < at, line);
  }
  Cover any;
  any.command = as("root");
  any.command.kind = Command::Kind::any;
  any.command.password = true;
  const std::string all = fragment_text("", 7, any, {});
  wrong += wrong_if(all.find("#7 ALL = (root) PASSWD: NOSETENV: NOFOLLOW: ALL\n") == std::string::npos,
                    "any, with a password");
  return wrong + wrong_if(all.find("intercept") != std::string::npos, "nothing that an old sudo does not know");
}

int wrong_files() {
  Fragment fragment;
  const bool written = static_cast<bool>(fragment.write("text\n"));
  const bool whole = written && read_bytes(fragment.path()) == "text\n";
  const int fd = written ? open(fragment.path().c_str(), O_WRONLY) : -1;
  const bool sealed = fd < 0 || write(fd, "x", 1) < 0;
  if (fd >= 0) close(fd);
  // As root only; elsewhere it must fail whole.
  int wrong =
      geteuid() == 0 ? wrong_if(!whole || !sealed, "the memory file") : wrong_if(written, "only root makes one");
  const ScratchDir dir;
  write_text(dir / "defaults", "Defaults x\n");
  chmod((dir / "defaults").c_str(), 0644);
  const bool read = static_cast<bool>(read_site_defaults(dir / "defaults"));
  wrong += wrong_if(read != (geteuid() == 0), "the site's Defaults must be root's");
  chmod((dir / "defaults").c_str(), 0664);
  wrong += wrong_if(static_cast<bool>(read_site_defaults(dir / "defaults")), "and nobody else's to write");
  std::filesystem::create_symlink("defaults", dir / "link");
  return wrong + wrong_if(static_cast<bool>(read_site_defaults(dir / "link")) ||
                              static_cast<bool>(read_site_defaults(dir / "none")),
                          "a link, nothing");
}

int wrong_paths() {
  const ScratchDir dir;
  const RootOwnedFiles paths;
  std::filesystem::create_directories(dir / "open/sub");
  write_text(dir / "open/file", "x");
  std::filesystem::create_symlink("/usr/bin/sh", dir / "open/sh");
  chmod((dir / "open").c_str(), 0777);
  return wrong_if(!paths.allows("/usr/bin/", "env"), "a file of the system") +
         wrong_if(!paths.allows("/usr/", "share"), "a directory of the system") +
         wrong_if(paths.allows("/usr/bin/", "no-such-file"), "nothing there") +
         wrong_if(paths.allows("/dev/", "null"), "a device") +
         wrong_if(paths.allows("/", "tmp/../etc/passwd"), "dots") +
         wrong_if(paths.allows("/proc/self/", "root/etc/passwd"), "a link of the kernel's") +
         wrong_if(paths.allows("/lib/", "systemd/system"), "a link on the way (where /lib is one)") *
             (std::filesystem::is_symlink("/lib") ? 1 : 0) +
         wrong_if(!paths.is_same("/bin/sh", "/usr/bin/sh") && std::filesystem::is_symlink("/bin"),
                  "one file by two ways") +
         wrong_if(paths.is_same("/usr/bin/sh", "/usr/bin/env"), "two files") +
         wrong_if(paths.wrong_on_the_way(dir / "open/sh", "root").empty(), "a link in a directory that all may write") +
         wrong_if(paths.wrong_on_the_way("/usr/bin/env", "root") != "", "a program of the system") +
         wrong_if(paths.wrong_on_the_way(dir / "open/file", "root").empty(), "a program that all may replace") +
         wrong_if(paths.wrong_on_the_way("/usr/bin/no-such-program", "root").empty(), "no program") +
         wrong_if(paths.allows("/tmp/", "."), "a directory that all may write") +
         wrong_if(paths.allows(dir / "open/", "file"), "a file in one");
}

int wrong_json() {
  struct Case {
    const char* name;
    std::vector<std::string_view> words;
    std::string json;
  };
  const Case cases[] = {
      {"nothing", {}, "[]"},
      {"words", {"a", "", "b c"}, R"(["a","","b c"])"},
      {"quotes and backslashes", {"\"\\"}, R"(["\"\\"])"},
      {"control characters", {"\n\x1b\x7f"}, R"(["\u000a\u001b\u007f"])"},
      {"UTF-8", {"\xc3\xa9"}, "[\"\xc3\xa9\"]"},
      {"bytes that are not", {"\xff\xc3"}, R"(["\udcff\udcc3"])"},
  };
  int wrong = 0;
  bool whole = false;
  for (const Case& c : cases) wrong += wrong_if(json_array(c.words, whole) != c.json || !whole, c.name);
  const std::string big(9000, 'a');
  const std::string cut = json_array({big}, whole);
  wrong += wrong_if(whole || cut.size() > 8200, "a long word is cut, and that is said");
  const std::string most = json_array(std::vector<std::string_view>(100, std::string_view(big).substr(0, 8000)), whole);
  return wrong + wrong_if(whole || most.size() > 65000 || !most.ends_with(",\"...\"]"), "so are many");
}

void test_users(void**) {
  assert_int_equal(wrong_users(), 0);
}
void test_promises(void**) {
  assert_int_equal(wrong_promises(), 0);
}
void test_fragment(void**) {
  assert_int_equal(wrong_fragment(), 0);
}
void test_files(void**) {
  assert_int_equal(wrong_files(), 0);
}
void test_paths(void**) {
  assert_int_equal(wrong_paths(), 0);
}
void test_json(void**) {
  assert_int_equal(wrong_json(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_users),    cmocka_unit_test(test_promises),
                              cmocka_unit_test(test_fragment), cmocka_unit_test(test_files),
                              cmocka_unit_test(test_paths),    cmocka_unit_test(test_json)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
