// Files that must outlive a power cut, written below one directory that is held open.
//
// put(): a temporary beside the target, written, flushed, renamed over it. sync(): each directory that got a name since
// is flushed once, so that many files cost few flushes. A crash before sync() leaves the old file, the new one, or a
// temporary `.<name>.new`, which the next put() of that name replaces; after it, the new file.
// The first error is final: the kernel may have dropped what it could not write and will not say so twice, so nothing
// is tried again and every later call fails with the same words. Not for several threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"
#include "notify/descriptor.h"

namespace hallpass::hub {

class DurableTree {
 public:
  // `path`: a directory that exists. Error: unavailable.
  static Result<DurableTree> open(const std::string& path);

  // `name`: relative, of plain components. Directories on the way are made (0755) and become durable with sync(): also
  // those that an earlier process made and perhaps never flushed. Error: unavailable (what failed, where, why).
  Status put(const std::string& name, std::string_view content, unsigned mode);
  Status sync();
  Status put_now(const std::string& name, std::string_view content, unsigned mode);

  // Removes a directory and the files in it; nothing is flushed, and failing is no error: it may come back.
  void discard(const std::string& name);

  int fd() const { return root_.get(); }
  const std::string& path() const { return path_; }
  std::uint64_t fsyncs() const { return fsyncs_; }  // since open()

 private:
  DurableTree(std::string path, Descriptor root) : path_(std::move(path)), root_(std::move(root)) {}
  Result<Descriptor> directory(const std::string& name);
  Status write(int dir, const std::string& base, const std::string& name, std::string_view content, unsigned mode);
  Status flush(int fd, const std::string& what);
  void touch(const std::string& name, int fd);
  Error failed(const std::string& what, const std::string& name);

  std::string path_;
  Descriptor root_;
  std::map<std::string, Descriptor> touched_;  // directories that wait for sync(); "" is the root
  std::set<std::string> durable_;              // directories whose own names are known to be durable
  std::vector<std::string> fresh_;             // that will be after sync()
  std::optional<Error> broken_;
  std::uint64_t fsyncs_ = 0;
};

// mkdir -p, each new level durable. The last gets `mode` if it is new. Error: unavailable.
Status make_directory_durably(const std::string& path, unsigned mode);

}  // namespace hallpass::hub
