// Hexadecimal and Crockford base32.
#include "core/values/bytes.h"

namespace hallpass {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::string_view kHex = "0123456789abcdef";

Error not_hex(std::size_t at) {
  return {Errc::malformed, "not lower-case hexadecimal: the character at byte " + std::to_string(at)};
}

}  // namespace

std::string hex_encode(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t b : bytes) {
    out += kHex[b >> 4];
    out += kHex[b & 15];
  }
  return out;
}

Result<Bytes> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return Error{Errc::malformed, "not hexadecimal: an odd number of digits"};
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = kHex.find(text[i]), low = kHex.find(text[i + 1]);
    if (high == kHex.npos) return not_hex(i);
    if (low == kHex.npos) return not_hex(i + 1);
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string crockford_encode(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() * 8 + 4) / 5);
  std::uint32_t bits = 0;
  int count = 0;
  for (const std::uint8_t b : bytes) {
    bits = bits << 8 | b;
    count += 8;
    for (; count >= 5; count -= 5) out += kCrockford[bits >> (count - 5) & 31];
    bits &= (1U << count) - 1;
  }
  if (count > 0) out += kCrockford[bits << (5 - count) & 31];
  return out;
}

}  // namespace hallpass
