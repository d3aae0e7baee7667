// All sessions of the registry: for the agent.
#include <dirent.h>

#include <algorithm>
#include <memory>

#include "host/session.h"
#include "host/small_file.h"

namespace hallpass {

Result<std::vector<std::string>> session_names(const std::string& dir) {
  if (const Status ours = private_directory(dir); !ours) return ours.error();
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name.find('.') == std::string_view::npos) names.emplace_back(name);  // else a note, or not finished
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace hallpass
