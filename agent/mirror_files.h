// The files of a mirror of the log, which an unprivileged user fills: opened below the mirror's directory without
// following any link, never waited on, read up to a limit.
#pragma once

#include <memory>
#include <string>

#include "core/log/tile_reader.h"

namespace hallpass {

class MirrorFiles {
 public:
  explicit MirrorFiles(std::string directory) : directory_(std::move(directory)) {}
  ~MirrorFiles();
  MirrorFiles(const MirrorFiles&) = delete;
  MirrorFiles& operator=(const MirrorFiles&) = delete;

  // Opens the directory that stands at the path now. Errors: not_found, unavailable.
  Status open();
  Result<std::string> read(const std::string& path, std::size_t limit) const;
  LogFiles files() const;  // borrows this

 private:
  std::string directory_;
  int fd_ = -1;
};

}  // namespace hallpass
