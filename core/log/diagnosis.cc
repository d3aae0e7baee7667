#include "core/log/diagnosis.h"

#include <algorithm>

#include "core/log/tiles.h"

namespace hallpass {
namespace {

constexpr unsigned kLevelBits = 8;

Digest root_of(const std::vector<Digest>& hashes) {
  Frontier frontier;
  for (const Digest& hash : hashes) frontier.add(hash);
  return frontier.root();
}

}  // namespace

std::string Diagnosis::name(unsigned level, std::uint64_t index) const {
  return tile_path(level, index, tile_width(level, index, head_.size));
}

LogRefusal Diagnosis::undecided(const Error& error) const {
  const std::string what = "the entries from " + std::to_string(start_) + " on do not lead to the signed root of " +
                           std::to_string(head_.size) + " entries, and ";
  if (error.code == Errc::malformed || error.code == Errc::too_large) {
    return {LogFault::malformed, what + error.message};
  }
  return {LogFault::fork, what + "a file that would tell whether one is damaged or the log has forked cannot be had: " +
                              error.message + "; take it for a fork until the file is there"};
}

Diagnosis::Fault Diagnosis::entries(std::uint64_t bundle) {
  const Result<std::vector<Digest>> tile = tiles_.tile(0, bundle);
  if (!tile) return undecided(tile.error());
  const std::uint64_t low = std::max(start_, bundle * kTileWidth), high = bundle * kTileWidth + tile->size();
  for (std::uint64_t i = low; i < high; ++i) {
    if (leaves_[i - start_] == (*tile)[i % kTileWidth]) continue;
    return LogRefusal{LogFault::damaged, "entry " + std::to_string(i) + " in " +
                                             bundle_path(bundle, tile_width(0, bundle, head_.size)) + " does not fit " +
                                             name(0, bundle)};
  }
  return std::nullopt;
}

Diagnosis::Fault Diagnosis::pair(unsigned level, std::uint64_t index) {
  const Result<std::vector<Digest>> tile = tiles_.tile(level, index);
  if (!tile) return undecided(tile.error());
  if (tile->size() < kTileWidth) return std::nullopt;  // at the right edge: nothing is over it
  const Result<std::vector<Digest>> over = tiles_.tile(level + 1, index / kTileWidth);
  if (!over) return undecided(over.error());
  if ((*over)[index % kTileWidth] == root_of(*tile)) return std::nullopt;
  return LogRefusal{LogFault::damaged, name(level, index) + " does not fit " + name(level + 1, index / kTileWidth)};
}

// From the top down, so that the first that does not fit is the lowest that is known to be true and the one below it.
Diagnosis::Fault Diagnosis::above(unsigned level, std::uint64_t index) {
  if (const auto last = last_above_.find(level); last != last_above_.end() && last->second == index)
    return std::nullopt;
  if (tile_width(level, index, head_.size) == kTileWidth) {
    if (Fault fault = above(level + 1, index / kTileWidth)) return fault;
  }
  if (Fault fault = pair(level, index)) return fault;
  last_above_[level] = index;
  return std::nullopt;
}

Diagnosis::Fault Diagnosis::bundles() {
  for (std::uint64_t bundle = start_ / kTileWidth; bundle <= (head_.size - 1) / kTileWidth; ++bundle) {
    // What is known to be true comes first: then a difference is the other's fault.
    Fault first = edge_fits_ ? above(0, bundle) : entries(bundle);
    if (first) return first;
    Fault second = edge_fits_ ? entries(bundle) : above(0, bundle);
    if (second) return second;
  }
  return std::nullopt;
}

// The tiles at the right edge do not give the root: all that are directly below them, older ones too. At most 255 a
// level.
Diagnosis::Fault Diagnosis::left_edge() {
  for (unsigned level = 1; level <= top_level(head_.size); ++level) {
    const std::uint64_t hashes = head_.size >> (level * kLevelBits), first = hashes / kTileWidth * kTileWidth;
    for (std::uint64_t below = first; below < hashes; ++below) {
      if (Fault fault = pair(level - 1, below)) return fault;
    }
  }
  return std::nullopt;
}

LogRefusal Diagnosis::find(bool remembered) {
  const auto read = tiles_.tiles_read();
  const Result<Digest> root = tiles_.root_at(head_.size);
  if (!root) return undecided(root.error());
  edge_fits_ = *root == head_.root;
  if (Fault fault = bundles()) return *fault;
  for (const auto& [level, index] : read) {
    if (Fault fault = above(level, index)) return *fault;
  }
  if (!edge_fits_) {
    if (Fault fault = left_edge()) return *fault;
    return {LogFault::damaged, "the files of the log fit together, but not the signed head of " +
                                   std::to_string(head_.size) +
                                   " entries: they are another log's, or of another time; get all of them again"};
  }
  if (!remembered) {
    return {LogFault::damaged, "the log's files changed while they were read; try again"};
  }
  return {LogFault::fork, "the log has forked: its signed head of " + std::to_string(head_.size) +
                              " entries, which all its files bear out, does not contain the entries that were verified "
                              "here before; keep both checkpoints as evidence and ask who runs the log"};
}

}  // namespace hallpass
