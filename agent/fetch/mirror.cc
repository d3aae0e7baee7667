#include "agent/fetch/mirror.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "core/edge/files.h"
#include "core/log/tiles.h"
#include "core/policy.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

namespace fs = std::filesystem;

constexpr char kArriving[] = ".arriving";
constexpr char kPosition[] = "position.json";
constexpr std::size_t kMaxPositionBytes = std::size_t{256} * 1024;
constexpr unsigned kMode = 0644;
constexpr std::chrono::seconds kStillRead{60};
constexpr std::chrono::hours kProofTiles{30 * 24};  // for an agent that comes back after a long time

Error cannot(const std::string& what, const std::string& path, const std::error_code& why) {
  return {Errc::unavailable, "cannot " + what + " " + printable(path) + ": " + why.message()};
}

std::string staging_name(std::string_view path) {
  std::string name(path);
  for (char& c : name) {
    if (c == '/') c = '~';
  }
  return name;
}

std::chrono::seconds age_of(const fs::path& path) {
  std::error_code error;
  const auto time = fs::last_write_time(path, error);
  if (error) return std::chrono::seconds{0};
  return std::chrono::duration_cast<std::chrono::seconds>(fs::file_time_type::clock::now() - time);
}

// write_file_durably's, when a run was killed within it.
void remove_temporaries(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > 1 && name.front() == '.' && name != kArriving) left.push_back(entry.path());
  }
  for (const fs::path& path : left) fs::remove(path, error);
}

// Never needed by a reader of a log of one of these sizes that begins at `live_from` or later. Tiles above level 0 are
// few and stay; those of level 0 are asked for in proofs only.
bool is_spent(const TileName& name, const std::set<std::uint64_t>& sizes, std::uint64_t live_from,
              std::chrono::seconds age) {
  const auto asks_for_it = [&](std::uint64_t size) { return tile_width(name.level, name.index, size) == name.width; };
  if (name.width != kTileWidth && std::none_of(sizes.begin(), sizes.end(), asks_for_it)) return true;
  if (name.level != 0 || name.index >= live_from / kTileWidth) return false;
  return name.entries || age > kProofTiles;
}

}  // namespace

Result<Mirror> Mirror::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return Error{Errc::unavailable,
                 cannot("open the mirror", path, std::error_code(errno, std::generic_category())).message +
                     "; `systemd-tmpfiles --create hallpass-fetch.conf` makes it"};
  }
  const std::shared_ptr<const int> lock(new int(fd), [](const int* held) {
    ::close(*held);
    delete held;
  });
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return Error{Errc::unavailable, "another hallpass-fetch works on the mirror " + printable(path) + "; end it first"};
  }
  Mirror mirror(path, lock);
  std::error_code error;
  fs::remove_all(mirror.at(kArriving), error);
  for (const char* name : {kArriving, "policies", "tile"}) {
    fs::create_directory(mirror.at(name), error);
    if (error) return cannot("make", mirror.at(name), error);
  }
  remove_temporaries(path);
  remove_temporaries(mirror.at("policies"));
  return mirror;
}

Result<std::string> Mirror::read(const std::string& path, std::size_t limit) const {
  return read_file(AT_FDCWD, at(path), limit);
}

bool Mirror::has(const std::string& path) const {
  std::error_code error;
  return fs::is_regular_file(at(path), error);
}

Status Mirror::arrive(const std::string& path, std::string_view bytes) {
  const std::string file = at(kArriving) + "/" + staging_name(path);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) return cannot("write", file, std::error_code(errno, std::generic_category()));
  arriving_[path] = file;
  return Unit{};
}

Result<std::string> Mirror::arrived(const std::string& path, std::size_t limit) const {
  const auto found = arriving_.find(path);
  if (found == arriving_.end()) return Error{Errc::not_found, path + " has not arrived"};
  return read_file(AT_FDCWD, found->second, limit);
}

Status Mirror::keep() {
  std::error_code error;
  for (const auto& [path, file] : arriving_) {
    const fs::path target = at(path);
    fs::create_directories(target.parent_path(), error);
    if (error) return cannot("make", target.parent_path().string(), error);
    fs::rename(file, target, error);
    if (error) return cannot("write", target.string(), error);
  }
  arriving_.clear();
  return Unit{};
}

void Mirror::drop() {
  std::error_code error;
  for (const auto& [path, file] : arriving_) fs::remove(file, error);
  arriving_.clear();
}

Status Mirror::publish(const std::string& note) {
  return write_file_durably(at(kCheckpointPath), note, kMode);
}

Status Mirror::write_hint(const EpochHint& hint) {
  return write_file_durably(at(kEpochHintPath), format_epoch_hint(hint), kMode);
}

std::optional<std::string> Mirror::note() const {
  Result<std::string> note = read(std::string(kCheckpointPath), kMaxNoteBytes);
  if (!note) return std::nullopt;
  return std::move(*note);
}

std::optional<EpochHint> Mirror::hint() const {
  const Result<std::string> text = read(std::string(kEpochHintPath), kMaxEpochHintBytes);
  if (!text) return std::nullopt;
  const Result<EpochHint> hint = parse_epoch_hint(*text);
  if (!hint) return std::nullopt;
  return *hint;
}

Status Mirror::remember(const LogPosition& position) {
  return write_file_durably(at(kPosition), format_position(position), kMode);
}

std::optional<LogPosition> Mirror::position() const {
  const Result<std::string> text = read(kPosition, kMaxPositionBytes);
  if (!text) return std::nullopt;
  Result<LogPosition> position = parse_position(*text);
  if (!position) return std::nullopt;
  return std::move(*position);
}

// The checkpoint first: without it nothing is promised.
Status Mirror::forget_log() {
  drop();
  std::error_code error;
  for (const std::string_view name : {kCheckpointPath, std::string_view(kPosition), kEpochHintPath}) {
    fs::remove(at(name), error);
    if (error) return cannot("remove", at(name), error);
  }
  fs::remove_all(at("tile"), error);
  if (error) return cannot("remove", at("tile"), error);
  fs::create_directory(at("tile"), error);
  return Unit{};
}

std::string Mirror::policy_file(std::int64_t version) const {
  return at("policies/policy-" + std::to_string(version) + ".toml");
}

// Signatures first: a text without them is not looked at, the other way round neither, but a new text beside old
// signatures would be refused aloud.
Status Mirror::put_policy(std::int64_t version, const std::string& toml, const std::string& sig) {
  if (Status written = write_file_durably(policy_file(version) + ".sig", sig, kMode); !written) return written;
  return write_file_durably(policy_file(version), toml, kMode);
}

Status Mirror::put_newest_policy(std::int64_t version) {
  const Result<std::string> toml = read_file(AT_FDCWD, policy_file(version), kMaxPolicyBytes);
  const Result<std::string> sig = read_file(AT_FDCWD, policy_file(version) + ".sig", kMaxEntryBytes);
  if (!toml || !sig) return toml ? sig.error() : toml.error();
  const std::string newest = at("policies/policy.toml");
  const Result<std::string> present = read_file(AT_FDCWD, newest, kMaxPolicyBytes);
  if (present && *present == *toml) return Unit{};
  // The former text goes first: beside the new signatures it would be refused aloud.
  std::error_code error;
  fs::remove(newest, error);
  if (error) return cannot("remove", newest, error);
  if (Status written = write_file_durably(newest + ".sig", *sig, kMode); !written) return written;
  return write_file_durably(newest, *toml, kMode);
}

std::set<std::int64_t> Mirror::policies() const {
  std::set<std::int64_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(at("policies"), error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("policy-", 0) != 0 || entry.path().extension() != ".toml") continue;
    const std::int64_t version = std::strtoll(name.c_str() + 7, nullptr, 10);
    if (policy_file(version) == entry.path() && fs::exists(policy_file(version) + ".sig", error)) found.insert(version);
  }
  return found;
}

std::optional<std::chrono::seconds> Mirror::age_of_policy(std::int64_t version) const {
  std::error_code error;
  if (!fs::exists(policy_file(version), error)) return std::nullopt;
  return age_of(policy_file(version));
}

std::size_t Mirror::prune(const std::set<std::uint64_t>& sizes, std::uint64_t live_from,
                          const std::set<std::string>& needed) {
  std::error_code error;
  std::vector<fs::path> spent;
  for (const auto& entry : fs::recursive_directory_iterator(at("tile"), error)) {
    if (!entry.is_regular_file(error)) continue;
    const std::string name = entry.path().string().substr(path_.size() + 1);
    const Result<TileName> tile = parse_tile_path(name);
    const std::chrono::seconds age = age_of(entry.path());
    if (age < kStillRead || needed.count(name) != 0) continue;
    if (!tile || is_spent(*tile, sizes, live_from, age)) spent.push_back(entry.path());
  }
  std::size_t removed = 0;
  for (const fs::path& path : spent) {
    if (fs::remove(path, error)) ++removed;
    if (path.parent_path().extension() == ".p") fs::remove(path.parent_path(), error);  // fails while there are others
  }
  return removed;
}

}  // namespace hallpass
