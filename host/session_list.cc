// All of the registry in one reading: for the agent.
#include <dirent.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/values/bytes.h"
#include "host/session.h"
#include "host/small_file.h"

namespace hallpass {

Result<Registry> read_registry(const std::string& dir) {
  if (const Status ours = private_directory(dir); !ours) return ours.error();
  Registry registry;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) {
      registry.names.emplace_back(name);
      continue;
    }
    const auto bytes = hex_decode(name.substr(dot + 1));  // else it is not finished
    Digest grant;
    if (!bytes || bytes->size() != grant.bytes.size()) continue;
    std::copy(bytes->begin(), bytes->end(), grant.bytes.begin());
    registry.used[std::string(name.substr(0, dot))].push_back(grant);
  }
  std::sort(registry.names.begin(), registry.names.end());
  for (auto& [name, grants] : registry.used) std::sort(grants.begin(), grants.end());
  return registry;
}

}  // namespace hallpass
