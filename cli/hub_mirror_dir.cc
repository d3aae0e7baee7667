// The second half of hub_mirror.h: a plain directory out of the log's entries and what lies beside it.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "cli/hosts.h"
#include "cli/hub_news.h"
#include "cli/workspace.h"
#include "core/dsse.h"
#include "core/edge/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log/merkle.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxPoliciesBack = 64;  // how far to look for one that trust.toml's admins lead to
constexpr std::string_view kBefore = "log-";
constexpr std::string_view kAfter = ".grant";

std::vector<std::string> names_in(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator at(dir, failed), end; !failed && at != end; at.increment(failed))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// What is in the files of one bundle by now, line by line.
std::vector<std::string> lines_of(const std::string& dir, const std::vector<std::string>& names, std::uint64_t bundle) {
  std::vector<std::string> lines;
  for (const std::string& name : names) {
    if (bundle_of_grant_file(name) != bundle) continue;
    const auto content = read_file(AT_FDCWD, dir + "/" + name, kMaxGrantFile);
    if (!content) continue;
    for (const std::string_view line : grant_file_lines(content.value())) lines.emplace_back(line);
  }
  return lines;
}

Status write_if_other(const std::string& path, std::string_view content) {
  const auto old = read_file(AT_FDCWD, path, kMaxGrantFile);
  if (old && old.value() == content) return Unit{};
  return write_file_durably(path, content, 0600);
}

// Which policy an entry of the log is about; its signatures are looked at later, with its text.
std::optional<PolicyHint> policy_of(const LogEntry& entry) {
  const auto envelope = parse_envelope(entry.bytes);
  const auto json = envelope ? parse_json(as_text(envelope->payload)) : Result<Json>(envelope.error());
  if (!json) return std::nullopt;
  const Json* version = json->find("version");
  const Json* hex = json->find("sha256");
  if (version == nullptr || version->as_int() == nullptr || hex == nullptr || hex->as_string() == nullptr)
    return std::nullopt;
  const auto digest = parse_digest("sha256:" + *hex->as_string());
  if (!digest) return std::nullopt;
  return PolicyHint{*version->as_int(), digest.value(), entry.index};
}

// Not durably: what is damaged here is fetched again.
void write_tile(const std::string& path, const std::string& bytes) {
  std::error_code failed;
  fs::create_directories(fs::path(path).parent_path(), failed);
  const std::string beside = path + ".new";
  {
    std::ofstream file(beside, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.flush();
    if (!file) return;
  }
  fs::rename(beside, path, failed);
}

// A tile that a log of `size` entries still needs.
bool is_needed(const std::string& path, std::uint64_t size, std::uint64_t live_from) {
  const auto name = parse_tile_path(path);
  if (!name) return false;
  const unsigned level = name->entries ? 0 : name->level;
  if (name->width != kTileWidth) return name->width == tile_width(level, name->index, size);
  return !name->entries || (name->index + 1) * kTileWidth > live_from;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> grant_files(std::uint64_t bundle,
                                                             const std::vector<std::string>& lines) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& line : lines) {
    if (out.empty() || out.back().second.size() + line.size() + 1 > kMaxGrantFile) {
      const std::string part = out.empty() ? "" : fmt::format("-{}", out.size() + 1);
      out.emplace_back(fmt::format("{}{:012}{}{}", kBefore, bundle, part, kAfter), "");
    }
    out.back().second += line + "\n";
  }
  return out;
}

std::optional<std::uint64_t> bundle_of_grant_file(std::string_view name) {
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter)) return std::nullopt;
  const std::string_view digits =
      name.substr(kBefore.size(), name.find_first_of("-.", kBefore.size()) - kBefore.size());
  std::uint64_t bundle = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bundle);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return bundle;
}

Status HubMirror::keep_entries(const News& news) const {
  const std::vector<std::string> names = names_in(dir());
  std::map<std::uint64_t, std::vector<std::string>> fresh;
  std::set<std::string_view> all;
  for (const LogEntry& entry : news.entries) {
    // A line end in an entry would be two lines here; what we sign has none.
    if (entry_kind(entry.bytes) != EntryKind::statement || entry.bytes.find('\n') != std::string::npos) continue;
    fresh[entry.index / kTileWidth].push_back(entry.bytes);
    all.insert(entry.bytes);
  }
  for (auto& [bundle, entries] : fresh) {
    std::vector<std::string> lines = lines_of(dir(), names, bundle);
    std::set<std::string> known(lines.begin(), lines.end());
    for (std::string& entry : entries) {
      if (known.insert(entry).second) lines.push_back(std::move(entry));
    }
    for (const auto& [name, content] : grant_files(bundle, lines)) {
      if (auto written = write_if_other(dir() + "/" + name, content); !written) return written;
    }
  }
  for (const std::string& name : names) {
    const auto bundle = bundle_of_grant_file(name);
    const std::string path = dir() + "/" + name;
    if (bundle && (*bundle + 1) * kTileWidth <= news.live_from) unlink(path.c_str());
    if (bundle || !name.ends_with(kAfter) || all.empty()) continue;
    // A statement published from here is in the log now; its own file was for the time between.
    const auto content = read_file(AT_FDCWD, path, kMaxGrantFile);
    const std::string_view line = content ? std::string_view(content.value()) : std::string_view();
    if (line.ends_with('\n') && all.contains(line.substr(0, line.size() - 1))) unlink(path.c_str());
  }
  return Unit{};
}

// Entries, and the tiles above their own hashes: with them proofs can be made while the hub is away.
void HubMirror::keep_tiles(News& news) {
  TileReader reader(reading(news), news.size);
  for (unsigned level = 1; news.size > 0 && level <= top_level(news.size); ++level) {
    const std::uint64_t hashes = news.size >> (8 * level);
    if (hashes != 0 && !reader.tile(level, (hashes - 1) / kTileWidth)) break;
  }
  for (const auto& [path, bytes] : news.files) {
    if (path.starts_with("tile/")) write_tile(root_ + "/" + path, bytes);
  }
  std::vector<fs::path> old;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(root_ + "/tile", failed), end; !failed && at != end; at.increment(failed)) {
    if (!at->is_regular_file(failed)) continue;
    if (!is_needed(at->path().string().substr(root_.size() + 1), news.size, news.live_from)) old.push_back(at->path());
  }
  for (const fs::path& path : old) fs::remove(path, failed);
}

// True: it is here, under its version.
bool HubMirror::bring_policy(const PolicyHint& wanted, SyncReport& report) {
  const std::string path = fmt::format("{}/policy-{}.toml", dir(), wanted.version);
  const auto have = read_file(AT_FDCWD, path, kMaxTomlBytes);
  if (have && sha256(as_bytes(have.value())) == wanted.sha256) return true;
  const auto text = client_.file(policy_text_path(wanted.sha256), kMaxTomlBytes);
  const auto sig = client_.file(policy_signature_path(wanted.sha256), kMaxSignatureFile);
  std::string fault;
  if (!text) {
    fault = text.error().message;
  } else if (!sig) {
    fault = sig.error().message;
  } else if (!(sha256(as_bytes(text.value())) == wanted.sha256)) {
    fault = "its text is not the one that was signed";
  } else {
    std::vector<Diagnostic> diagnostics;
    const auto policy = parse_policy(text.value(), diagnostics);
    if (policy && policy->version == wanted.version) {
      auto written = write_file_durably(path + ".sig", sig.value(), 0600);
      if (written) written = write_file_durably(path, text.value(), 0600);
      if (written) return true;
      fault = written.error().message;
    } else {
      fault = diagnostics.empty() ? "its version is another" : format_diagnostic("policy.toml", diagnostics.front());
    }
  }
  report.warnings.push_back(fmt::format("policy version {} cannot be used: {}", wanted.version, printable(fault, 500)));
  return false;
}

// All that trust.toml needs to reach the newest, newest first. False: something is still to be fetched.
bool HubMirror::bring_policies(const News& news, SyncReport& report) {
  std::map<std::int64_t, PolicyHint> wanted;
  const auto listed = client_.file(std::string(kPolicyHintsPath), kMaxPolicyHintsBytes);
  if (const auto hints =
          listed ? parse_policy_hints(listed.value()) : Result<std::vector<PolicyHint>>(listed.error())) {
    for (const PolicyHint& hint : hints.value()) wanted[hint.version] = hint;
  }
  for (const LogEntry& entry : news.entries) {
    if (entry_kind(entry.bytes) != EntryKind::policy) continue;
    if (const auto policy = policy_of(entry)) wanted[policy->version] = *policy;
  }
  bool all = listed || listed.error().code == Errc::not_found;
  int tried = 0;
  for (auto next = wanted.rbegin(); next != wanted.rend() && tried < kMaxPoliciesBack; ++next, ++tried) {
    if (!bring_policy(next->second, report)) {
      all = false;
      continue;
    }
    const std::vector<KeptPolicy> kept = kept_policies(dir());
    if (kept.empty()) continue;
    const KeptPolicy& newest = kept.back();
    if (check_policy_trust(*newest.policy, newest.sig, kept, trust_).level != PolicyTrust::Level::unsigned_) break;
  }
  return all;
}

// policy.toml is the newest that those who are trusted have signed; where there is none, the newest.
Status HubMirror::choose_policy(SyncReport& report) const {
  const std::vector<KeptPolicy> kept = kept_policies(dir());
  if (kept.empty()) return Unit{};
  const auto chosen = std::find_if(kept.rbegin(), kept.rend(), [&](const KeptPolicy& k) {
    return check_policy_trust(*k.policy, k.sig, kept, trust_).level != PolicyTrust::Level::unsigned_;
  });
  const KeptPolicy& policy = chosen == kept.rend() ? kept.back() : *chosen;
  if (policy.policy->version != kept.back().policy->version) {
    report.warnings.push_back(fmt::format(
        "policy version {} is here, but {} is used: {}", kept.back().policy->version, policy.policy->version,
        check_policy_trust(*kept.back().policy, kept.back().sig, kept, trust_).sentence));
  }
  const auto text = read_file(AT_FDCWD, fmt::format("{}/policy-{}.toml", dir(), policy.policy->version), kMaxTomlBytes);
  if (!text) return text.error();
  const auto old = read_file(AT_FDCWD, dir() + "/policy.toml", kMaxTomlBytes);
  report.changed = report.changed || !old || old.value() != text.value();
  if (auto written = write_if_other(dir() + "/policy.toml.sig", policy.sig); !written) return written;
  return write_if_other(dir() + "/policy.toml", text.value());
}

// Advice; without it people see less, that is all.
void HubMirror::bring_hosts(SyncReport& report) {
  const std::string path = dir() + "/hosts.toml";
  const auto text = client_.file("hosts.toml", kMaxTomlBytes);
  if (!text) {
    if (text.error().code == Errc::not_found) unlink(path.c_str());
    return;
  }
  std::vector<Diagnostic> diagnostics;
  if (!parse_hosts(text.value(), diagnostics)) {
    report.warnings.push_back("the hub's hosts.toml cannot be used: " +
                              format_diagnostic("hosts.toml", diagnostics.front()));
    return;
  }
  if (const auto written = write_if_other(path, text.value()); !written)
    report.warnings.push_back(written.error().message);
}

// Of the copy; of level 0 made from the entries; else from the hub.
LogFiles HubMirror::files() {
  return [this](const std::string& path, std::size_t limit) -> Result<std::string> {
    if (auto copy = from_copy(path, limit)) return copy;
    const auto name = parse_tile_path(path);
    if (name && !name->entries && name->level == 0) {
      for (const std::uint64_t width : {name->width, kTileWidth}) {
        const auto bundle = from_copy(bundle_path(name->index, width), kMaxBundleBytes);
        const auto entries =
            bundle ? decode_bundle(bundle.value(), name->width) : Result<std::vector<std::string_view>>(bundle.error());
        if (!entries) continue;
        std::vector<Digest> hashes;
        for (const std::string_view entry : entries.value()) hashes.push_back(leaf_hash(as_bytes(entry)));
        return encode_tile(hashes);
      }
    }
    return client_.file(path, limit);
  };
}

}  // namespace hallpass::cli
