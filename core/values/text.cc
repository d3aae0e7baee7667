#include "core/values/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <iterator>

#include "core/values/characters.h"

namespace hallpass {
namespace {

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// Characters that hide, reorder or are not seen: controls, bidirectional controls, line separators and Unicode's
// Default_Ignorable_Code_Point, without U+FE0E and U+FE0F, which every emoji keyboard adds and which stand for a style
// only.
constexpr Range kUnseen[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0d},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

}  // namespace

bool is_unseen(std::uint32_t code) {
  return std::any_of(std::begin(kUnseen), std::end(kUnseen),
                     [code](const Range& r) { return code >= r.first && code <= r.last; });
}

Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  std::uint32_t code = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kShortest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kShortest[length] || surrogate || code > 0x10ffff) return {};
  return {code, length};
}

std::string code_name(const char* format, std::uint32_t code) {
  std::array<char, 16> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(code));
  return {buffer.data(), static_cast<std::size_t>(length)};
}

namespace {

std::string shown(std::string_view text, const Character& c) {
  if (c.length == 0) return code_name("\\x%02x", static_cast<std::uint8_t>(text[0]));
  if (!is_unseen(c.code)) return std::string(text.substr(0, c.length));
  return c.code < 0x80 ? code_name("\\x%02x", c.code) : code_name("\\u{%04x}", c.code);
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.length == 0) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

std::string printable(std::string_view bytes, std::size_t max_bytes) {
  constexpr std::string_view kEllipsis = "...";
  std::string out;
  std::size_t fits = 0;  // the longest prefix of `out`, at a character's boundary, that leaves room for the ellipsis
  while (!bytes.empty()) {
    const Character c = first_character(bytes);
    const std::string text = shown(bytes, c);
    if (out.size() + text.size() > max_bytes) {
      out.resize(fits);
      return out + std::string(kEllipsis.substr(0, max_bytes - fits));
    }
    out += text;
    if (out.size() + kEllipsis.size() <= max_bytes) fits = out.size();
    bytes.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
  return out;
}

}  // namespace hallpass
