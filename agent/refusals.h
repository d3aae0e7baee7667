// Tells about input that cannot be used: by name the first hundred times, then as a number, so that a directory full of
// junk is noticed and drowns nothing.
#pragma once

#include <cstdint>
#include <string>

#include "agent/journal.h"

namespace hallpass {

class Refusals {
 public:
  explicit Refusals(Journal& journal) : journal_(journal) {}
  // where: the file, and the line in it. reason: one sentence.
  void add(const std::string& where, const std::string& reason);
  // A round of looking at everything has ended: tells how many were not named, and names again from now on.
  void end_round();
  std::uint64_t total() const { return total_; }
  std::uint64_t suppressed() const { return round_ > kNamed ? round_ - kNamed : 0; }

 private:
  static constexpr std::uint64_t kNamed = 100;
  Journal& journal_;
  std::uint64_t round_ = 0, total_ = 0;
};

}  // namespace hallpass
