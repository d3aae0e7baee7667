// Byte strings and the encodings they travel in. Every decoder is strict: exactly one text decodes to given bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}
inline std::string_view as_text(ByteView b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

// RFC 4648 section 4 with padding. decode: canonical only (length a multiple of 4, unused bits zero, no white space);
// empty text is empty bytes.
std::string base64_encode(ByteView bytes);
Result<Bytes> base64_decode(std::string_view text);

// RFC 4648 section 5 without padding, canonical only.
std::string base64url_encode(ByteView bytes);
Result<Bytes> base64url_decode(std::string_view text);

// Lower case only, both ways.
std::string hex_encode(ByteView bytes);
Result<Bytes> hex_decode(std::string_view text);

// Crockford base32, lower case, most significant bit first; a last partial group is padded with zero bits.
std::string crockford_encode(ByteView bytes);

}  // namespace hallpass
