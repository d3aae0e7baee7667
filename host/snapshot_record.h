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

// Lengths go in before the bytes, so that no byte can move from one part to the next unseen.
inline std::uint64_t record_checksum(std::string_view database, std::string_view key, const void* value,
                                     std::size_t size) {
  const std::uint64_t lengths[] = {database.size(), key.size(), size};
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, lengths, sizeof lengths);
  XXH3_64bits_update(&state, database.data(), database.size());
  XXH3_64bits_update(&state, key.data(), key.size());
  XXH3_64bits_update(&state, value, size);
  return XXH3_64bits_digest(&state);
}

}  // namespace hallpass
