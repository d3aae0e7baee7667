#include "agent/ctl/observed_command.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/ctl/observed_view.h"
#include "agent/ctl/session_commands.h"
#include "core/edge/config_file.h"
#include "core/values/text.h"
#include "host/clock.h"

namespace hallpass {
namespace {

struct Typed {
  std::string since = "7d";
  bool json = false;
};

// nullptr: none is in force, or it cannot be read.
std::shared_ptr<const Policy> policy_of(const Layout& layout) {
  const Result<std::string> text = read_file(AT_FDCWD, layout.policy_in_force(), kMaxPolicyBytes);
  std::vector<Diagnostic> ignored;
  return text ? parse_policy(*text, ignored) : nullptr;
}

int run_observed(const Layout& layout, const Typed& typed) {
  if (geteuid() != 0) return complain("only root may do that: sudo hallpass host observed");
  const Result<Seconds> length = parse_duration(typed.since);
  if (!length) {
    complain("--since: " + length.error().message + "; write for example 7d or 12h");
    return kUsage;
  }
  std::string faults;
  const auto config = read_config_file<HostConfig>(layout.host_config(), parse_host_config, faults);
  if (!config) return complain(faults);
  Observed observed;
  observed.host = config->host.name;
  observed.now = read_clock().wall;
  Result<Observations> seen = read_observations(layout, observed.now - *length);
  if (!seen) return complain(seen.error().message);
  const std::shared_ptr<const Policy> policy = policy_of(layout);
  observed.has_policy = policy != nullptr;
  look_closer(*seen, layout, policy.get(), config->host);
  if (policy != nullptr) observed.proposal = propose(*seen, *policy, config->host);
  observed.seen = std::move(*seen);
  const std::string text = typed.json ? to_pretty_json(observed_json(observed)) : observed_lines(observed);
  std::fputs(text.c_str(), stdout);
  return kFine;
}

}  // namespace

void add_observed_command(CLI::App& app, const Layout& layout, int& code) {
  const auto typed = std::make_shared<Typed>();
  CLI::App* command = app.add_subcommand("observed", "what observe mode would have refused, and what would admit it");
  command->add_option("--since", typed->since, "how far back, for example 7d")
      ->type_name("TIME")
      ->capture_default_str();
  command->add_flag("--json", typed->json, "as JSON");
  command->callback([&layout, &code, typed] { code = run_observed(layout, *typed); });
}

}  // namespace hallpass
