// Which paths are files of the log, and how each is served. Names are built anew from what was parsed: nothing that a
// client wrote reaches a file system. docs/formats.md, "Tiles".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hallpass::hub {

inline constexpr std::string_view kHostsPath = "hosts.toml";
inline constexpr std::size_t kMaxHostsBytes = std::size_t{1024} * 1024;

struct StaticFile {
  std::string name;  // below the log's directory
  const char* content_type = "application/octet-stream";
  const char* cache_control = "no-cache";
  bool compressible = false;
  bool immutable = false;
  std::size_t limit = 0;
};
// `path` without its first slash. nullopt: no such file, or not one that the log of `size` entries holds: what lies
// beyond the published head may yet become another.
std::optional<StaticFile> static_file(std::string_view path, std::uint64_t size);

// Does an Accept-Encoding header take gzip? "gzip;q=0" does not.
bool accepts_gzip(std::string_view accept_encoding);
std::string gzip(std::string_view text);

}  // namespace hallpass::hub
