// One directory that others fill: what is in it, and what of it has changed since it was last looked at.
//
// Nothing in here is trusted. Files are opened relative to the directory's descriptor, never through a link, never
// waited on, and read up to a limit. For each name only two hashes and a mark are kept (keyed by a secret of this
// process, so that nobody can make two names collide on purpose): 100 000 files cost about 5 MB.
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/values/result.h"

namespace hallpass {

// Which of our files a name is.
enum class InputKind { none, grants, policy, proof, checkpoint };
InputKind input_kind(std::string_view name);

// What a directory is for.
enum class InputRole : std::uint8_t {
  statements,  // grants and policies, which somebody else keeps
  mirror,      // of the log: only that its checkpoint changes matters here (agent/log_intake.h)
  drop,        // grants carried here: what was read is removed
};
bool belongs(InputKind kind, InputRole role);

class WatchedDirectory {
 public:
  explicit WatchedDirectory(std::string path, InputRole role = InputRole::statements)
      : path_(std::move(path)), role_(role) {}
  ~WatchedDirectory();
  WatchedDirectory(WatchedDirectory&&) = delete;

  // Opens the directory, or again when another one stands at its path by now. True when `fd()` is a new descriptor.
  bool reopen();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  InputRole role() const { return role_; }
  const std::string& error() const { return error_; }  // empty while it is open

  // What to do about a file, and what came of it.
  enum class Outcome : std::uint8_t { done, waits_for_policy, retry };
  using Reader = std::function<Outcome(WatchedDirectory&, const std::string& name, InputKind)>;

  // One file by name: `read` is called when it is ours and has changed. False: it was not worth a look.
  bool look(const std::string& name, const Reader& read);

  // All files, a few at a time: begin, then step until it returns false.
  void begin_scan();
  bool scanning() const { return stream_ != nullptr; }
  bool step(const Reader& read);

  // Forget what was read: everything, or what waits for another policy.
  void forget_all() { seen_.clear(); }
  void forget_waiting();

  // True the first time that this name is refused for this reason and content since it last read well.
  bool news(const std::string& name, std::string_view what);
  std::size_t files() const { return seen_.size(); }

 private:
  struct Seen {
    std::uint64_t stamp = 0;
    std::uint32_t refused = 0;  // hash of what was said about it
    std::uint16_t round = 0;
    Outcome outcome = Outcome::done;
  };
  void end_scan();
  std::uint64_t key_of(std::string_view name) const;

  std::string path_, error_ = "not opened yet";
  InputRole role_;
  int fd_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  DIR* stream_ = nullptr;
  std::uint16_t round_ = 0;
  std::unordered_map<std::uint64_t, Seen> seen_;
};

}  // namespace hallpass
