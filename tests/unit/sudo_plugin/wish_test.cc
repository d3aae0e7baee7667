#include "sudo_plugin/wish.h"

#include <algorithm>

#include "tests/unit/sudo_plugin/vectors.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)
using hallpass::test::Words;
using Mode = Wish::Mode;
using List = std::vector<std::string>;

// What sudo 1.9.13 hands over for any call.
const List kAlways = {
    "plugin_dir=/usr/libexec/sudo/", "progname=sudo",        "network_addrs=10.0.0.1/255.0.0.0", "max_groups=64",
    "intercept_setid=true",          "intercept_ptrace=true"};

struct Case {
  const char* name;
  List settings;
  List argv;
  int optind;
  Mode mode;
  const char* user;
  const char* group;
  const char* program;
  List arguments;
  List environment;
  const char* cannot;
};

const Case kCases[] = {
    {"a bare name", {}, {"sudo", "env", "-i"}, 1, Mode::run, "root", "", "/usr/bin/env", {"-i"}, {}, ""},
    {"a path", {}, {"sudo", "/tmp/env"}, 1, Mode::run, "root", "", "/tmp/env", {}, {}, ""},
    {"a relative path is no other", {}, {"sudo", "./env"}, 1, Mode::run, "root", "", "./env", {}, {}, ""},
    {"a name that is nowhere", {}, {"sudo", "no-such-program"}, 1, Mode::run, "root", "", "", {}, {}, ""},
    {"user and group",
     {"runas_user=bob", "runas_group=adm"},
     {"sudo", "-u", "bob", "-g", "adm", "env"},
     5,
     Mode::run,
     "bob",
     "adm",
     "/usr/bin/env",
     {},
     {},
     ""},
    {"a variable before the command",
     {},
     {"sudo", "A=1", "env"},
     2,
     Mode::run,
     "root",
     "",
     "/usr/bin/env",
     {},
     {"A"},
     ""},
    {"a variable where the options end",
     {},
     {"sudo", "A=1", "env"},
     1,
     Mode::run,
     "root",
     "",
     "/usr/bin/env",
     {},
     {"A"},
     ""},
    {"variables to keep",
     {},
     {"sudo", "--preserve-env=A,B", "env"},
     2,
     Mode::run,
     "root",
     "",
     "/usr/bin/env",
     {},
     {"A", "B"},
     ""},
    {"variables to keep, abbreviated",
     {},
     {"sudo", "--pres=A", "env"},
     2,
     Mode::run,
     "root",
     "",
     "/usr/bin/env",
     {},
     {"A"},
     ""},
    {"an operand that looks like one gives less",
     {"prompt=a=b"},
     {"sudo", "-p", "a=b", "env"},
     3,
     Mode::run,
     "root",
     "",
     "/usr/bin/env",
     {},
     {"a"},
     ""},
    {"no command", {}, {"sudo", "-l"}, 2, Mode::none, "root", "", "", {}, {}, ""},
    {"a shell", {"run_shell=true"}, {"sudo", "-s"}, 2, Mode::shell, "root", "", "", {}, {}, ""},
    {"a login shell", {"login_shell=true"}, {"sudo", "-i", "id"}, 2, Mode::shell, "root", "", "", {}, {}, ""},
    {"edit",
     {"sudoedit=true"},
     {"sudo", "-e", "/etc/a", "/etc/b"},
     2,
     Mode::edit,
     "root",
     "",
     "",
     {"/etc/a", "/etc/b"},
     {},
     ""},
    {"-E", {"preserve_environment=true"}, {"sudo", "-E", "env"}, 2, Mode::none, "root", "", "", {}, {}, "-E"},
    {"-E, not given",
     {"preserve_environment=false"},
     {"sudo", "env"},
     1,
     Mode::run,
     "root",
     "",
     "/usr/bin/env",
     {},
     {},
     ""},
    {"-R", {"cmnd_chroot=/"}, {"sudo", "-R", "/", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-R"},
    {"-D", {"cmnd_cwd=/"}, {"sudo", "-D", "/", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-D"},
    {"-T", {"timeout=9"}, {"sudo", "-T", "9", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-T"},
    {"-h", {"remote_host=x"}, {"sudo", "-h", "x", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-h"},
    {"-P", {"preserve_groups=true"}, {"sudo", "-P", "env"}, 2, Mode::none, "root", "", "", {}, {}, "-P"},
    {"-C", {"closefrom=9"}, {"sudo", "-C", "9", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-C"},
    {"-r", {"selinux_role=x"}, {"sudo", "-r", "x", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-r"},
    {"-t", {"selinux_type=x"}, {"sudo", "-t", "x", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-t"},
    {"-D, to a folder with a misleading name",
     {"cmnd_cwd=/tmp/x=false"},
     {"sudo", "-D", "/tmp/x=false", "env"},
     3,
     Mode::none,
     "root",
     "",
     "",
     {},
     {},
     "-D"},
    {"a setting of a later sudo",
     {"new_power=true"},
     {"sudo", "env"},
     1,
     Mode::none,
     "root",
     "",
     "",
     {},
     {},
     "new_power"},
    {"for another user's list", {}, {"sudo", "-lU", "bob", "env"}, 3, Mode::none, "root", "", "", {}, {}, "-U"},
    {"for another user's list, abbreviated",
     {},
     {"sudo", "-l", "--o=bob", "env"},
     3,
     Mode::none,
     "root",
     "",
     "",
     {},
     {},
     "--other-user"},
    {"a user whose name has a U",
     {"runas_user=U"},
     {"sudo", "-uU", "env"},
     2,
     Mode::run,
     "U",
     "",
     "/usr/bin/env",
     {},
     {},
     ""},
};

int wrong_typed() {
  int wrong = 0;
  for (const Case& c : kCases) {
    List all = kAlways;
    all.insert(all.end(), c.settings.begin(), c.settings.end());
    Words settings(all), argv(c.argv);
    const Wish w = typed_wish(Vector(settings.get()), c.optind, argv.get());
    List arguments(w.arguments.begin(), w.arguments.end());
    if (c.mode == Mode::none || c.mode == Mode::shell) arguments.clear();
    wrong += wrong_if(w.mode != c.mode || w.user != c.user || w.group != c.group || w.program != c.program ||
                          arguments != c.arguments || w.environment != c.environment || w.cannot != c.cannot,
                      c.name);
  }
  return wrong;
}

struct Resolved {
  const char* name;
  Mode mode;
  List info;
  List argv;
  List run_argv;
  bool understood;
  const char* program;
  List arguments;
};

const Resolved kResolved[] = {
    {"as typed", Mode::run, {"command=/usr/bin/env"}, {"env", "a"}, {"env", "a"}, true, "/usr/bin/env", {"a"}},
    {"another path", Mode::run, {"command=/tmp/env"}, {"env"}, {"env"}, true, "/tmp/env", {}},
    {"another root directory", Mode::run, {"command=/usr/bin/env", "chroot=/x"}, {"env"}, {"env"}, false, "", {}},
    {"no command", Mode::run, {"runas_uid=0"}, {"env"}, {"env"}, false, "", {}},
    {"no argument vector", Mode::run, {"command=/usr/bin/env"}, {"env"}, {}, false, "", {}},
    {"edit instead of run",
     Mode::run,
     {"command=/usr/bin/vi", "sudoedit=true"},
     {"env"},
     {"vi", "--", "/x"},
     false,
     "",
     {}},
    {"run instead of edit", Mode::edit, {"command=/usr/bin/vi"}, {"sudoedit", "/a"}, {"vi", "--", "/a"}, false, "", {}},
    {"edit",
     Mode::edit,
     {"sudoedit=true"},
     {"sudoedit", "/a", "/b"},
     {"vi", "-n", "--", "/a", "/b"},
     true,
     "",
     {"/a", "/b"}},
    {"edit with a file that the editor's words brought",
     Mode::edit,
     {"sudoedit=true"},
     {"sudoedit", "/a"},
     {"vi", "--", "/shadow", "/a"},
     false,
     "",
     {}},
    {"edit without files", Mode::edit, {"sudoedit=true"}, {"sudoedit"}, {"vi", "--"}, false, "", {}},
};

int wrong_resolved() {
  int wrong = 0;
  for (const Resolved& c : kResolved) {
    Wish typed;
    typed.mode = c.mode;
    Words info(c.info), argv(c.argv), run(c.run_argv);
    const auto w = resolved_wish(typed, Vector(info.get()), argv.get(), run.get());
    const bool fits = w && w->program == c.program && List(w->arguments.begin(), w->arguments.end()) == c.arguments;
    wrong += wrong_if(c.understood ? !fits : w.has_value(), c.name);
  }
  return wrong;
}

int wrong_shells() {
  const List shells = shells_of("root", 0);
  const auto has = [&](const char* path) { return std::find(shells.begin(), shells.end(), path) != shells.end(); };
  return wrong_if(!has("/bin/sh") || !has("/usr/bin/sh") || !has("/bin/bash") || !has("/usr/bin/bash"),
                  "root's shell") +
         wrong_if(has("/usr/bin/env") || has(""), "no shell");
}

void test_typed(void**) {
  assert_int_equal(wrong_typed(), 0);
}
void test_resolved(void**) {
  assert_int_equal(wrong_resolved(), 0);
}
void test_shells(void**) {
  assert_int_equal(wrong_shells(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_typed), cmocka_unit_test(test_resolved),
                              cmocka_unit_test(test_shells)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
