// What the tests of the queue share: a directory that goes away, and alerts to put there.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "notify/alert.h"
#include "notify/queue.h"
#include "notify/spool.h"

namespace hallpass::testing {

inline void must(bool ok) {
  if (!ok) std::abort();
}

class TempDir {
 public:
  TempDir() {
    // In memory where there is some: the queue flushes often.
    path_ = (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + std::string("/hallpass-notify-XXXXXX");
    must(mkdtemp(path_.data()) != nullptr);
    must(mkdir(queue().c_str(), 0700) == 0);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string queue() const { return path_ + "/alerts"; }
  std::string counter() const { return path_ + "/alert-number"; }

 private:
  std::string path_;
};

inline std::string read_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline Alert alert_of(const std::string& event, const std::string& message = "something happened") {
  return {"web-3", from_unix(1'800'000'000), event, 3, message, {{"GRANT", "k7m3-9x2d-q4fh"}}};
}

// Sorted names in the queue.
inline std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The events of what `receiver` gets, in order, each taken.
inline std::string deliver_all(const std::string& directory, std::vector<std::string> receivers,
                               const std::string& receiver) {
  Result<Spool> spool = Spool::open(directory, std::move(receivers));
  must(spool.has_value() && spool->refresh(from_unix(1'800'000'000)).has_value());
  std::string got;
  while (const auto number = spool->next(receiver)) {
    const Result<QueuedDocument> alert = spool->read(*number);
    got += (got.empty() ? "" : " ") + (alert ? alert->head.event : "?");
    must(spool->delivered(*number, receiver).has_value());
  }
  return got;
}

}  // namespace hallpass::testing
