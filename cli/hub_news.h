// What one look at a hub's log has brought: between cli/hub_mirror.cc, which reads and verifies, and hub_mirror_dir.cc,
// which makes a directory of it.
#pragma once

#include <map>

#include "cli/hub_mirror.h"

namespace hallpass::cli {

struct HubMirror::News {
  bool anew = false;  // as if nothing had been read before
  std::optional<EpochHint> hint;
  bool use_copy = true;    // files of the copy may be read
  bool used_copy = false;  // and were
  std::uint64_t from = 0, size = 0, live_from = 0;
  bool jumped = false;  // entries before `from` were not read, or by another copy
  std::vector<LogEntry> entries;
  std::map<std::string, std::string> files;  // downloaded
  std::optional<Error> trouble;              // of the way there, not of the log
  std::string position;                      // to be remembered once all is kept
  std::string stale;                         // a warning
};

}  // namespace hallpass::cli
