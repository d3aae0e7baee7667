#include "agent/setup/self_test_plan.h"

#include <set>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string names(const std::vector<MountPlan::File>& files) {
  std::vector<std::string> paths;
  for (const auto& [path, content] : files) paths.push_back(path + "=" + content.bytes);
  return joined(paths);
}

FileChange change(const char* path, bool is_there, bool will_be) {
  FileChange c;
  c.path = path;
  if (is_there) c.before = FileContent{"old", 0644, 0, 0};
  if (will_be) c.after = FileContent{"new", 0644, 0, 0};
  return c;
}

struct PlanCase {
  const char* name;
  Changes changes;
  std::string covered, rebuilt, added, removed, left_out;
};

int wrong_plans() {
  // Of the host. What `before` says is not asked: the host may have changed since.
  const std::set<std::string> there = {"/",
                                       "/etc",
                                       "/etc/pam.d",
                                       "/etc/pam.d/sshd",
                                       "/etc/ssh",
                                       "/etc/ssh/sshd_config.d",
                                       "/etc/ssh/sshd_config.d/hallpass.conf"};
  const auto exists = [&](const std::string& path) { return there.contains(path); };
  const PlanCase cases[] = {
      {"nothing", {}, "", "", "", "", ""},
      {"a file that stays is covered", {change("/etc/pam.d/sshd", true, true)}, "/etc/pam.d/sshd=new", "", "", "", ""},
      {"a file that comes", {change("/etc/sudo.conf", false, true)}, "", "/etc", "/etc/sudo.conf=new", "", ""},
      {"a file that comes in a directory that comes",
       {change("/etc/new/deep/file", false, true)},
       "",
       "/etc",
       "/etc/new/deep/file=new",
       "",
       ""},
      {"a file that goes",
       {change("/etc/ssh/sshd_config.d/hallpass.conf", true, false)},
       "",
       "/etc/ssh/sshd_config.d",
       "",
       "/etc/ssh/sshd_config.d/hallpass.conf",
       ""},
      {"a file that goes, and is gone", {change("/etc/gone", true, false)}, "", "", "", "", ""},
      {"parents before children, each once",
       {change("/etc/ssh/sshd_config.d/a.conf", false, true), change("/etc/ssh/sshd_config.d/b.conf", false, true),
        change("/etc/sudo.conf", false, true)},
       "",
       "/etc /etc/ssh/sshd_config.d",
       "/etc/ssh/sshd_config.d/a.conf=new /etc/ssh/sshd_config.d/b.conf=new /etc/sudo.conf=new",
       "",
       ""},
      {"what PID 1 and polkitd read",
       {change("/etc/systemd/system/session-.scope.d/50-hallpass.conf", false, true),
        change("/etc/polkit-1/rules.d/49-hallpass-linger.rules", false, true)},
       "",
       "",
       "",
       "",
       "/etc/systemd/system/session-.scope.d/50-hallpass.conf /etc/polkit-1/rules.d/49-hallpass-linger.rules"},
  };
  int wrong = 0;
  for (const PlanCase& c : cases) {
    const MountPlan plan = plan_mounts(c.changes, exists);
    wrong += wrong_if(names(plan.covered) != c.covered || joined(plan.rebuilt) != c.rebuilt ||
                          names(plan.added) != c.added || joined(plan.removed) != c.removed ||
                          joined(plan.left_out) != c.left_out,
                      c.name);
  }
  return wrong;
}

struct TextCase {
  const char* name;
  std::string before, after;
};

int wrong_members() {
  const TextCase cases[] = {
      {"the first member", "root:x:0:\nex:x:5:\n", "root:x:0:\nex:x:5:me\n"},
      {"one more", "ex:x:5:rescue\nz:x:6:\n", "ex:x:5:rescue,me\nz:x:6:\n"},
      {"a group that is not there", "root:x:0:\n", "root:x:0:\nex:x:64999:me\n"},
      {"a group that only begins so", "extra:x:5:a\n", "extra:x:5:a\nex:x:64999:me\n"},
      {"no newline at the end", "ex:x:5:a", "ex:x:5:a,me\n"},
      {"a line that is none is left alone", "ex:x\nex:x:5:\n", "ex:x\nex:x:5:\n"},
      {"another group's number", "a:x:64999:\n", "a:x:64999:\nex:x:64998:me\n"},
      {"an empty file", "", "ex:x:64999:me\n"},
  };
  int wrong = 0;
  for (const TextCase& c : cases) wrong += wrong_if(with_member(c.before, "ex", "me") != c.after, c.name);
  return wrong;
}

int wrong_exempt_groups() {
  const TextCase cases[] = {
      {"none named", "account required pam_hallpass.so\n", "hallpass-exempt"},
      {"named", "account required pam_hallpass.so mode=observe exempt_group=wheel # x\n", "wheel"},
      {"named last", "session required pam_hallpass.so post exempt_group=ops", "ops"},
      {"in a comment", "# pam_hallpass.so exempt_group=wheel\n", "hallpass-exempt"},
      {"of another module", "account required pam_other.so exempt_group=wheel\n", "hallpass-exempt"},
      {"no file", "", "hallpass-exempt"},
  };
  int wrong = 0;
  for (const TextCase& c : cases) wrong += wrong_if(exempt_group_of(c.before) != c.after, c.name);
  return wrong;
}

int wrong_access() {
  const TextCase cases[] = {
      {"no rule", "# - : ALL : ALL\n \n", ""},
      {"no file", "", ""},
      {"a rule", "# x\n- : ALL EXCEPT wheel : ALL\n", "+ : me : ALL\n# x\n- : ALL EXCEPT wheel : ALL\n"},
  };
  int wrong = 0;
  for (const TextCase& c : cases) wrong += wrong_if(with_access(c.before, "me") != c.after, c.name);
  return wrong;
}

void test_plans(void**) {
  assert_int_equal(wrong_plans(), 0);
}
void test_members(void**) {
  assert_int_equal(wrong_members(), 0);
}
void test_exempt_groups(void**) {
  assert_int_equal(wrong_exempt_groups(), 0);
}
void test_access(void**) {
  assert_int_equal(wrong_access(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_members),
                              cmocka_unit_test(test_exempt_groups), cmocka_unit_test(test_access)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
