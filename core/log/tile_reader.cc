#include "core/log/tile_reader.h"

#include <bit>

#include "core/log/tiles.h"

namespace hallpass {
namespace {

constexpr unsigned kLevelBits = 8;
constexpr std::size_t kMaxTilesKept = 4096;  // 32 MiB

struct TileFile {
  std::string bytes, path;
  std::uint64_t width = 0;  // that its name promises
};

Result<std::string> read_limited(const LogFiles& files, const std::string& path, std::size_t limit) {
  Result<std::string> bytes = files(path, limit);
  if (bytes && bytes->size() > limit) {
    return Error{Errc::too_large, path + " is over " + std::to_string(limit) + " bytes"};
  }
  return bytes;
}

// The file `path(width)`; where a partial one is not there, the full one.
template <class Path>
Result<TileFile> read_tile_file(const LogFiles& files, Path path, std::uint64_t width, std::size_t limit) {
  TileFile file{{}, path(width), width};
  Result<std::string> bytes = read_limited(files, file.path, limit);
  if (!bytes && bytes.error().code == Errc::not_found && width != kTileWidth) {
    const std::string full = path(kTileWidth);
    Result<std::string> instead = read_limited(files, full, limit);
    if (!instead && instead.error().code == Errc::not_found) {
      return Error{Errc::not_found, file.path + " is not there, nor is " + full};
    }
    if (!instead) return instead.error();
    return TileFile{std::move(instead).value(), full, kTileWidth};
  }
  if (!bytes && bytes.error().code == Errc::not_found) return Error{Errc::not_found, file.path + " is not there"};
  if (!bytes) return bytes.error();
  file.bytes = std::move(bytes).value();
  return file;
}

Error not_in_log(const std::string& path, std::uint64_t size) {
  return {Errc::malformed, "a log of " + std::to_string(size) + " entries has no " + path};
}

}  // namespace

Result<std::vector<Digest>> TileReader::tile(unsigned level, std::uint64_t index) {
  if (const auto kept = tiles_.find({level, index}); kept != tiles_.end()) return kept->second;
  const std::uint64_t width = tile_width(level, index, size_);
  if (width == 0) return not_in_log(tile_path(level, index), size_);
  const auto path = [&](std::uint64_t w) { return tile_path(level, index, w); };
  const Result<TileFile> file = read_tile_file(files_, path, width, kMaxTileBytes);
  if (!file) return file.error();
  Result<std::vector<Digest>> hashes = decode_tile(file->bytes, file->width);
  if (hashes && file->bytes.size() != file->width * sizeof(Digest::bytes)) {
    return Error{Errc::malformed, file->path + " has more bytes than its hashes need"};
  }
  if (!hashes) return Error{Errc::malformed, file->path + ": " + hashes.error().message};
  hashes->resize(width);
  if (tiles_.size() >= kMaxTilesKept) tiles_.clear();
  return tiles_[{level, index}] = std::move(hashes).value();
}

std::vector<std::pair<unsigned, std::uint64_t>> TileReader::tiles_read() const {
  std::vector<std::pair<unsigned, std::uint64_t>> names;
  for (const auto& [name, hashes] : tiles_) names.push_back(name);
  return names;
}

Result<TileReader::Bundle> TileReader::bundle(std::uint64_t index) {
  const std::uint64_t width = tile_width(0, index, size_);
  if (width == 0) return not_in_log(bundle_path(index), size_);
  const auto path = [&](std::uint64_t w) { return bundle_path(index, w); };
  Result<TileFile> file = read_tile_file(files_, path, width, kMaxBundleBytes);
  if (!file) return file.error();
  const Result<std::vector<std::string_view>> all = decode_bundle(file->bytes, file->width);
  if (!all) return Error{Errc::malformed, file->path + ": " + all.error().message};
  const char* end = all->back().data() + all->back().size();
  if (end != file->bytes.data() + file->bytes.size()) {
    return Error{Errc::malformed, file->path + " holds more than its " + std::to_string(file->width) + " entries"};
  }
  return Bundle{std::move(file->bytes), static_cast<std::size_t>(width), std::move(file->path)};
}

Result<Digest> TileReader::complete(unsigned height, std::uint64_t index) {
  const unsigned level = height / kLevelBits, within = height % kLevelBits;
  const std::uint64_t first = index << within;
  const Result<std::vector<Digest>> hashes = tile(level, first / kTileWidth);
  if (!hashes) return hashes.error();
  const std::size_t at = static_cast<std::size_t>(first % kTileWidth), count = std::size_t{1} << within;
  if (at + count > hashes->size()) return not_in_log("complete subtree there", size_);
  std::vector<Digest> row(hashes->begin() + static_cast<std::ptrdiff_t>(at),
                          hashes->begin() + static_cast<std::ptrdiff_t>(at + count));
  for (; row.size() > 1; row.resize(row.size() / 2)) {
    for (std::size_t i = 0; i < row.size() / 2; ++i) row[i] = node_hash(row[2 * i], row[2 * i + 1]);
  }
  return row.front();
}

Result<Digest> TileReader::range(std::uint64_t low, std::uint64_t high) {
  const std::uint64_t count = high - low;
  if (std::has_single_bit(count)) {
    const auto height = static_cast<unsigned>(std::countr_zero(count));
    return complete(height, low >> height);
  }
  const std::uint64_t middle = low + std::bit_floor(count);
  const Result<Digest> left = range(low, middle);
  if (!left) return left;
  const Result<Digest> right = range(middle, high);
  if (!right) return right;
  return node_hash(*left, *right);
}

Result<Frontier> TileReader::frontier_at(std::uint64_t at) {
  if (at > size_ || at > kMaxLogSize) return not_in_log("entry " + std::to_string(at), size_);
  std::vector<Digest> nodes;
  std::uint64_t low = 0;
  for (unsigned height = 64; height-- > 0;) {
    if ((at >> height & 1) == 0) continue;
    const Result<Digest> node = complete(height, low >> height);
    if (!node) return node.error();
    nodes.push_back(*node);
    low += std::uint64_t{1} << height;
  }
  return *Frontier::from(at, std::move(nodes));
}

Result<Digest> TileReader::root_at(std::uint64_t at) {
  const Result<Frontier> frontier = frontier_at(at);
  if (!frontier) return frontier.error();
  return frontier->root();
}

// From the root down; the proof has the leaf's sibling first.
Result<std::vector<Digest>> TileReader::inclusion_proof(std::uint64_t index) {
  if (index >= size_) return not_in_log("entry " + std::to_string(index), size_);
  std::vector<Digest> proof;
  std::uint64_t low = 0, high = size_;
  while (high - low > 1) {
    const std::uint64_t middle = low + std::bit_floor(high - low - 1);
    const bool left = index < middle;
    const Result<Digest> sibling = left ? range(middle, high) : range(low, middle);
    if (!sibling) return sibling.error();
    proof.push_back(*sibling);
    (left ? high : low) = middle;
  }
  return std::vector<Digest>(proof.rbegin(), proof.rend());
}

Result<std::vector<Digest>> TileReader::consistency_proof(std::uint64_t from) {
  if (from == 0 || from > size_) return not_in_log("entry " + std::to_string(from), size_);
  std::vector<Digest> proof;
  std::uint64_t low = 0, high = size_;
  while (high != from) {
    const std::uint64_t middle = low + std::bit_floor(high - low - 1);
    const bool left = from <= middle;
    const Result<Digest> sibling = left ? range(middle, high) : range(low, middle);
    if (!sibling) return sibling.error();
    proof.push_back(*sibling);
    (left ? high : low) = middle;
  }
  if (low != 0) {  // else the old tree is itself a node of the new one, and its root known
    const Result<Digest> node = range(low, high);
    if (!node) return node.error();
    proof.push_back(*node);
  }
  return std::vector<Digest>(proof.rbegin(), proof.rend());
}

}  // namespace hallpass
