// The publisher's files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/publisher.h"

namespace hallpass {
namespace {

Error failed(const std::string& what, const std::string& path) {
  return {Errc::unavailable, what + " " + path + ": " + std::strerror(errno)};
}

// So that what was unlinked does not come back with a power cut.
Status sync_directory_of(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  if (!synced) return failed("cannot sync", directory);
  return Unit{};
}

}  // namespace

FileSnapshotStore::FileSnapshotStore(std::string snapshot, std::string withdrawn)
    : snapshot_(std::move(snapshot)), withdrawn_(std::move(withdrawn)) {}

Status FileSnapshotStore::publish(const SnapshotContent& content, bool use_reserve) {
  const Result<int> image = build_snapshot(content);
  if (!image) return image.error();
  struct stat st {};
  if (fstat(*image, &st) == 0) last_size_ = static_cast<std::size_t>(st.st_size);
  Status done = publish_snapshot(*image, snapshot_, use_reserve);
  close(*image);
  return done;
}

// Room for a snapshot that grew by half: a denial may come together with much that is new.
Status FileSnapshotStore::set_space_aside() {
  return reserve_snapshot_space(snapshot_, last_size_ + last_size_ / 2 + std::size_t{256} * 1024);
}

Status FileSnapshotStore::remove_snapshot() {
  if (unlink(snapshot_.c_str()) != 0 && errno != ENOENT) return failed("cannot remove", snapshot_);
  return sync_directory_of(snapshot_);
}

Status FileSnapshotStore::mark_withdrawn(const std::string& why) {
  const int fd = open(withdrawn_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return failed("cannot make", withdrawn_);
  // The name alone tells readers; the text is for people.
  const std::string text = why + "\n";
  [[maybe_unused]] const ssize_t written = write(fd, text.data(), text.size());
  close(fd);
  return Unit{};
}

Status FileSnapshotStore::clear_withdrawn() {
  if (unlink(withdrawn_.c_str()) != 0 && errno != ENOENT) return failed("cannot remove", withdrawn_);
  return Unit{};
}

}  // namespace hallpass
