// The directory that hallpass-drop fills and the agent empties: /var/lib/hallpass-drop/in.
#pragma once

#include <string>
#include <vector>

#include "agent/drop/stream.h"
#include "agent/drop/talk.h"
#include "core/values/result.h"

namespace hallpass::drop {

// What may lie there at most, all runs together.
struct Quota {
  std::size_t files = 200;
  std::size_t bytes = std::size_t{8} * 1024 * 1024;
};

class Inbox {
 public:
  // Errors: unavailable, not_found.
  static Result<Inbox> open(const std::string& path, Quota quota = {});
  ~Inbox();
  Inbox(Inbox&& other) noexcept;
  Inbox& operator=(Inbox&&) = delete;

  // Writes all of it or nothing: the statements as one `<sha256>.grant`, each proof as `<sha256>.tlog-proof`. The same
  // documents get the same names, so handing them in again changes nothing. Returns the names. A crash leaves whole
  // files, and at worst a temporary, which the next run removes.
  // Errors: too_large (the quota), unavailable (not locked by `until`, or what the disk said).
  Result<std::vector<std::string>> store(const Documents& documents, Clock::time_point until);

  // Returns as soon as none of these names is there any more, or at `until`; how many are left.
  std::size_t await_taken(const std::vector<std::string>& names, Clock::time_point until);

 private:
  Inbox(std::string path, int fd, int watch, Quota quota);
  Status lock(Clock::time_point until) const;
  Status check_quota(const std::vector<std::pair<std::string, std::string>>& files) const;

  std::string path_;
  int fd_ = -1, watch_ = -1;
  Quota quota_;
};

}  // namespace hallpass::drop
