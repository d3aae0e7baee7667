// A policy file before anybody has looked at its signatures: parse, and whatever parses must survive all that is done
// with policies.
#include <cstdint>
#include <cstdlib>

#include "core/policy.h"
#include "core/values/pattern.h"

namespace {

using namespace hallpass;

void demand(bool condition) {
  if (!condition) std::abort();
}

// What parse_policy let through must fill in and parse with every single choice, not only with all of them at once.
void use_runbook(const Runbook& runbook) {
  demand(runbook_digest(runbook) == runbook.digest);
  const auto all = fill_commands(runbook, runbook.parameters);
  demand(all.has_value() || all.error().code == Errc::too_large);
  std::map<std::string, std::vector<std::string>> one;
  for (const auto& [name, choices] : runbook.parameters) one[name] = {choices.back()};
  const auto single = fill_commands(runbook, one);
  demand(single.has_value() && single->size() == runbook.sudo.size());
  for (const Command& command : *single) {
    demand(parse_arguments(command.arguments).has_value());
    demand(!describe_command(command).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<Diagnostic> found;
  const auto policy = parse_policy({reinterpret_cast<const char*>(data), size}, found);
  demand((policy == nullptr) == has_errors(found));
  demand(found.size() <= 1000);
  for (const Diagnostic& d : found) {
    for (const char c : format_diagnostic("policy.toml", d)) demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  if (!policy) return 0;
  for (const auto& [name, runbook] : policy->runbooks) use_runbook(runbook);
  for (const Diagnostic& d : lint_policy(*policy, from_unix(1795000000)))
    demand(d.severity == Diagnostic::Severity::warning);
  demand(describe_changes(*policy, *policy).empty());
  demand(!describe_changes(Policy(), *policy).empty());
  return 0;
}
