// Why the files of a log do not lead to its signed root: the first that does not fit, or a fork. Internal to
// follower.cc.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/log/follower.h"

namespace hallpass {

class Diagnosis {
 public:
  // All borrowed. tiles: the reader that was used so far, for what it read is the evidence. leaves: of the entries from
  // `start` on, as they were read.
  Diagnosis(TileReader& tiles, const Checkpoint& head, std::uint64_t start, const std::vector<Digest>& leaves)
      : tiles_(tiles), head_(head), start_(start), leaves_(leaves) {}

  // remembered: what does not fit is something that this reader verified before; else all came from the files.
  LogRefusal find(bool remembered);

 private:
  using Fault = std::optional<LogRefusal>;  // nullopt: fits
  Fault entries(std::uint64_t bundle);
  Fault above(unsigned level, std::uint64_t index);  // the tile and all those over it
  Fault pair(unsigned level, std::uint64_t index);   // the tile and the one over it
  Fault bundles();
  Fault left_edge();
  LogRefusal undecided(const Error& error) const;
  std::string name(unsigned level, std::uint64_t index) const;

  TileReader& tiles_;
  const Checkpoint& head_;
  std::uint64_t start_;
  const std::vector<Digest>& leaves_;
  bool edge_fits_ = false;                        // the tiles at the right edge give the signed root: they are true
  std::map<unsigned, std::uint64_t> last_above_;  // by level: the last tile that above() found fit
};

}  // namespace hallpass
