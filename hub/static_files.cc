#include "hub/static_files.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>

#include "core/dsse.h"
#include "core/log/epoch.h"
#include "core/log/tiles.h"
#include "core/policy.h"

namespace hallpass::hub {
namespace {

constexpr const char* kForever = "public, max-age=31536000, immutable";
// A partial tile is the same for as long as it is there, but the full one takes its place.
constexpr const char* kForMinutes = "public, max-age=300";
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kBytes = "application/octet-stream";
constexpr const char* kJson = "application/json";

// Does the log of `size` entries hold this tile, in at least this width?
bool is_published(const TileName& tile, std::uint64_t size) {
  return tile.width <= tile_width(tile.level, tile.index, size);
}

std::optional<StaticFile> tile_file(std::string_view path, std::uint64_t size) {
  const Result<TileName> tile = parse_tile_path(path);
  if (!tile || !is_published(*tile, size)) return std::nullopt;
  const bool full = tile->width == kTileWidth;
  StaticFile file{"", kBytes, full ? kForever : kForMinutes, tile->entries, full, kMaxTileBytes};
  if (tile->entries) {
    file.name = bundle_path(tile->index, tile->width);
    file.limit = kMaxBundleBytes;
  } else {
    file.name = tile_path(tile->level, tile->index, tile->width);
  }
  return file;
}

std::optional<StaticFile> policy_file(std::string_view path) {
  constexpr std::string_view kFolder = "policy/";
  constexpr std::size_t kHexDigits = 64;
  const std::string_view name = path.substr(kFolder.size());
  if (name.size() < kHexDigits) return std::nullopt;
  const Result<Digest> digest = parse_digest("sha256:" + std::string(name.substr(0, kHexDigits)));
  if (!digest) return std::nullopt;
  const std::string_view rest = name.substr(kHexDigits);
  if (rest == ".toml") return StaticFile{policy_text_path(*digest), kText, kForever, true, true, kMaxPolicyBytes};
  if (rest == ".sig") return StaticFile{policy_signature_path(*digest), kJson, kForever, true, true, kMaxEnvelopeBytes};
  return std::nullopt;
}

}  // namespace

std::optional<StaticFile> static_file(std::string_view path, std::uint64_t size) {
  if (path == kEpochHintPath) {
    return StaticFile{std::string(kEpochHintPath), kJson, "no-cache", false, false, kMaxEpochHintBytes};
  }
  if (path == kPolicyHintsPath) {
    return StaticFile{std::string(kPolicyHintsPath), kJson, "no-cache", false, false, kMaxPolicyHintsBytes};
  }
  if (path == kHostsPath) return StaticFile{std::string(kHostsPath), kText, "no-cache", false, false, kMaxHostsBytes};
  if (path.starts_with("policy/")) return policy_file(path);
  if (path.starts_with("tile/")) return tile_file(path, size);
  return std::nullopt;
}

bool accepts_gzip(std::string_view header) {
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string_view item = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    item.remove_prefix(std::min(item.find_first_not_of(" \t"), item.size()));
    const std::size_t end = std::min(item.find_first_of("; \t"), item.size());
    if (item.substr(0, end) != "gzip") continue;
    const std::size_t q = item.find("q=");
    return q == std::string_view::npos || item.find_first_of("123456789", q) != std::string_view::npos;
  }
  return false;
}

std::string gzip(std::string_view text) {
  constexpr int kGzipFormat = 16 + MAX_WBITS;
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, kGzipFormat, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();  // no memory
  std::string out(deflateBound(&stream, text.size()), '\0');
  // zlib's input is not const, but it does not write there.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // NOLINT
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) std::abort();  // deflateBound was wrong
  return out;
}

}  // namespace hallpass::hub
