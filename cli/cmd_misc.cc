// `hallpass host`, `time`, `done`, `version` and the hidden `complete`.
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "cli/commands.h"
#include "cli/grants.h"

namespace hallpass::cli {
namespace {

constexpr const char* kHostTool = "/usr/libexec/hallpass/ctl";

}  // namespace

int run_host_tool(const std::string& typed, const std::vector<std::string>& arguments) {
  std::string name = typed;
  std::vector<char*> argv{name.data()};
  std::vector<std::string> copies = arguments;
  for (std::string& a : copies) argv.push_back(a.data());
  argv.push_back(nullptr);
  execv(kHostTool, argv.data());
  const int error = errno;
  Output out(false, false);
  if (error == ENOENT) {
    return out.fail(Exit::refused, fmt::format("this is no host with hallpass's agent ({} is missing); type `{}` on "
                                               "the production host",
                                               kHostTool, typed));
  }
  return out.fail(Exit::refused, fmt::format("cannot run {}: {}", kHostTool, std::generic_category().message(error)));
}

int cmd_version(Context& context) {
  if (context.out().json()) {
    context.out().json(JsonObject{{"version", HALLPASS_VERSION}, {"policy_format", kPolicyFormat}});
  } else {
    context.out().line(fmt::format("hallpass {}", HALLPASS_VERSION));
  }
  return 0;
}

int cmd_complete(Context& context, const std::vector<std::string>& words) {
  if (words.empty()) return 0;
  const auto workspace = context.open_quietly();
  if (!workspace) return 0;
  Output& out = context.out();
  const Policy& policy = workspace->policy();
  if (words[0] == "runbooks") {
    for (const auto& [name, runbook] : policy.runbooks) out.line(name);
  } else if (words[0] == "people") {
    for (const auto& [name, person] : policy.people) out.line(name);
  } else if (words[0] == "hosts") {
    for (const HostIdentity& host : workspace->hosts().all) out.line(host.name);
  } else if (words[0] == "ids") {
    for (const Grant& g : view_all(workspace.value(), Context::now())) {
      if (g.live()) out.line(g.id());
    }
  } else if (words[0] == "params" && words.size() > 1) {
    const auto runbook = policy.runbooks.find(words[1]);
    if (runbook == policy.runbooks.end()) return 0;
    for (const auto& [name, choices] : runbook->second.parameters) {
      // The directory's policy need not be signed, and shells put these words on the command line as they are.
      for (const std::string& choice : choices) {
        if (shell_word(choice) == choice) out.line(fmt::format("{}={}", name, choice));
      }
    }
  }
  return 0;
}

}  // namespace hallpass::cli
