// The hash algorithms of OpenSSL, fetched once: each fetch by name takes locks and costs more than hashing a statement.
// Internal to core/'s cryptography; others use core/hash.h. Safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/values/bytes.h"

struct evp_md_st;

namespace hallpass {

inline constexpr std::size_t kSha256Bytes = 32;
inline constexpr std::size_t kSha512Bytes = 64;

// Never null: a libcrypto without SHA-2 cannot be worked with, and aborts.
const evp_md_st* sha256_algorithm();
const evp_md_st* sha512_algorithm();

// out: room for the algorithm's digest.
void digest_into(const evp_md_st* algorithm, ByteView bytes, std::uint8_t* out);

}  // namespace hallpass
