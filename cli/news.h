// Waiting for news from where statements are published: a directory by inotify (and a look every second), a hub by its
// long poll.
#pragma once

#include <string>

#include "cli/context.h"

namespace hallpass::cli {

class News {
 public:
  News(Context& context, const Workspace& workspace);
  ~News();
  News(const News&) = delete;
  News& operator=(const News&) = delete;

  // Returns when there may be something new or `until` has come, with `workspace` up to date. A hub that is away is
  // told once and waited for. Error: unavailable (the directory is gone).
  Status wait(Workspace& workspace, UnixTime until);

 private:
  Status wait_for_directory(Workspace& workspace, UnixTime until);
  Status wait_for_hub(Workspace& workspace, UnixTime until);
  std::string look() const;  // names, sizes and times of the directory's files

  Context& context_;
  std::string dir_;
  std::string seen_;
  int fd_ = -1;
};

}  // namespace hallpass::cli
