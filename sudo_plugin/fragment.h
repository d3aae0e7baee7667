// The sudoers file that sudoers.so reads when a grant decides: the site's Defaults and aliases (prepared by the agent),
// the grant's commands, and our own Defaults last. A memory file, which nobody else can open or change.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/values/result.h"
#include "sudo_plugin/grants.h"

namespace hallpass {

// The site's part. Errors: unavailable, untrusted (owner, mode, not a plain file), too_large.
Result<std::string> read_site_defaults(const std::string& path);

// The whole text. Of a sudoers rule only what sudoers is good at is asked: user, target, program, digest, tags;
// arguments are ours.
std::string fragment_text(std::string_view site_defaults, uid_t caller, const Cover& cover, const Abilities& abilities);

class Fragment {
 public:
  Fragment() = default;
  ~Fragment();
  Fragment(const Fragment&) = delete;
  Fragment& operator=(const Fragment&) = delete;
  // Errors: unavailable.
  Status write(std::string_view text);
  const std::string& path() const { return path_; }  // "/proc/self/fd/7"
  // Whether anybody has read it: the kernel notes that, and nobody but sudoers can open it.
  bool was_read() const;
  void close();

 private:
  int fd_ = -1;
  std::string path_;
};

}  // namespace hallpass
