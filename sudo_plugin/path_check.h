// What a <path:...> token lets through, looked at on the file system: every directory on the way is root's and nobody
// else's to write, nothing is a link, and at the end stands a regular file or a directory.
#pragma once

#include <string>

#include "core/values/pattern.h"

namespace hallpass {

// A seam for tests; RootOwnedFiles is what sudo runs.
class Files : public PathCheck {
 public:
  // Whether somebody else than root and `target` (a user's name) could change something on the way to a program: a
  // directory, a link or the program itself, with another owner or with a mode that lets group or others write. Links
  // are followed. Empty: nobody could; else what is wrong, for people. Without this a caller who stops sudo between its
  // check and its exec could put something else there, whatever digest was demanded.
  virtual std::string wrong_on_the_way(const std::string& program, const std::string& target) const = 0;
  // Whether two absolute paths lead to the same file.
  virtual bool is_same(const std::string& one, const std::string& other) const = 0;
};

class RootOwnedFiles : public Files {
 public:
  bool allows(std::string_view prefix, std::string_view tail) const override;
  std::string wrong_on_the_way(const std::string& program, const std::string& target) const override;
  bool is_same(const std::string& one, const std::string& other) const override;
};

}  // namespace hallpass
