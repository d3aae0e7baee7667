#include "hub/setup.h"

#include <fcntl.h>

#include <algorithm>

#include "core/edge/config_file.h"
#include "core/edge/files.h"
#include "hub/log_check.h"
#include "hub/log_init.h"
#include "hub/static_files.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kMaxTokensFile = std::size_t{256} * 1024;

LogFiles files_below(const std::string& dir) {
  return [dir](const std::string& path, std::size_t limit) { return read_file(AT_FDCWD, dir + "/" + path, limit); };
}

}  // namespace

std::optional<HubConfig> read_hub_config(const std::string& path, std::string& faults) {
  return read_config_file<HubConfig>(path, parse_hub_config, faults);
}

std::optional<Setup> read_setup(const std::string& path, std::string& faults) {
  std::optional<HubConfig> config = read_hub_config(path, faults);
  if (!config) return std::nullopt;
  std::optional<Trust> trust = read_config_file<Trust>(config->trust, parse_trust, faults);
  std::vector<ReadToken> tokens = config->tokens;
  if (!config->tokens_file.empty()) {
    const auto more =
        read_config_file<std::vector<ReadToken>>(config->tokens_file, parse_tokens, faults, kMaxTokensFile);
    if (!more) return std::nullopt;
    tokens.insert(tokens.end(), more->begin(), more->end());
  }
  if (!trust) return std::nullopt;
  return Setup{*std::move(config), *std::move(trust), std::make_shared<const Tokens>(std::move(tokens))};
}

Result<Keys> read_keys(const HubConfig& config) {
  const auto cure = [](const Error& error) {
    return Error{error.code, error.message + "; `hallpass-hub init` makes the log and its keys"};
  };
  Result<NoteSigner> log = load_note_key(config.log_key, NoteKeyType::ed25519);
  if (!log) return cure(log.error());
  Result<NoteSigner> witness = load_note_key(config.witness_key, NoteKeyType::cosignature);
  if (!witness) return cure(witness.error());
  return Keys{*std::move(log), *std::move(witness)};
}

std::string trust_warning(const Trust& trust, const Keys& keys) {
  if (!trust.log || trust.log->log == keys.log.verifier()) return {};
  return "trust.toml believes the log " + trust.log->log.text() + ", and this hub writes " +
         keys.log.verifier().text() + ": hosts with the same trust.toml refuse it; correct the one or the other";
}

StoreOptions store_options(const Setup& setup, const Keys& keys) {
  return {setup.config.log, setup.config.state, keys.log, keys.witness.verifier(), setup.trust.fleet};
}

Status copy_hosts(const HubConfig& config) {
  if (config.hosts_file.empty()) return Unit{};
  const Result<std::string> text = read_file(AT_FDCWD, config.hosts_file, kMaxHostsBytes, true);
  if (!text) return Error{text.error().code, config.hosts_file + ": " + text.error().message};
  return write_file_durably(config.log + "/" + std::string(kHostsPath), *text, 0644);
}

Result<std::string> check_whole_log(const Setup& setup, const Keys& keys, UnixTime now) {
  if (std::string warning = trust_warning(setup.trust, keys); !warning.empty()) {
    return Error{Errc::mismatch, std::move(warning)};
  }
  const StoreOptions options = store_options(setup, keys);
  Landmarks landmarks(options.fleet, options.log_key.verifier());
  std::uint64_t live = 0;
  const LogToCheck log{files_below(options.log_dir), files_below(options.state_dir), options, now};
  const auto checked = check_log(log, landmarks, [&](std::uint64_t, std::string_view) { ++live; });
  if (!checked) return checked.error();
  return "the log " + checked->head.checkpoint.origin + " has " + std::to_string(checked->head.checkpoint.size) +
         " entries, " + std::to_string(live) + " of which are live; all of these were verified\n";
}

Status restore(Service& service, const std::vector<LiveEntry>& entries, const std::vector<PolicyHint>& policies,
               const LogFiles& files) {
  const auto take_policy = [&](const PolicyHint& policy) -> Status {
    const auto toml = files(policy_text_path(policy.sha256), kMaxPolicyBytes);
    if (!toml) return toml.error();
    const auto sig = files(policy_signature_path(policy.sha256), kMaxEnvelopeBytes);
    if (!sig) return sig.error();
    return service.restore_policy(policy.index, *toml, *sig);
  };
  const std::uint64_t first = entries.empty() ? UINT64_MAX : entries.front().index;
  const auto live = std::find_if(policies.begin(), policies.end(), [&](const auto& p) { return p.index >= first; });
  auto next = live == policies.begin() ? live : live - 1;  // the one in force before the live part, too
  for (const LiveEntry& entry : entries) {
    for (; next != policies.end() && next->index <= entry.index; ++next) {
      if (const Status ok = take_policy(*next); !ok) return ok;
    }
    if (entry_kind(entry.bytes) == EntryKind::statement) service.restore_statement(entry.index, entry.bytes);
  }
  for (; next != policies.end(); ++next) {
    if (const Status ok = take_policy(*next); !ok) return ok;
  }
  service.restored();
  return Unit{};
}

}  // namespace hallpass::hub
