// SHA-256 values and the short ids that people use for them. Computing a digest lives in core/hash.h (OpenSSL).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/values/bytes.h"
#include "core/values/result.h"

namespace hallpass {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  bool operator==(const Digest& other) const { return bytes == other.bytes; }
  bool operator<(const Digest& other) const { return bytes < other.bytes; }
};

struct DigestHash {
  std::size_t operator()(const Digest& d) const noexcept {
    std::size_t h = 0;
    for (std::size_t i = 0; i < sizeof h; ++i) h = h << 8 | d.bytes[i];
    return h;
  }
};

// "sha256:" and 64 lower-case hex digits: the form in statements.
std::string format_digest(const Digest& d);
Result<Digest> parse_digest(std::string_view text);

// A grant's id for people: the first 12 characters of the lower-case Crockford base32 of the request payload's digest,
// as `k7m3-9x2d-q4fh`. Machines decide by the full digest.
std::string grant_id(const Digest& request);

// What a person typed for an id: 1 to 12 Crockford characters, dashes and case ignored, o read as 0, i and l as 1
// (Crockford's rule). Returns the canonical characters without dashes, a prefix to compare with. Error: malformed.
Result<std::string> parse_grant_id_prefix(std::string_view typed);
bool grant_id_has_prefix(const Digest& request, std::string_view canonical_prefix);

}  // namespace hallpass
