#include "core/log/tiles.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace hallpass {
namespace {

constexpr unsigned kMaxLevel = 63;
constexpr unsigned kLevelBits = 8;
constexpr std::string_view kTilePrefix = "tile/";
constexpr std::string_view kEntriesPrefix = "entries/";
constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kLengthBytes = 2;

// 1234067 -> "x001/x234/067"
std::string grouped(std::uint64_t index) {
  const auto three = [](std::uint64_t n) {
    std::string digits = std::to_string(n);
    return std::string(3 - digits.size(), '0') + digits;
  };
  std::string path = three(index % 1000);
  while ((index /= 1000) != 0) path = "x" + three(index % 1000) + "/" + path;
  return path;
}

std::string with_width(std::string path, std::uint64_t width) {
  if (width == 0 || width > kTileWidth) std::abort();
  if (width < kTileWidth) path += ".p/" + std::to_string(width);
  return path;
}

bool read_number(std::string_view digits, std::uint64_t& number) {
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && stop == end && !digits.empty();
}

bool read_groups(std::string_view groups, std::uint64_t& index) {
  index = 0;
  while (!groups.empty()) {
    const std::size_t slash = groups.find('/');
    std::string_view group = groups.substr(0, slash);
    const bool last = slash == std::string_view::npos;
    if (!last) {
      if (group.substr(0, 1) != "x") return false;
      group.remove_prefix(1);
    }
    std::uint64_t number = 0;
    if (group.size() != 3 || !read_number(group, number) || index > (UINT64_MAX - number) / 1000) return false;
    index = index * 1000 + number;
    if (last) return true;
    groups.remove_prefix(slash + 1);
  }
  return false;
}

std::size_t entry_length(std::string_view bundle, std::size_t at) {
  return static_cast<std::size_t>(static_cast<std::uint8_t>(bundle[at])) << 8 |
         static_cast<std::uint8_t>(bundle[at + 1]);
}

}  // namespace

std::string tile_path(unsigned level, std::uint64_t index, std::uint64_t width) {
  return with_width(std::string(kTilePrefix) + std::to_string(level) + "/" + grouped(index), width);
}

std::string bundle_path(std::uint64_t index, std::uint64_t width) {
  return with_width(std::string(kTilePrefix) + std::string(kEntriesPrefix) + grouped(index), width);
}

std::uint64_t tile_width(unsigned level, std::uint64_t index, std::uint64_t size) {
  if (level * kLevelBits >= 64) return 0;
  const std::uint64_t hashes = size >> (level * kLevelBits);
  if (index < hashes / kTileWidth) return kTileWidth;
  return index == hashes / kTileWidth ? hashes % kTileWidth : 0;
}

unsigned top_level(std::uint64_t size) {
  unsigned level = 0;
  while ((size >>= kLevelBits) != 0) ++level;
  return level;
}

Result<TileName> parse_tile_path(std::string_view path) {
  const Error malformed{Errc::malformed, "not the name of a tile or of an entry bundle, such as tile/0/x001/067.p/44"};
  if (path.size() > 100 || path.substr(0, kTilePrefix.size()) != kTilePrefix) return malformed;
  std::string_view rest = path.substr(kTilePrefix.size());
  TileName name;
  name.entries = rest.substr(0, kEntriesPrefix.size()) == kEntriesPrefix;
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return malformed;
  std::uint64_t level = 0;
  if (!name.entries && (!read_number(rest.substr(0, slash), level) || level > kMaxLevel)) return malformed;
  name.level = static_cast<unsigned>(level);
  rest.remove_prefix(slash + 1);
  if (const std::size_t dot = rest.find(".p/"); dot != std::string_view::npos) {
    if (!read_number(rest.substr(dot + 3), name.width) || name.width == 0 || name.width >= kTileWidth) return malformed;
    rest = rest.substr(0, dot);
  }
  if (!read_groups(rest, name.index)) return malformed;
  // Leading zeros and needless groups spell the same numbers: only one spelling is a name.
  const std::string canonical =
      name.entries ? bundle_path(name.index, name.width) : tile_path(name.level, name.index, name.width);
  if (canonical != path) return malformed;
  return name;
}

std::string encode_bundle(const std::vector<std::string>& entries) {
  std::string bundle;
  for (const std::string& entry : entries) {
    if (entry.size() > kMaxEntryBytes) std::abort();
    bundle += static_cast<char>(entry.size() >> 8);
    bundle += static_cast<char>(entry.size() & 0xff);
    bundle += entry;
  }
  return bundle;
}

Result<std::vector<std::string_view>> decode_bundle(std::string_view bundle, std::size_t count) {
  std::vector<std::string_view> entries;
  std::size_t at = 0;
  while (at < bundle.size()) {
    const std::string number = std::to_string(entries.size());
    if (entries.size() == kTileWidth) return Error{Errc::malformed, "bytes follow the 256th entry"};
    if (bundle.size() - at < kLengthBytes) {
      return Error{Errc::malformed, "it is cut off in the length of entry " + number + " of it"};
    }
    const std::size_t length = entry_length(bundle, at);
    at += kLengthBytes;
    if (bundle.size() - at < length) return Error{Errc::malformed, "it is cut off in entry " + number + " of it"};
    entries.push_back(bundle.substr(at, length));
    at += length;
  }
  if (entries.size() < count) {
    return Error{Errc::malformed,
                 "it holds " + std::to_string(entries.size()) + " entries instead of " + std::to_string(count)};
  }
  entries.resize(count);
  return entries;
}

std::string encode_tile(const std::vector<Digest>& hashes) {
  std::string tile;
  tile.reserve(hashes.size() * kHashBytes);
  for (const Digest& hash : hashes) tile += as_text(hash.bytes);
  return tile;
}

Result<std::vector<Digest>> decode_tile(std::string_view tile, std::size_t count) {
  if (tile.size() > kMaxTileBytes || tile.size() % kHashBytes != 0 || tile.size() / kHashBytes < count) {
    return Error{Errc::malformed, "it has " + std::to_string(tile.size()) + " bytes instead of the " +
                                      std::to_string(count * kHashBytes) + " of its hashes"};
  }
  std::vector<Digest> hashes(count);
  for (std::size_t i = 0; i < count; ++i) {
    const ByteView bytes = as_bytes(tile.substr(i * kHashBytes, kHashBytes));
    std::copy(bytes.begin(), bytes.end(), hashes[i].bytes.begin());
  }
  return hashes;
}

}  // namespace hallpass
