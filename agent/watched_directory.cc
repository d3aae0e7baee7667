#include "agent/watched_directory.h"

#include <fcntl.h>
#include <unistd.h>
#define XXH_INLINE_ALL  // no library to link
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <random>

namespace hallpass {
namespace {

std::uint64_t process_secret() {
  static const std::uint64_t secret = [] {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }();
  return secret;
}

std::uint64_t keyed_hash(const void* data, std::size_t size) {
  return XXH3_64bits_withSeed(data, size, process_secret());
}

// Anything that a writer can do to a file changes one of these; the change time cannot be set back by its owner.
std::uint64_t stamp_of(const struct stat& st) {
  const std::array<std::int64_t, 8> parts = {static_cast<std::int64_t>(st.st_dev),
                                             static_cast<std::int64_t>(st.st_ino),
                                             static_cast<std::int64_t>(st.st_size),
                                             static_cast<std::int64_t>(st.st_mode),
                                             st.st_mtim.tv_sec,
                                             st.st_mtim.tv_nsec,
                                             st.st_ctim.tv_sec,
                                             st.st_ctim.tv_nsec};
  const std::uint64_t stamp = keyed_hash(parts.data(), sizeof parts);
  return stamp == 0 ? 1 : stamp;  // 0: look again
}

bool ends_with(std::string_view text, std::string_view tail) {
  return text.size() > tail.size() && text.substr(text.size() - tail.size()) == tail;
}

}  // namespace

InputKind input_kind(std::string_view name) {
  // A dot in front: a writer's temporary file, renamed when it is complete.
  if (name.empty() || name.front() == '.') return InputKind::none;
  if (ends_with(name, ".grant")) return InputKind::grants;
  if (ends_with(name, ".tlog-proof")) return InputKind::proof;
  if (name == "checkpoint") return InputKind::checkpoint;
  if (ends_with(name, ".sig")) name.remove_suffix(4);
  if (name == "policy.toml") return InputKind::policy;
  if (!ends_with(name, ".toml") || name.substr(0, 7) != "policy-") return InputKind::none;
  const std::string_view number = name.substr(7, name.size() - 7 - 5);
  const bool digits = number.find_first_not_of("0123456789") == std::string_view::npos;
  return digits && !number.empty() && number.size() <= 15 ? InputKind::policy : InputKind::none;
}

bool belongs(InputKind kind, InputRole role) {
  switch (role) {
    case InputRole::statements:
      return kind == InputKind::grants || kind == InputKind::policy || kind == InputKind::proof;
    case InputRole::mirror:
      return kind == InputKind::checkpoint;
    case InputRole::drop:
      return kind == InputKind::grants || kind == InputKind::proof;
  }
  return false;
}

WatchedDirectory::~WatchedDirectory() {
  if (stream_ != nullptr) closedir(stream_);
  if (fd_ >= 0) ::close(fd_);
}

bool WatchedDirectory::reopen() {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
  struct stat st {};
  const bool ok = fd >= 0 && fstat(fd, &st) == 0;
  if (!ok) error_ = std::strerror(errno);
  const bool same = ok && fd_ >= 0 && st.st_dev == device_ && st.st_ino == inode_;
  if (same) {
    ::close(fd);
    error_.clear();
    return false;
  }
  if (stream_ != nullptr) closedir(stream_);
  stream_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!ok) {
    if (fd >= 0) ::close(fd);
    return false;
  }
  fd_ = fd;
  device_ = st.st_dev;
  inode_ = st.st_ino;
  error_.clear();
  return true;
}

std::uint64_t WatchedDirectory::key_of(std::string_view name) const {
  return keyed_hash(name.data(), name.size());
}

bool WatchedDirectory::look(const std::string& name, const Reader& read) {
  const InputKind kind = input_kind(name);
  if (!belongs(kind, role_) || fd_ < 0) return false;
  struct stat st {};
  if (fstatat(fd_, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return false;  // gone again: ends nothing
  const std::uint64_t stamp = stamp_of(st);
  const std::uint64_t key = key_of(name);
  {
    Seen& seen = seen_[key];
    seen.round = round_;
    if (seen.stamp == stamp) return false;
  }
  // What is written while it is read gets another stamp, so it is read again.
  const Outcome outcome = read(*this, name, kind);
  Seen& seen = seen_[key];
  seen.round = round_;
  seen.outcome = outcome;
  seen.stamp = outcome == Outcome::retry ? 0 : stamp;
  return true;
}

void WatchedDirectory::begin_scan() {
  if (fd_ < 0 || stream_ != nullptr) return;
  const int fd = openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  stream_ = fd < 0 ? nullptr : fdopendir(fd);
  if (stream_ == nullptr) {
    error_ = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    return;
  }
  ++round_;
}

bool WatchedDirectory::step(const Reader& read) {
  if (stream_ == nullptr) return false;
  errno = 0;
  const struct dirent* entry = readdir(stream_);
  if (entry == nullptr) {
    if (errno != 0) error_ = std::strerror(errno);
    if (errno == 0) end_scan();
    closedir(stream_);
    stream_ = nullptr;
    return false;
  }
  look(entry->d_name, read);
  return true;
}

// Names that are no longer there are forgotten: the same file put back is read again.
void WatchedDirectory::end_scan() {
  for (auto it = seen_.begin(); it != seen_.end();) {
    it = it->second.round == round_ ? std::next(it) : seen_.erase(it);
  }
}

void WatchedDirectory::forget_waiting() {
  for (auto& [key, seen] : seen_) {
    if (seen.outcome == Outcome::waits_for_policy) seen.stamp = 0;
  }
}

bool WatchedDirectory::news(const std::string& name, std::string_view what) {
  Seen& seen = seen_[key_of(name)];
  const auto hash = static_cast<std::uint32_t>(keyed_hash(what.data(), what.size()) | 1U);
  if (seen.refused == hash) return false;
  seen.refused = hash;
  return true;
}

}  // namespace hallpass
