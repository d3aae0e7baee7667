// The growing side of a log, in memory: what the next entries are added to, and which files that makes. Pure.
// docs/formats.md, "Tiles".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/log/merkle.h"
#include "core/log/tile_reader.h"
#include "core/log/tiles.h"

namespace hallpass::hub {

class RightEdge {
 public:
  struct File {
    std::string path;  // below the log's prefix
    std::string content;
  };
  struct FullTile {
    unsigned level = 0;
    std::uint64_t index = 0;
  };

  RightEdge() = default;  // of the empty log
  // From the tiles and the last bundle of the log at `size`. Nothing is compared with a signed root: the caller does.
  // Errors: those of TileReader; mismatch (an entry of the last bundle is not what its tile says).
  static Result<RightEdge> load(TileReader& reader, std::uint64_t size);

  // Adds entries (each at most kMaxEntryBytes). All files that the log of the new size has and that of the old one has
  // not: bundles first, then tiles. None has a path that any earlier size has.
  std::vector<File> add(const std::vector<std::string>& entries);
  // The tiles that add() has filled since the last call.
  std::vector<FullTile> take_filled();

  const Frontier& frontier() const { return frontier_; }

 private:
  struct Level {
    std::uint64_t full = 0;       // tiles
    std::vector<Digest> partial;  // hashes of the one after them, fewer than 256
    bool grown = false;
  };
  void push(unsigned level, const Digest& hash, std::vector<File>& files);

  Frontier frontier_;
  std::vector<std::string> bundle_;  // entries of the partial bundle
  std::vector<Level> levels_;
  std::vector<FullTile> filled_;
};

// The root of a full tile's hashes, which is one hash of the level above.
Digest root_of_tile(std::vector<Digest> hashes);

}  // namespace hallpass::hub
