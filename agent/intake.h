// The directories that statements and policies come from: told by inotify what is new, and once a minute everything is
// looked at.
//
// Work is done in small portions, so that the agent answers its watchdog and other events while 100 000 files wait.
// What inotify names goes first: a good file that arrives now does not queue behind old junk.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal.h"
#include "agent/refusals.h"
#include "agent/watched_directory.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr std::size_t kMaxGrantFileBytes = std::size_t{1024} * 1024;

// Who takes what is read.
class InputSink {
 public:
  virtual ~InputSink() = default;
  // One line of a grant file. Errors: unknown_key (read again with the next policy), unavailable (read again later),
  // others are final.
  virtual Status statement(std::string_view envelope) = 0;
  virtual void policy_files_changed() = 0;
  virtual void log_head_changed() = 0;
  // A proof that one statement is in the log. Errors: as statement().
  virtual Status proof(std::string_view text) = 0;
};

struct InputDirectory {
  std::string path;
  InputRole role = InputRole::statements;
};

struct DirectoryReport {
  std::string path, error;
  std::size_t files = 0;
  UnixTime last_scan{};
};

class Intake {
 public:
  Intake(std::vector<InputDirectory> directories, InputSink& sink, Journal& journal);
  ~Intake();
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  int notify_fd() const { return notify_fd_; }
  void read_notifications();      // when notify_fd is readable
  void begin_scan(UnixTime now);  // once a minute; one that is still going on goes on
  bool busy() const;
  // Up to `milliseconds` of work. True when there is more.
  bool work(int milliseconds);

  // While nothing can be recorded, what waits in drop directories is the only copy.
  void keep_old(bool keep) { keep_old_ = keep; }
  // What was read from drop directories is durable by now: away with it.
  void remove_taken();

  // A directory that was not there may be there now.
  void open_missing();

  void forget_all();      // everything is to be read again: what was read could not be kept
  void forget_waiting();  // after a new policy
  std::vector<DirectoryReport> report() const;
  const Refusals& refusals() const { return refusals_; }
  const std::vector<std::unique_ptr<WatchedDirectory>>& directories() const { return directories_; }

 private:
  void open_directory(std::size_t index);
  WatchedDirectory::Outcome read(WatchedDirectory& directory, const std::string& name, InputKind kind);
  WatchedDirectory::Outcome read_content(WatchedDirectory& directory, const std::string& name, InputKind kind);
  WatchedDirectory::Outcome read_lines(WatchedDirectory& directory, const std::string& name, std::string_view content);
  WatchedDirectory::Outcome read_proof(WatchedDirectory& directory, const std::string& name, std::string_view content);
  void refuse(WatchedDirectory& directory, const std::string& name, const std::string& where, const std::string& why);
  static void remove_old(const WatchedDirectory& directory);
  bool step();

  InputSink& sink_;
  Journal& journal_;
  Refusals refusals_;
  std::vector<std::unique_ptr<WatchedDirectory>> directories_;
  std::vector<int> watches_;      // inotify's, by directory
  std::vector<bool> unreadable_;  // told already
  std::vector<UnixTime> last_scan_;
  std::deque<std::pair<std::size_t, std::string>> named_;  // by inotify
  std::vector<std::string> taken_;                         // of drop directories
  bool scan_again_ = false, keep_old_ = false;
  UnixTime scan_started_{};
  int notify_fd_ = -1;
};

}  // namespace hallpass
