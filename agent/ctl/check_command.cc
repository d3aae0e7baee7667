#include "agent/ctl/check_command.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "agent/ctl/check_view.h"
#include "agent/ctl/session_commands.h"

namespace hallpass {
namespace {

constexpr int kCouldNotLook = 3;

bool wants_colour() {
  const char* no = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no == nullptr || *no == '\0');
}

// /etc/shadow, /etc/sudoers and hallpass's own files are root's: what others see of them would look like faults.
int run_check(const Layout& layout, bool as_json) {
  if (geteuid() != 0) {
    complain("only root can look at all there is to check: sudo hallpass host check");
    return kCouldNotLook;
  }
  const CheckReport report = look_at_host(layout);
  std::fputs((as_json ? check_json(report) : check_lines(report, wants_colour())).c_str(), stdout);
  return check_code(report);
}

}  // namespace

void add_check_command(CLI::App& app, const Layout& layout, int& code) {
  CLI::App* check = app.add_subcommand("check", "what is wrong on this host, worst first, each with its cure");
  const auto json = std::make_shared<bool>(false);
  check->add_flag("--json", *json, "as JSON");
  check->callback([&layout, &code, json] { code = run_check(layout, *json); });
}

}  // namespace hallpass
