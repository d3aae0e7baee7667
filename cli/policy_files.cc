// The policy side of workspace.h: reading policies, and how far to believe one.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "cli/config.h"
#include "cli/output.h"
#include "cli/workspace.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

std::vector<std::string> sorted(const std::set<std::string>& names) {
  return {names.begin(), names.end()};
}

// N of "policy-N.toml"; 0 when the name is another.
std::int64_t version_in_name(std::string_view name) {
  static constexpr std::string_view kBefore = "policy-";
  static constexpr std::string_view kAfter = ".toml";
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter) || name.size() <= kBefore.size() + kAfter.size()) return 0;
  const std::string_view digits = name.substr(kBefore.size(), name.size() - kBefore.size() - kAfter.size());
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  return error == std::errc() && end == digits.data() + digits.size() && digits[0] != '0' ? n : 0;
}

// The admins whom a chain of accepted policies leads to, from those that trust.toml pins.
Admins walk(const Trust& trust, const std::vector<KeptPolicy>& kept, std::int64_t below) {
  Admins admins = trust.admins;
  std::int64_t least = 1;
  for (const KeptPolicy& k : kept) {
    if (k.policy->version >= below) break;
    if (!accept_policy(*k.policy, k.sig, admins, trust.fleet, least, {})) continue;
    admins = admins_of(*k.policy);
    least = k.policy->version;
  }
  return admins;
}

}  // namespace

Result<std::shared_ptr<const Policy>> load_policy(const std::string& path) {
  const auto text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
  if (!text) {
    const bool missing = text.error().code == Errc::not_found;
    return Error{
        Errc::unavailable,
        missing
            ? fmt::format("there is no {}; `hallpass policy init` writes a first one, --dir names another directory",
                          shorten_home(path))
            : text.error().message};
  }
  std::vector<Diagnostic> diagnostics;
  auto policy = parse_policy(text.value(), diagnostics);
  if (!policy) return Error{Errc::malformed, join_diagnostics(shorten_home(path), diagnostics)};
  return policy;
}

Result<std::optional<Trust>> load_trust() {
  for (const std::string& path : {config_directory() + "/trust.toml", std::string("/etc/hallpass/trust.toml")}) {
    const auto text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
    if (!text) {
      if (text.error().code == Errc::not_found) continue;
      return text.error();
    }
    std::vector<Diagnostic> diagnostics;
    auto trust = parse_trust(text.value(), diagnostics);
    if (!trust) return Error{Errc::malformed, join_diagnostics(shorten_home(path), diagnostics)};
    return std::optional<Trust>(*std::move(trust));
  }
  return std::optional<Trust>();
}

std::vector<KeptPolicy> kept_policies(const std::string& dir) {
  std::vector<std::pair<std::int64_t, std::string>> names;
  DIR* stream = opendir(dir.c_str());
  if (stream == nullptr) return {};
  while (const dirent* entry = readdir(stream)) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    if (const std::int64_t n = version_in_name(entry->d_name); n > 0) names.emplace_back(n, entry->d_name);
  }
  closedir(stream);
  std::sort(names.begin(), names.end());
  std::vector<KeptPolicy> out;
  for (const auto& [n, name] : names) {
    const auto text = read_file(AT_FDCWD, dir + "/" + name, kMaxTomlBytes, true);
    const auto sig = read_file(AT_FDCWD, dir + "/" + name + ".sig", kMaxSignatureFile, true);
    if (!text || !sig) continue;
    std::vector<Diagnostic> ignored;
    auto policy = parse_policy(text.value(), ignored);
    if (policy && policy->version == n) out.push_back({std::move(policy), sig.value()});
  }
  return out;
}

PolicyTrust check_policy_trust(const Policy& policy, const std::string& sig, const std::vector<KeptPolicy>& kept,
                               const std::optional<Trust>& trust) {
  PolicyTrust out;
  if (sig.empty()) {
    out.sentence = "nobody has signed it (an admin runs: hallpass policy sign); hosts will not take it";
    return out;
  }
  const Admins own = admins_of(policy);
  auto signers = policy_signers(policy, sig, own, {});
  if (!signers) {
    out.sentence =
        fmt::format("policy.toml.sig does not belong to it: {}; hosts will not take it", signers.error().message);
    return out;
  }
  out.signers = std::move(signers).value();
  const std::string by = out.signers.empty() ? "none of its admins" : join_words(sorted(out.signers), "and");
  if (static_cast<int>(out.signers.size()) < own.threshold) {
    out.sentence =
        fmt::format("signed by {}, but {} of its admins must sign; hosts will not take it", by, own.threshold);
    return out;
  }
  if (!trust) {
    out.level = PolicyTrust::Level::self_signed;
    out.sentence = fmt::format(
        "signed by {}, its own admins; there is no trust.toml here to verify them with (hosts have one)", by);
    return out;
  }
  const Status accepted = accept_policy(policy, sig, walk(*trust, kept, policy.version), trust->fleet, 1, {});
  out.level = accepted ? PolicyTrust::Level::verified : PolicyTrust::Level::unsigned_;
  out.sentence = accepted ? fmt::format("signed by {}, verified with trust.toml", by)
                          : fmt::format("trust.toml says no: {}; hosts that pin the same admins will not take it",
                                        accepted.error().message);
  return out;
}

}  // namespace hallpass::cli
