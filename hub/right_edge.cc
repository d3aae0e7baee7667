#include "hub/right_edge.h"

#include <utility>

namespace hallpass::hub {

Digest root_of_tile(std::vector<Digest> hashes) {
  for (std::size_t n = hashes.size(); n > 1; n /= 2) {
    for (std::size_t i = 0; i + 1 < n; i += 2) hashes[i / 2] = node_hash(hashes[i], hashes[i + 1]);
  }
  return hashes.empty() ? empty_root() : hashes.front();
}

Result<RightEdge> RightEdge::load(TileReader& reader, std::uint64_t size) {
  RightEdge edge;
  Result<Frontier> frontier = reader.frontier_at(size);
  if (!frontier) return frontier.error();
  edge.frontier_ = std::move(*frontier);
  std::uint64_t count = size;
  for (unsigned level = 0; count > 0; ++level, count /= kTileWidth) {
    Level next;
    next.full = count / kTileWidth;
    if (count % kTileWidth != 0) {
      Result<std::vector<Digest>> hashes = reader.tile(level, next.full);
      if (!hashes) return hashes.error();
      next.partial = std::move(*hashes);
    }
    edge.levels_.push_back(std::move(next));
  }
  if (size % kTileWidth == 0) return edge;
  const std::uint64_t first = size / kTileWidth * kTileWidth;
  const Result<TileReader::Bundle> bundle = reader.bundle(size / kTileWidth);
  if (!bundle) return bundle.error();
  const Result<std::vector<std::string_view>> entries = decode_bundle(bundle->bytes, bundle->count);
  if (!entries) return Error{entries.error().code, bundle->path + ": " + entries.error().message};
  for (std::size_t i = 0; i < entries->size(); ++i) {
    if (leaf_hash(as_bytes((*entries)[i])) != edge.levels_[0].partial[i]) {
      return Error{Errc::mismatch, bundle->path + ": entry " + std::to_string(first + i) +
                                       " is not the one that its tile has the hash of"};
    }
    edge.bundle_.emplace_back((*entries)[i]);
  }
  return edge;
}

void RightEdge::push(unsigned level, const Digest& hash, std::vector<File>& files) {
  if (levels_.size() <= level) levels_.resize(level + 1);
  Level& at = levels_[level];
  at.partial.push_back(hash);
  at.grown = true;
  if (at.partial.size() < kTileWidth) return;
  files.push_back({tile_path(level, at.full), encode_tile(at.partial)});
  filled_.push_back({level, at.full});
  const Digest root = root_of_tile(std::move(at.partial));
  at.partial.clear();
  ++at.full;
  push(level + 1, root, files);  // `at` may have moved
}

std::vector<RightEdge::File> RightEdge::add(const std::vector<std::string>& entries) {
  std::vector<File> bundles, tiles;
  for (Level& level : levels_) level.grown = false;
  for (const std::string& entry : entries) {
    const std::uint64_t index = frontier_.size() / kTileWidth;
    const Digest leaf = leaf_hash(as_bytes(entry));
    bundle_.push_back(entry);
    frontier_.add(leaf);
    push(0, leaf, tiles);
    if (bundle_.size() == kTileWidth) {
      bundles.push_back({bundle_path(index), encode_bundle(bundle_)});
      bundle_.clear();
    }
  }
  if (!entries.empty() && !bundle_.empty()) {
    bundles.push_back({bundle_path(frontier_.size() / kTileWidth, bundle_.size()), encode_bundle(bundle_)});
  }
  for (unsigned level = 0; level < levels_.size(); ++level) {
    const Level& at = levels_[level];
    if (at.grown && !at.partial.empty()) {
      tiles.push_back({tile_path(level, at.full, at.partial.size()), encode_tile(at.partial)});
    }
  }
  std::move(tiles.begin(), tiles.end(), std::back_inserter(bundles));
  return bundles;
}

std::vector<RightEdge::FullTile> RightEdge::take_filled() {
  return std::exchange(filled_, {});
}

}  // namespace hallpass::hub
