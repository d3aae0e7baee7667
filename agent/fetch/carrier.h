// One place that has the log's files, of which nothing is believed.
#pragma once

#include <string>

#include "core/values/result.h"

namespace hallpass {

class Carrier {
 public:
  virtual ~Carrier() = default;
  // A file by its path below the log's prefix. Errors: not_found, too_large, malformed (a redirect), unavailable.
  virtual Result<std::string> file(const std::string& path, std::size_t limit) = 0;
};

}  // namespace hallpass
