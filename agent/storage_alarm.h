// Tells once that writing fails, once that it works again, and when to try next.
#pragma once

#include <algorithm>
#include <string>

#include "agent/journal.h"
#include "core/values/time.h"

namespace hallpass {

class StorageAlarm {
 public:
  explicit StorageAlarm(Journal& journal) : journal_(journal) {}

  void failed(const std::string& why, Seconds uptime) {
    if (why_.empty()) journal_.event(Event::storage_failed, "cannot write: " + why, {{"WHY", why}});
    why_ = why;
    wait_ = wait_ == Seconds{0} ? Seconds{1} : std::min(wait_ * 2, Seconds{60});
    retry_at_ = uptime + wait_;
  }
  void worked() {
    if (!why_.empty()) journal_.event(Event::storage_recovered, "writing works again");
    why_.clear();
    wait_ = Seconds{0};
  }
  bool failing() const { return !why_.empty(); }
  const std::string& why() const { return why_; }
  // In time since boot, for the wall clock may be set meanwhile.
  Seconds retry_at() const { return retry_at_; }

 private:
  Journal& journal_;
  std::string why_;
  Seconds wait_{0}, retry_at_{0};
};

}  // namespace hallpass
