// What a <path:...> token lets through, looked at on the file system: every directory on the way is root's and nobody
// else's to write, nothing is a link, and at the end stands a regular file or a directory.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/values/pattern.h"

namespace hallpass {

class RootOwnedPaths : public PathCheck {
 public:
  bool allows(std::string_view prefix, std::string_view tail) const override;
};

// What on the way to a program somebody else than root and `target` could change: a directory, a link or the program
// itself, with another owner or with a mode that lets group or others write. Links are followed. Empty: nothing; "the
// way to it" when that cannot be told. Without this a caller who stops sudo between its check and its exec could put
// something else there, whatever digest was demanded.
std::string changeable_on_the_way(const std::string& program, uid_t target);

}  // namespace hallpass
