// What a <path:...> token lets through, looked at on the file system: every directory on the way is root's and nobody
// else's to write, nothing is a link, and at the end stands a regular file or a directory.
#pragma once

#include "core/values/pattern.h"

namespace hallpass {

class RootOwnedPaths : public PathCheck {
 public:
  bool allows(std::string_view prefix, std::string_view tail) const override;
};

}  // namespace hallpass
