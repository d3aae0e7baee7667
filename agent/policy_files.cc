// Reading policies from a directory, oldest first.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "agent/policies.h"
#include "agent/watched_directory.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

// More versions than anyone keeps; the highest stay, for the walk must end at the newest.
constexpr std::size_t kMaxVersions = 1000;

std::set<std::int64_t> versions_in(int directory_fd, std::int64_t above) {
  std::set<std::int64_t> versions;
  const int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : fdopendir(fd);
  if (stream == nullptr) {
    if (fd >= 0) ::close(fd);
    return versions;
  }
  while (const struct dirent* entry = readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (input_kind(name) != InputKind::policy || name.substr(0, 7) != "policy-") continue;
    const std::int64_t version = std::strtoll(entry->d_name + 7, nullptr, 10);
    if (version > above) versions.insert(version);
    if (versions.size() > kMaxVersions) versions.erase(versions.begin());
  }
  closedir(stream);
  return versions;
}

}  // namespace

void read_policy_files(int directory_fd, const std::string& path, std::int64_t above,
                       const std::function<bool(PolicyCandidate&&)>& each) {
  std::vector<std::string> names;
  for (const std::int64_t version : versions_in(directory_fd, above)) {
    names.push_back("policy-" + std::to_string(version) + ".toml");
  }
  names.emplace_back("policy.toml");
  for (const std::string& name : names) {
    Result<std::string> toml = read_file(directory_fd, name, kMaxPolicyBytes);
    if (!toml && toml.error().code == Errc::not_found) continue;
    Result<std::string> sig = read_file(directory_fd, name + ".sig", kMaxPolicySignatureBytes);
    // Signatures may arrive a moment after the text: not there yet is nothing to tell.
    if (!sig && sig.error().code == Errc::not_found) continue;
    PolicyCandidate candidate{path + "/" + name, {}, {}};
    if (toml && sig) {
      candidate.files = {std::move(*toml), std::move(*sig)};
      while (!candidate.files.sig.empty() && candidate.files.sig.back() == '\n') candidate.files.sig.pop_back();
    }
    if (!toml || !sig) candidate.fault = toml ? sig.error().message : toml.error().message;
    if (!each(std::move(candidate))) return;
  }
}

}  // namespace hallpass
