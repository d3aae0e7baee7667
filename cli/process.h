// Runs OpenSSH's tools: no shell, this program's own terminal and environment.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass::cli {

struct Finished {
  int status = 0;      // exit status; 128 + signal when one ended it
  std::string output;  // what it wrote to stdout, at most 1 MiB; empty when not captured
};

enum class Streams {
  captured,  // stdout is read, stderr and stdin are /dev/null
  fed,       // stdin is `input`, stdout is read; stderr is ours
  terminal,  // stdin and stderr are ours, so that PIN and touch prompts are seen; stdout goes to stderr
};

// argv[0] is looked up in PATH. Ctrl-C reaches the child only: this program carries on and cleans up. Error:
// unavailable.
Result<Finished> run(const std::vector<std::string>& argv, Streams streams, std::string_view input = {});

// A directory of mode 0700 in $XDG_RUNTIME_DIR, $TMPDIR or /tmp that goes away, with the files in it, at the end of
// scope.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> create();
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace hallpass::cli
