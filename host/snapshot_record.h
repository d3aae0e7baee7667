// How one record of a snapshot is sealed: 8 bytes of XXH3 (little-endian), then the FlatBuffer. Shared by reader and
// writer only.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hallpass {

inline constexpr int kSnapshotFormat = 1;
inline constexpr std::size_t kMaxRecordBytes = 1024 * 1024;

// Each part's hash is the next one's seed, so no byte can move from one part to the next unseen.
inline std::uint64_t record_checksum(std::string_view database, std::string_view key, const void* value,
                                     std::size_t size) {
  const auto named = XXH3_64bits_withSeed(database.data(), database.size(), 0);
  return XXH3_64bits_withSeed(value, size, XXH3_64bits_withSeed(key.data(), key.size(), named));
}

}  // namespace hallpass
