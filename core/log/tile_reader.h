// Hashes and proofs out of the tiles of a log, wherever its files are. Nothing read is believed here: proofs are for
// verify_*, frontiers for comparing with a signed root.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/log/merkle.h"
#include "core/values/result.h"

namespace hallpass {

// A file of the log by its path below the log's prefix, of at most `limit` bytes. Errors: not_found, too_large,
// unavailable. Partial tiles that are not there are asked for as full ones by the reader itself.
using LogFiles = std::function<Result<std::string>(const std::string& path, std::size_t limit)>;

// Of the log as it was at `size`. Keeps the tiles it has read.
class TileReader {
 public:
  TileReader(LogFiles files, std::uint64_t size) : files_(std::move(files)), size_(size) {}

  Result<Frontier> frontier_at(std::uint64_t at);  // at <= size
  Result<Digest> root_at(std::uint64_t at);
  Result<std::vector<Digest>> inclusion_proof(std::uint64_t index);   // in the tree of `size`
  Result<std::vector<Digest>> consistency_proof(std::uint64_t from);  // 0 < from <= size
  // The hashes of tile `index` at `level`, as many as the size demands.
  Result<std::vector<Digest>> tile(unsigned level, std::uint64_t index);
  // The whole bundle's bytes (of the width that the size demands, or the full one) and how many entries count.
  struct Bundle {
    std::string bytes;
    std::size_t count = 0;
    std::string path;  // that it was read from
  };
  Result<Bundle> bundle(std::uint64_t index);
  std::vector<std::pair<unsigned, std::uint64_t>> tiles_read() const;  // level and index of those that are kept

 private:
  Result<Digest> complete(unsigned height, std::uint64_t index);  // root of the subtree of 2^height leaves
  Result<Digest> range(std::uint64_t low, std::uint64_t high);    // MTH of leaves [low, high)
  LogFiles files_;
  std::uint64_t size_;
  std::map<std::pair<unsigned, std::uint64_t>, std::vector<Digest>> tiles_;
};

}  // namespace hallpass
