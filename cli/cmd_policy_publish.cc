// `hallpass policy publish`: a signed policy goes to the hub, which checks it as hosts do.
#include <fcntl.h>
#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/policy_file.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

int publish_to_directory(Context& context, const std::string& file) {
  Output& out = context.out();
  const auto dir = context.dir();
  if (!dir) return out.fail(dir.error());
  const std::string path = dir.value() + "/policy.toml";
  if (file.empty() || file == path) {
    out.note(
        fmt::format("{} is where hosts read it already: once signed there is nothing more to do", shorten_home(path)));
    return 0;
  }
  return out.fail(
      Exit::usage,
      fmt::format("a directory takes a policy by copying; the signatures go first: cp {}.sig {}.sig && cp {} {}",
                  shell_word(file), shell_word(path), shell_word(file), shell_word(path)));
}

int report(Context& context, const Policy& policy, const HubReceipt& receipt) {
  Output& out = context.out();
  for (const std::string& warning : receipt.warnings) out.warn("the hub says: " + warning);
  if (!receipt.all_in()) {
    const HubVerdict& v = receipt.verdicts.front();
    return out.fail(Exit::refused,
                    fmt::format("the hub refuses version {}: {}", policy.version, v.error.empty() ? v.code : v.error));
  }
  const bool known = !receipt.verdicts.empty() && receipt.verdicts.front().status == HubVerdict::Status::known;
  if (out.json()) {
    out.json(JsonObject{{"version", policy.version}, {"digest", format_digest(policy.digest)}, {"known", Json(known)}});
    return 0;
  }
  out.line(known ? fmt::format("The hub has version {} of {} already", policy.version, policy.fleet)
                 : fmt::format("Published version {} of {}", policy.version, policy.fleet));
  return 0;
}

}  // namespace

int cmd_policy_publish(Context& context, const PolicyFileArgs& args) {
  Output& out = context.out();
  if (!context.on_hub()) return publish_to_directory(context, args.file);
  const auto path = policy_path(context, args.file);
  if (!path) return out.fail(path.error());
  const auto mirror = context.hub();
  if (!mirror) return out.fail(mirror.error());
  const auto text = read_file(AT_FDCWD, path.value(), kMaxPolicyBytes, true);
  if (!text) return out.fail(Exit::usage, text.error().message);
  const CheckedPolicy checked = check_policy(text.value(), Context::now());
  if (!checked.policy || has_errors(checked.diagnostics))
    return out.fail(Exit::refused, join_diagnostics(shorten_home(path.value()), checked.diagnostics));
  const auto sig = read_file(AT_FDCWD, path.value() + ".sig", kMaxSignatureFile, true);
  if (!sig) {
    return out.fail(Exit::refused, fmt::format("there is no {}.sig; its admins sign it first: hallpass policy sign {}",
                                               shorten_home(path.value()), shell_word(path.value())));
  }
  const auto receipt = mirror.value()->client().publish_policy(text.value(), sig.value());
  if (!receipt) return out.fail(receipt.error());
  return report(context, *checked.policy, receipt.value());
}

}  // namespace hallpass::cli
