// The reader's side of the queue (notify/queue.h): which alerts each receiver has yet to get, in order.
//
// What a receiver has is known from names alone and written down before the next one is begun: with one receiver a
// delivered alert is removed; with two, the first to have it renames it to <16 digits>.<receiver>-done.json, the second
// removes it. The directory is flushed each time. A crash between a receiver's yes and that flush gives the alert to
// that receiver once more, under the same id.
//
//   rejected/<16 digits>.<receiver>.json   what a receiver would not take (a copy), at most kMaxRejected
//   rejected/<16 digits>.unreadable        what is no alert
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"
#include "core/values/time.h"
#include "notify/alert.h"
#include "notify/descriptor.h"

namespace hallpass {

inline constexpr std::size_t kMaxRejected = 1000;
inline constexpr Seconds kNewIsOld{600};  // a .new file of this age was left by a crash

struct QueuedAlert {
  std::uint64_t number = 0;
  AlertHead head;
  std::string json;
};

class Spool {
 public:
  // receivers: "webhook", "command", both or none; with none, whatever waits is removed by refresh(). Errors:
  // not_found, unavailable.
  static Result<Spool> open(const std::string& directory, std::vector<std::string> receivers);

  // Looks at the directory. Removes what all receivers have, and .new files that are old by `wall`. Errors:
  // unavailable.
  Status refresh(UnixTime wall);
  // The first alert that this receiver has not got.
  std::optional<std::uint64_t> next(std::string_view receiver) const;
  std::size_t waiting(std::string_view receiver) const;

  // Errors: malformed, too_large, not_found, unavailable.
  Result<QueuedAlert> read(std::uint64_t number) const;
  // The receiver has it: durable when it returns. Errors: unavailable (nothing has changed).
  Status delivered(std::uint64_t number, std::string_view receiver);
  // The receiver will never have it. Errors: unavailable.
  Status reject(const QueuedAlert& alert, std::string_view receiver);
  // Nobody can have it. Errors: unavailable.
  Status set_aside(std::uint64_t number);

  int fd() const { return directory_.get(); }

 private:
  struct Entry {
    std::string name;
    std::string done;  // the receiver that has it; empty: none
  };
  Spool(Descriptor directory, std::vector<std::string> receivers)
      : directory_(std::move(directory)), receivers_(std::move(receivers)) {}
  bool everybody_has(const Entry& entry) const;
  Result<int> rejected_directory() const;

  Descriptor directory_;
  std::vector<std::string> receivers_;
  std::map<std::uint64_t, Entry> entries_;
};

}  // namespace hallpass
