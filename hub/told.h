// Which notices were queued already, so that none is queued again: also after a restart of the hub, which may look once
// more at what it took before. A file of lines, "<id> <seconds since 1970>", that only grows until the next start.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass::hub {

class Told {
 public:
  explicit Told(std::string path) : path_(std::move(path)) {}

  // Reads the file and writes it anew without what is older than the log's horizon. A line that a crash cut is left
  // out. Errors: unavailable (nothing is known then; add() works all the same).
  Status open(UnixTime now);
  bool has(const std::string& id) const { return ids_.count(id) > 0; }
  // Known from now on, also when that cannot be written down. Durable when it returns. Errors: unavailable.
  Status add(std::span<const std::string> ids, UnixTime now);

 private:
  std::string path_;
  std::map<std::string, UnixTime> ids_;
};

}  // namespace hallpass::hub
