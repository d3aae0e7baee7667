// How one record of a snapshot is sealed: 8 bytes of XXH3 (little-endian), then the FlatBuffer. Shared by reader and
// writer only.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hallpass {

inline constexpr int kSnapshotFormat = 1;
inline constexpr std::size_t kMaxRecordBytes = std::size_t{1024} * 1024;

// Each part's hash is the next one's seed, so no byte can move from one part to the next unseen.
inline std::uint64_t record_checksum(std::string_view database, std::string_view key, const void* value,
                                     std::size_t size) {
  const auto named = XXH3_64bits_withSeed(database.data(), database.size(), 0);
  return XXH3_64bits_withSeed(value, size, XXH3_64bits_withSeed(key.data(), key.size(), named));
}

// Large stores spread their admissions over several trees, which keeps each at most three pages deep: every page that a
// login touches is a page fault, and those are most of what it costs.
inline constexpr std::uint32_t kMaxShards = 32;  // the tree of names stays one page: the reader relies on it
inline constexpr std::size_t kAdmissionsPerShard = 30000;

inline std::uint32_t shards_for(std::size_t admissions) {
  std::uint32_t shards = 1;
  while (shards < kMaxShards && admissions / shards > kAdmissionsPerShard) shards *= 2;
  return shards;
}

inline std::uint32_t shard_of(std::string_view account, std::uint32_t shards) {
  return shards <= 1 ? 0 : static_cast<std::uint32_t>(XXH3_64bits(account.data(), account.size()) % shards);
}
inline std::string admissions_database(std::uint32_t shard, std::uint32_t shards) {
  return shards <= 1 ? "admissions" : "admissions." + std::to_string(shard);
}

}  // namespace hallpass
