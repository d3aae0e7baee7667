#include "cli/context.h"

#include <fmt/core.h>

#include "core/edge/tzdb.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

constexpr Seconds kWarnBeforePolicyEnds{30 * 24 * 3600};

}  // namespace

Context::Context(GlobalOptions options, Config config)
    : options_(std::move(options)),
      config_(std::move(config)),
      out_(options_.json, options_.no_color),
      zone_(local_zone()) {}

UnixTime Context::now() {
  return std::chrono::floor<Seconds>(std::chrono::system_clock::now());
}

Result<std::string> Context::dir() const {
  std::string dir = options_.dir.empty() ? config_.dir : options_.dir;
  if (dir.empty()) {
    return Error{Errc::malformed,
                 fmt::format("which directory? use --dir DIR, or write dir = \"/srv/hallpass\" in {}/config.toml",
                             shorten_home(config_directory()))};
  }
  while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
  return dir;
}

Result<Workspace> Context::open_workspace() {
  const auto where = dir();
  if (!where) return where.error();
  auto workspace = Workspace::open(where.value());
  if (!workspace) return workspace;
  warn_of_files(workspace.value());
  const Policy& policy = workspace->policy();
  const Times clock = times();
  if (clock.now() >= policy.valid_until) {
    out_.warn(fmt::format("the policy ended {}: hosts admit nobody until a newer one is signed",
                          clock.with_left(policy.valid_until)));
  } else if (policy.valid_until - clock.now() < kWarnBeforePolicyEnds) {
    out_.warn(fmt::format("the policy is valid until {} only; its admins should sign a newer one",
                          clock.with_left(policy.valid_until)));
  }
  return workspace;
}

void Context::warn_of_files(const Workspace& workspace) {
  const auto& rejected = workspace.rejected();
  if (rejected.empty()) return;
  if (options_.verbose) {
    for (const Rejected& r : rejected) {
      const std::string where = r.line == 0 ? printable(r.file) : fmt::format("{}:{}", printable(r.file), r.line);
      out_.warn(fmt::format("ignored {}: {}", where, r.error.message));
    }
    return;
  }
  out_.warn(fmt::format("ignored {} in {} (--verbose names them)",
                        count_of(rejected.size(), "entry that is no statement of this fleet",
                                 "entries that are no statements of this fleet"),
                        shorten_home(workspace.dir())));
}

void Context::warn_of_policy(const Workspace& workspace) {
  if (workspace.trust().level == PolicyTrust::Level::unsigned_)
    out_.warn("policy.toml cannot count yet: " + workspace.trust().sentence);
}

Result<Identity> Context::identity(const Policy& policy) const {
  const std::string as = options_.as.empty() ? config_.me : options_.as;
  // A key of the configuration belongs to the person of the configuration; --as NAME looks for NAME's own.
  const bool other_person = !options_.as.empty() && options_.as != config_.me;
  const std::string key = !options_.key.empty() ? options_.key : other_person ? "" : config_.key;
  // --key alone says who: its owner.
  return who_am_i(policy, !options_.key.empty() && options_.as.empty() ? "" : as, key);
}

std::string Context::name_if_known(const Policy& policy) const {
  if (!options_.as.empty()) return options_.as;
  if (!config_.me.empty() && options_.key.empty()) return config_.me;
  const auto me = identity(policy);
  return me ? me->name : "";
}

bool Context::agreed(std::string_view question, bool stdin_used, int* exit_code) {
  if (options_.yes) return true;
  Prompt prompt(stdin_used);
  if (!prompt.available()) {
    *exit_code = out_.fail(Exit::usage,
                           "there is no terminal to ask on; read what stands above, then run this again with --yes");
    return false;
  }
  if (prompt.confirm(question)) return true;
  *exit_code = out_.fail(Exit::refused, "you said no; nothing was signed");
  return false;
}

}  // namespace hallpass::cli
