// What hallpass-fetch says of how it goes: lines for the journal, each fault once until it changes, and
// fetch-status.json beside the mirror for `hallpass host status`:
//
//   {"hallpass":"fetch-status/1","url":"https://hub1.example.org","waits":true,"size":5120,"seen_at":"…",
//    "checked_at":"…","changed_at":"…","received":123456,
//    "fault":{"url":"https://hub1.example.org","at":"…","what":"…"}}
//
// url: the source that answered last; checked_at: when a source last bore out the newest head; fault: the last one,
// null while there was none since every source last did.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/values/time.h"

namespace hallpass {

class FetchReport {
 public:
  using Tell = std::function<void(int priority, const std::string& text)>;
  static constexpr Seconds kSayAgain{600};

  explicit FetchReport(Tell tell) : tell_(std::move(tell)) {}

  void success(const std::string& url, bool waits, std::uint64_t size, std::optional<UnixTime> seen_at, bool changed,
               UnixTime now);
  // `next`: what is asked instead; empty: nothing is ready.
  void fault(const std::string& url, const std::string& what, const std::string& next, UnixTime now);
  // This machine's own fault.
  void local_fault(const std::string& what, UnixTime now);
  std::string json(std::uint64_t received) const;  // received: bytes over the wire since the start
  // Has json() anything new to say since this was asked last?
  bool take_news() { return std::exchange(news_, false); }

 private:
  struct Fault {
    std::string what;
    UnixTime at{}, told_at{};
  };
  void say(int priority, const std::string& key, const std::string& what, const std::string& text, UnixTime now);
  Tell tell_;
  std::map<std::string, Fault> faults_;  // by URL; "" is this machine
  std::string url_;
  bool waits_ = false, news_ = false;
  std::uint64_t size_ = 0;
  std::optional<UnixTime> seen_at_, checked_at_, changed_at_;
};

}  // namespace hallpass
