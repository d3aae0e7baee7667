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

Result<HubMirror*> Context::hub() {
  if (hub_) return hub_.get();
  if (!options_.hub.empty() && !options_.dir.empty())
    return Error{Errc::malformed, "--dir and --hub are two places; use one of them"};
  HubConfig config = config_.hub;
  if (!options_.hub.empty()) {
    const auto url = hub_url(options_.hub);
    if (!url) return Error{Errc::malformed, "--hub " + url.error().message};
    // A token is for the hub that it was written down for.
    if (!config.url.empty() && config.url != url.value()) config = {};
    config.url = url.value();
  }
  auto client = HubClient::open(config);
  if (!client) return client.error();
  auto trust = load_trust();
  if (!trust) return trust.error();
  hub_ = std::make_unique<HubMirror>(std::move(client).value(), std::move(trust).value());
  return hub_.get();
}

Result<std::string> Context::dir() const {
  if (on_hub()) {
    return Error{Errc::malformed,
                 "this works on files, and statements go to a hub here; name the file, or a directory with --dir DIR"};
  }
  std::string dir = options_.dir.empty() ? config_.dir : options_.dir;
  if (dir.empty()) {
    return Error{
        Errc::malformed,
        fmt::format("which directory? use --dir DIR, or write dir = \"/srv/hallpass\" (or hub = \"https://HOST\") in "
                    "{}/config.toml",
                    shorten_home(config_directory()))};
  }
  while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
  return dir;
}

Result<Workspace> Context::open_workspace() {
  Result<Workspace> workspace(Error{});
  if (on_hub()) {
    const auto mirror = hub();
    if (!mirror) return mirror.error();
    const SyncReport report = mirror.value()->sync(now());
    workspace = open_copy(report);
    if (workspace) tell(report);
  } else {
    const auto where = dir();
    if (!where) return where.error();
    workspace = Workspace::open(where.value());
  }
  if (!workspace) return workspace;
  warn_of_files(workspace.value());
  warn_of_end(workspace.value());
  return workspace;
}

Result<Workspace> Context::open_quietly() {
  if (on_hub()) {
    const auto mirror = hub();
    return mirror ? Workspace::open(mirror.value()->dir()) : Result<Workspace>(mirror.error());
  }
  const auto where = dir();
  return where ? Workspace::open(where.value()) : Result<Workspace>(where.error());
}

Status Context::refresh(Workspace& workspace, const std::string* note) {
  Result<Workspace> again(Error{});
  if (on_hub()) {
    const auto mirror = hub();
    if (!mirror) return mirror.error();
    const SyncReport report = mirror.value()->sync(now(), note);
    tell(report);
    if (!report.changed && !has_grown()) return Unit{};
    again = open_copy(report);
  } else {
    again = Workspace::open(workspace.dir());
  }
  if (!again) return again.error();
  workspace = std::move(again).value();
  return Unit{};
}

bool Context::has_grown() {
  const auto head = hub_ ? hub_->head() : std::nullopt;
  return head && head->size != opened_;
}

void Context::catch_up() {
  if (const auto mirror = hub()) tell(mirror.value()->sync(now()));
}

// Errors say that there is no copy: what cannot be brought up to date can be read all the same.
Result<Workspace> Context::open_copy(const SyncReport& report) {
  const HubMirror& mirror = *hub_;
  const auto lock = MirrorLock::take(mirror.root(), false);
  const auto head = mirror.head();
  auto workspace = Workspace::open(mirror.dir());
  if (workspace) {
    opened_ = head ? head->size : 0;
    workspace->set_place(hub_->client().url());
    return workspace;
  }
  if (report.synced_at) {
    if (workspace.error().code != Errc::unavailable) return workspace;
    return Error{Errc::unavailable,
                 fmt::format("{} has no policy yet; its admins publish one: hallpass policy publish FILE",
                             hub_->client().url())};
  }
  const std::string message = report.error.message + "; there is no copy of its log here yet";
  const bool wrong_token = report.outcome == SyncReport::Outcome::away && report.error.code == Errc::untrusted;
  if (report.outcome == SyncReport::Outcome::refused) out_.alarm(report.error.message);
  return Error{wrong_token ? Errc::malformed : Errc::unavailable, message};
}

void Context::tell(const SyncReport& report) {
  const std::string since = report.synced_at ? fmt::format("{} ({} ago)", times().brief(*report.synced_at),
                                                           rough_duration(now() - *report.synced_at))
                                             : "an unknown time";
  std::string now_told = fmt::format("{} {}", static_cast<int>(report.outcome), report.error.message);
  for (const std::string& warning : report.warnings) now_told += warning;
  if (now_told == told_) return;
  const bool first = told_.empty();
  told_ = std::move(now_told);
  switch (report.outcome) {
    case SyncReport::Outcome::fresh:
      if (!first && report.warnings.empty()) out_.note("the hub answers again");
      break;
    case SyncReport::Outcome::away:
      out_.warn(fmt::format("{}; reading goes on from the copy of {}", report.error.message, since));
      break;
    case SyncReport::Outcome::refused:
      out_.alarm(
          fmt::format("{}; nothing of it is believed. Reading goes on from the copy of {}. Tell the hub's admin, "
                      "and compare with hosts; if it was set up anew on purpose: rm -r {}",
                      report.error.message, since, shorten_home(hub_->root())));
      break;
  }
  for (const std::string& warning : report.warnings) out_.warn(warning);
  if (first && !hub_->verifies()) {
    out_.warn(
        fmt::format("the log is not verified: trust.toml has no [log]; write the hub's key into {}/trust.toml "
                    "(statements are verified all the same)",
                    shorten_home(config_directory())));
  }
}

void Context::warn_of_end(const Workspace& workspace) {
  const Policy& policy = workspace.policy();
  const Times clock = times();
  if (clock.now() >= policy.valid_until) {
    out_.warn(fmt::format("the policy ended {}: hosts admit nobody until a newer one is signed",
                          clock.with_left(policy.valid_until)));
  } else if (policy.valid_until - clock.now() < kWarnBeforePolicyEnds) {
    out_.warn(fmt::format("the policy is valid until {} only; its admins should sign a newer one",
                          clock.with_left(policy.valid_until)));
  }
}

void Context::warn_of_files(const Workspace& workspace) {
  std::vector<Rejected> rejected = workspace.rejected();
  // The hub took only what the policy of that day knew: people who left since are no news.
  if (on_hub() && !options_.verbose)
    std::erase_if(rejected, [](const Rejected& r) { return r.error.code == Errc::unknown_key; });
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
                        workspace.place()));
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
