// A directory in place of a host's /, removed at the end.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/layout.h"

namespace hallpass::testing {

class FakeRoot {
 public:
  FakeRoot() {
    // In memory, for flushing a disk takes its time.
    char fast[] = "/dev/shm/hallpass-setup-XXXXXX", name[] = "/tmp/hallpass-setup-XXXXXX";
    layout.root = mkdtemp(fast) != nullptr ? fast : mkdtemp(name) != nullptr ? name : "";
    if (layout.root.empty()) std::abort();
  }
  ~FakeRoot() {
    std::error_code ignored;
    std::filesystem::remove_all(layout.root, ignored);
  }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(layout.at(path)).parent_path());
    std::ofstream(layout.at(path), std::ios::binary) << text;
  }

  Layout layout;
};

}  // namespace hallpass::testing
