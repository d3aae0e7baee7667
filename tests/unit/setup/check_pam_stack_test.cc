#include "agent/setup/check_pam_stack.h"

#include <fstream>  // before cmocka.h, whose fail() is a macro

#include "tests/unit/cmocka.h"
#include "tests/unit/setup/fake_root.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

struct BypassCase {
  const char* name;
  const char* before;  // in sshd's file, before "account required ours.so"
  int line;            // in the file, of the line that can pass ours over; 0: none
};
const BypassCase kBypasses[] = {
    {"nothing", "", 0},
    {"required", "account required pam_x.so\n", 0},
    {"requisite, which only refuses", "account requisite pam_x.so\n", 0},
    {"sufficient", "account required pam_x.so\naccount sufficient pam_y.so\n", 2},
    {"sufficient of another type", "auth sufficient pam_y.so\n", 0},
    {"done", "account [success=done default=ignore] pam_x.so\n", 1},
    {"ok and bad", "account [success=ok ignore=ignore default=bad] pam_x.so\n", 0},
    {"a jump over one line", "account [success=1 default=ignore] pam_x.so\naccount requisite pam_deny.so\n", 0},
    {"a jump over two lines", "account [default=ignore success=2] pam_x.so\naccount requisite pam_deny.so\n", 1},
    {"a jump over a line of another type", "account [success=1] pam_x.so\nauth required pam_y.so\n", 1},
    {"a jump in an included file", "account include jump\n", 1},
    {"a jump at the end of a substack", "account substack jump\n", 0},
    {"sufficient in a substack", "account substack enough\n", 0},
    {"sufficient in an included file", "@include enough\n", 1},
    {"a line that is optional to load", "-account sufficient pam_x.so\n", 1},
    {"capitals", "ACCOUNT sufficient pam_x.so\n", 1},
    {"a comment", "#account sufficient pam_x.so\naccount required pam_x.so # sufficient\n", 0},
    {"a line in two", "account \\\n  sufficient pam_x.so\n", 1},
    {"a file that includes itself", "account include sshd\n", 0},
    {"a file that is not there", "account include nowhere\n@include\naccount\n", 0},
};

bool bypass_is_wrong(const BypassCase& c) {
  FakeRoot root;
  root.write("/etc/pam.d/sshd", std::string(c.before) + "account required /x/ours.so mode=observe\n");
  root.write("/etc/pam.d/jump", "account [success=1] pam_j.so\n");
  root.write("/etc/pam.d/enough", "account sufficient pam_s.so\n");
  const auto lines = read_pam_stack(root.layout, "sshd");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].is_module("ours.so")) continue;
    const int by = bypassed_by(lines, i);
    const int line = by < 0 ? 0 : lines[static_cast<std::size_t>(by)].line;
    return line != c.line || !lines[i].has("mode=observe") || lines[i].has("mode");
  }
  return true;
}

int wrong_bypasses() {
  int wrong = 0;
  for (const BypassCase& c : kBypasses) wrong += wrong_if(bypass_is_wrong(c), c.name);
  return wrong;
}
void test_bypasses(void** /*state*/) {
  assert_int_equal(wrong_bypasses(), 0);
}

int wrong_includes() {
  FakeRoot root;
  root.write("/etc/pam.d/sshd", "auth required a.so\n@include common\nsession include common\nsession required c.so\n");
  root.write("/etc/pam.d/common", "account required b.so\nsession optional s.so x=1 y\n");
  const auto lines = read_pam_stack(root.layout, "sshd");
  std::string modules;
  for (const PamLine& line : lines) modules += line.module + "@" + line.file.substr(11) + " ";
  int wrong = wrong_if(modules != "a.so@sshd b.so@common s.so@common s.so@common c.so@sshd ", modules.c_str());
  wrong += wrong_if(!read_pam_stack(root.layout, "nowhere").empty(), "no such service");
  return wrong;
}
void test_includes(void** /*state*/) {
  assert_int_equal(wrong_includes(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_bypasses), cmocka_unit_test(test_includes)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
