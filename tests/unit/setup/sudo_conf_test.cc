#include "agent/setup/sudo_conf.h"

#include <string>

#include "agent/setup/text_diff.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

#define OURS "/usr/lib/hallpass/hallpass_sudo.so"
#define THREE "Plugin hallpass_policy " OURS "\nPlugin sudoers_io sudoers.so\nPlugin hallpass_audit " OURS "\n"
#define SITE "Plugin sudoers_policy sudoers.so\nPlugin sudoers_io sudoers.so\nPlugin sudoers_audit sudoers.so\n"

struct Good {
  const char* name;
  const char* before;
  const char* after;
  const char* without;  // taken out again by the text alone
};

const Good kGood[] = {
    {"empty", "", THREE, SITE},
    {"Debian's: all in comments", "#Plugin sudoers_policy sudoers.so\nSet disable_coredump false\n",
     "#Plugin sudoers_policy sudoers.so\nSet disable_coredump false\n" THREE,
     "#Plugin sudoers_policy sudoers.so\nSet disable_coredump false\n" SITE},
    {"three in their places", "Path askpass /bin/x\n" SITE "Debug sudo /var/log/x all@warn\n",
     "Path askpass /bin/x\n" THREE "Debug sudo /var/log/x all@warn\n",
     "Path askpass /bin/x\n" SITE "Debug sudo /var/log/x all@warn\n"},
    {"options go along",
     "plugin\tsudoers_policy  sudoers.so sudoers_file=/etc/s sudoers_mode=0400\nPlugin sudoers_audit sudoers.so a=1\n",
     "Plugin hallpass_policy " OURS
     " sudoers_file=/etc/s sudoers_mode=0400\nPlugin sudoers_io sudoers.so\nPlugin hallpass_audit " OURS " a=1\n",
     "Plugin sudoers_policy sudoers.so sudoers_file=/etc/s sudoers_mode=0400\nPlugin sudoers_io sudoers.so\n"
     "Plugin sudoers_audit sudoers.so a=1\n"},
    {"sudoers reads them when the audit plugin opens",
     "Plugin sudoers_policy /usr/libexec/sudo/sudoers.so sudoers_uid=5\n",
     "Plugin hallpass_policy " OURS " sudoers_uid=5\nPlugin sudoers_io sudoers.so\nPlugin hallpass_audit " OURS
     " sudoers_uid=5\n",
     "Plugin sudoers_policy sudoers.so sudoers_uid=5\nPlugin sudoers_io sudoers.so\nPlugin sudoers_audit sudoers.so "
     "sudoers_uid=5\n"},
    {"other plugins stay", "Plugin sample_io sample_plugin.so\nPlugin sudoers_io sudoers.so\nPlugin x_approval x.so",
     "Plugin sample_io sample_plugin.so\n" THREE "Plugin x_approval x.so\n",
     "Plugin sample_io sample_plugin.so\n" SITE "Plugin x_approval x.so\n"},
    {"ours twice, and in disorder", "Plugin hallpass_audit x.so\nSet a b\n" THREE THREE, THREE "Set a b\n",
     SITE "Set a b\n"},
    {"continued", "Plugin sudoers_policy \\\n sudoers.so \\\n a=1\nSet a b\n",
     "Plugin hallpass_policy " OURS " a=1\nPlugin sudoers_io sudoers.so\nPlugin hallpass_audit " OURS " a=1\nSet a b\n",
     "Plugin sudoers_policy sudoers.so a=1\nPlugin sudoers_io sudoers.so\nPlugin sudoers_audit sudoers.so a=1\nSet a "
     "b\n"},
    {"Windows line ends", "Set a b\r\nPlugin sudoers_policy sudoers.so\r\n",
     "Set a b\r\nPlugin hallpass_policy " OURS "\r\nPlugin sudoers_io sudoers.so\r\nPlugin hallpass_audit " OURS "\r\n",
     "Set a b\r\nPlugin sudoers_policy sudoers.so\r\nPlugin sudoers_io sudoers.so\r\nPlugin sudoers_audit "
     "sudoers.so\r\n"},
    {"no line end at the end", "Set a b", "Set a b\n" THREE, "Set a b\n" SITE},
};

int wrong_good() {
  int wrong = 0;
  for (const Good& c : kGood) {
    const Result<std::string> put = put_sudo_lines(c.before);
    wrong += wrong_if(!put || *put != c.after, c.name);
    if (!put) continue;
    wrong += wrong_if(!has_sudo_lines(*put), c.name);
    const Result<std::string> again = put_sudo_lines(*put);
    wrong += wrong_if(!again || *again != *put, c.name);
    wrong += wrong_if(without_sudo_lines(*put) != c.without || has_sudo_lines(without_sudo_lines(*put)), c.name);
  }
  return wrong;
}

int wrong_bad() {
  const std::pair<const char*, const char*> cases[] = {
      {"another policy", "Set a b\nPlugin python_policy python_plugin.so ModulePath=x\n"},
      {"another library", "\nPlugin sudoers_policy mine.so\n"},
      {"another library for the log", "#\nPlugin sudoers_io /opt/x.so\n"},
  };
  int wrong = 0;
  for (const auto& [name, text] : cases) {
    const Result<std::string> put = put_sudo_lines(text);
    wrong += wrong_if(
        put || put.error().code != Errc::mismatch || put.error().message.find("line 2") == std::string::npos, name);
  }
  const std::string others = "Plugin sudoers_policy sudoers.so";
  return wrong + wrong_if(without_sudo_lines(others) != others, "nothing of ours: nothing changes") +
         wrong_if(has_sudo_lines("#" THREE), "a comment is no line") +
         wrong_if(has_sudo_lines("Plugin hallpass_policy x.so\n"), "one of two");
}

int wrong_diffs() {
  const std::string a = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n";
  std::string b = a;
  b.replace(b.find("2\n"), 2, "two\n");
  b.replace(b.find("15\n"), 3, "15\nmore\t\x1b\n");
  const std::string expected =
      "--- x\n+++ y\n@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -13,4 +13,5 @@\n 13\n 14\n 15\n+more\t\\x1b\n 16\n";
  return wrong_if(unified_diff(a, b, "x", "y") != expected, "two hunks") +
         wrong_if(!unified_diff(a, a, "x", "y").empty(), "no difference") +
         wrong_if(unified_diff("", "a\n", "x", "y") != "--- x\n+++ y\n@@ -0,0 +1,1 @@\n+a\n", "a new file") +
         wrong_if(unified_diff("a", "a\n", "x", "y") !=
                      "--- x\n+++ y\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n",
                  "only the line end");
}

void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}
void test_bad(void**) {
  assert_int_equal(wrong_bad(), 0);
}
void test_diffs(void**) {
  assert_int_equal(wrong_diffs(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_diffs)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
