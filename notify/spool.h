// The reader's side of the queue (notify/queue.h): which documents each receiver has yet to get, in order.
//
// What a receiver has is known from names alone and written down before the next one is begun: each but the last
// receiver of a document renames it to <16 digits>.<receiver>-done.json (with more: .<receiver>-done.<receiver>-done
// .json), the last removes it. The directory is flushed each time. A crash between a receiver's yes and that flush
// gives the document to that receiver once more, under the same id.
//
//   rejected/<16 digits>.<receiver>.json   what a receiver would not take (a copy), at most kMaxRejected
//   rejected/<16 digits>.unreadable        what is no document
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"
#include "core/values/time.h"
#include "notify/descriptor.h"
#include "notify/document.h"

namespace hallpass {

inline constexpr std::size_t kMaxRejected = 1000;
inline constexpr Seconds kNewIsOld{600};  // a .new file of this age was left by a crash

struct QueuedDocument {
  std::uint64_t number = 0;
  DocumentHead head;
  std::string json;
};

class Spool {
 public:
  // Who gets this one. Names of receivers are [a-z0-9-]+.
  using Route = std::function<std::vector<std::string>(const DocumentHead&)>;
  // receivers: who gets a document that nobody can read (and tells of it), and without `route` every one. What nobody
  // is to get is removed by refresh(). Errors: not_found, unavailable.
  static Result<Spool> open(const std::string& directory, std::vector<std::string> receivers, Route route = nullptr);

  // Looks at the directory; with a route, reads what is new there. Removes what all its receivers have, and .new files
  // that are old by `wall`. Errors: unavailable.
  Status refresh(UnixTime wall);
  // Who has something to get.
  std::set<std::string> waited_for() const;
  // The first document that this receiver is to get and has not got.
  std::optional<std::uint64_t> next(std::string_view receiver) const;
  std::size_t waiting(std::string_view receiver) const;

  // Errors: malformed, too_large, not_found, unavailable.
  Result<QueuedDocument> read(std::uint64_t number) const;
  // The receiver has it: durable when it returns. Errors: unavailable (nothing has changed).
  Status delivered(std::uint64_t number, std::string_view receiver);
  // The receiver will never have it. Errors: unavailable.
  Status reject(const QueuedDocument& alert, std::string_view receiver);
  // Nobody can have it. Errors: unavailable.
  Status set_aside(std::uint64_t number);

  int fd() const { return directory_.get(); }

 private:
  struct Entry {
    std::string name;
    std::set<std::string> done;  // receivers that have it
    std::vector<std::string> receivers;
    bool waits_for(std::string_view receiver) const;
    bool everybody_has() const;
  };
  Spool(Descriptor directory, std::vector<std::string> receivers, Route route)
      : directory_(std::move(directory)), receivers_(std::move(receivers)), route_(std::move(route)) {}
  std::optional<std::vector<std::string>> receivers_of(std::uint64_t number, const std::string& name) const;
  Result<int> rejected_directory() const;

  Descriptor directory_;
  std::vector<std::string> receivers_;
  Route route_;
  std::map<std::uint64_t, Entry> entries_;
};

}  // namespace hallpass
