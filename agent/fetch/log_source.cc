#include "agent/fetch/log_source.h"

#include "core/log/tiles.h"

namespace hallpass {
namespace {

std::string full_path(const TileName& name) {
  return name.entries ? bundle_path(name.index) : tile_path(name.level, name.index);
}

}  // namespace

LogFiles LogSource::files() {
  return [this](const std::string& path, std::size_t limit) { return read(path, limit); };
}

Result<std::string> LogSource::read(const std::string& path, std::size_t limit) {
  const Result<TileName> name = parse_tile_path(path);
  if (!name) return Error{Errc::not_found, path + " is not a file of a log"};
  if (Result<std::string> there = mirror_.arrived(path, limit)) return there;
  if (use_mirror_) {
    Result<std::string> there = mirror_.read(path, limit);
    if (there) {
      used_mirror_ = true;
      return there;
    }
    // The reader asks for the full file next.
    if (name->width != kTileWidth && mirror_.has(full_path(*name))) return Error{Errc::not_found, path};
  }
  return download(path, limit);
}

Result<std::string> LogSource::download(const std::string& path, std::size_t limit) {
  Result<std::string> bytes = carrier_.file(path, limit);
  if (!bytes) {
    if (bytes.error().code != Errc::not_found && !trouble_) trouble_ = Trouble{bytes.error(), false};
    return bytes;
  }
  if (!keep_) return bytes;
  if (const Status arrived = mirror_.arrive(path, *bytes); !arrived) {
    if (!trouble_) trouble_ = Trouble{arrived.error(), true};
    return arrived.error();
  }
  return bytes;
}

}  // namespace hallpass
