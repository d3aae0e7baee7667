// base64 and base64url. The others are in bytes_hex.cc, which sshd's module does not need.
#include "core/values/bytes.h"

#include <array>

namespace hallpass {
namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNoDigit = 0xff;

using DigitTable = std::array<std::uint8_t, 256>;

constexpr DigitTable digits_of(std::string_view alphabet) {
  DigitTable table{};
  table.fill(kNoDigit);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}

constexpr DigitTable kBase64Digits = digits_of(kBase64);
constexpr DigitTable kBase64UrlDigits = digits_of(kBase64Url);

std::string encode64(ByteView bytes, std::string_view alphabet) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t group = std::uint32_t{bytes[i]} << 16 | std::uint32_t{bytes[i + 1]} << 8 | bytes[i + 2];
    for (const int shift : {18, 12, 6, 0}) out += alphabet[group >> shift & 63];
  }
  if (i + 1 == bytes.size()) {
    out += alphabet[bytes[i] >> 2];
    out += alphabet[bytes[i] << 4 & 63];
  } else if (i + 2 == bytes.size()) {
    const std::uint32_t group = std::uint32_t{bytes[i]} << 8 | bytes[i + 1];
    out += alphabet[group >> 10];
    out += alphabet[group >> 4 & 63];
    out += alphabet[group << 2 & 63];
  }
  return out;
}

Error bad_digit(std::string_view what, std::size_t at) {
  return {Errc::malformed, "not " + std::string(what) + ": the character at byte " + std::to_string(at)};
}

// `text` without padding. Bits that stand for no byte must be zero, or several texts would decode to the same bytes.
Result<Bytes> decode64(std::string_view text, const DigitTable& digits, std::string_view what) {
  if (text.size() % 4 == 1) return Error{Errc::malformed, "not " + std::string(what) + ": its length cannot be right"};
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t digit = digits[static_cast<std::uint8_t>(text[i])];
    if (digit == kNoDigit) return bad_digit(what, i);
    bits = bits << 6 | digit;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> count));
    bits &= (1U << count) - 1;
  }
  if (bits != 0) return Error{Errc::malformed, "not canonical " + std::string(what) + ": unused bits are set"};
  return out;
}

}  // namespace

std::string base64_encode(ByteView bytes) {
  std::string out = encode64(bytes, kBase64);
  while (out.size() % 4 != 0) out += '=';
  return out;
}

Result<Bytes> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return Error{Errc::malformed, "not base64: its length is not a multiple of 4"};
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  return decode64(text, kBase64Digits, "base64");
}

std::string base64url_encode(ByteView bytes) {
  return encode64(bytes, kBase64Url);
}

Result<Bytes> base64url_decode(std::string_view text) {
  return decode64(text, kBase64UrlDigits, "base64url");
}

}  // namespace hallpass
