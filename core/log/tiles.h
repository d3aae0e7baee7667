// The C2SP tlog-tiles layout: names of files, and what is in entry bundles. docs/formats.md, "Tiles".
//
//   checkpoint                       the signed head, the only file that changes
//   tile/<L>/<N>[.p/<W>]             W (1..255) or 256 hashes of level L
//   tile/entries/<N>[.p/<W>]         u16 length, entry; W or 256 times
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/digest.h"
#include "core/values/result.h"

namespace hallpass {

inline constexpr std::uint64_t kTileWidth = 256;
inline constexpr std::size_t kMaxTileBytes = std::size_t{256} * 32;
inline constexpr std::size_t kMaxEntryBytes = 65535;
inline constexpr std::size_t kMaxBundleBytes = 256 * (kMaxEntryBytes + 2);
inline constexpr std::string_view kCheckpointPath = "checkpoint";

// `width` 1..256; 256 is the full tile, without ".p/".
std::string tile_path(unsigned level, std::uint64_t index, std::uint64_t width = kTileWidth);
std::string bundle_path(std::uint64_t index, std::uint64_t width = kTileWidth);
// How many hashes (or entries, level 0) tile `index` of `level` holds in a log of `size` entries: 0..256.
std::uint64_t tile_width(unsigned level, std::uint64_t index, std::uint64_t size);
// Highest level that has a tile in a log of `size` entries; size 0: 0.
unsigned top_level(std::uint64_t size);

struct TileName {
  bool entries = false;
  unsigned level = 0;
  std::uint64_t index = 0;
  std::uint64_t width = kTileWidth;
};
// The reverse, canonical only. Error: malformed.
Result<TileName> parse_tile_path(std::string_view path);

std::string encode_bundle(const std::vector<std::string>& entries);  // each at most kMaxEntryBytes
// The first `count` entries of a bundle, borrowed from it; it may hold more, as the full bundle of a log that has grown
// does, but nothing else. Errors: malformed (truncated, too few entries, more than 256, bytes after the last).
Result<std::vector<std::string_view>> decode_bundle(std::string_view bundle, std::size_t count);
std::string encode_tile(const std::vector<Digest>& hashes);
Result<std::vector<Digest>> decode_tile(std::string_view tile, std::size_t count);  // the first `count`

}  // namespace hallpass
