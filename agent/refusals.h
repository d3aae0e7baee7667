// Tells about input that cannot be used: the first hundred of an hour by name, then as a number once a minute, so that
// a directory full of junk is noticed and drowns nothing.
#pragma once

#include <cstdint>
#include <string>

#include "agent/journal.h"
#include "core/values/time.h"

namespace hallpass {

class Refusals {
 public:
  explicit Refusals(Journal& journal) : journal_(journal) {}
  // where: the file, and the line in it. reason: one sentence.
  void add(const std::string& where, const std::string& reason);
  // Once a minute.
  void tick(UnixTime now);
  // All that was there has been read: tells how many were not named, unless this minute has told already.
  void end_round();
  std::uint64_t total() const { return total_; }
  std::uint64_t suppressed() const { return suppressed_; }  // not told yet

 private:
  static constexpr std::uint64_t kNamed = 100;
  static constexpr Seconds kNamedAgainAfter{3600};
  Journal& journal_;
  std::uint64_t named_ = 0, suppressed_ = 0, total_ = 0;
  UnixTime hour_{};
  bool told_ = false;
};

}  // namespace hallpass
