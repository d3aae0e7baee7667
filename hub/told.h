// Which notices were queued already, so that none is queued again: also after a restart of the hub, which may look once
// more at what it took before. A file of lines, "<id> <seconds since 1970>"; what is older than the log's horizon is
// left out whenever it is written anew: at the start, and each time that it has grown by kToldGrowth.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass::hub {

inline constexpr std::size_t kToldGrowth = std::size_t{8} * 1024 * 1024;

class Told {
 public:
  explicit Told(std::string path, std::size_t growth = kToldGrowth) : path_(std::move(path)), growth_(growth) {}

  // Reads the file and writes it anew. A line that a crash cut is left out. Errors: unavailable (nothing is known then;
  // add() works all the same).
  Status open(UnixTime now);
  bool has(const std::string& id) const { return ids_.count(id) > 0; }
  // Known from now on, also when that cannot be written down. Durable when it returns. Errors: unavailable.
  Status add(std::span<const std::string> ids, UnixTime now);

 private:
  Status write_anew(UnixTime now);

  std::string path_;
  std::size_t growth_, grown_ = 0;
  std::map<std::string, UnixTime> ids_;
};

}  // namespace hallpass::hub
