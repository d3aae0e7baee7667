#include "notify/queue.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <system_error>

#include "core/edge/files.h"
#include "core/values/bytes.h"
#include "core/values/text.h"
#include "notify/descriptor.h"

namespace hallpass {
namespace {

constexpr std::size_t kDigits = 16;
constexpr std::uint64_t kTooHigh = 9'000'000'000'000'000;  // 16 digits hold it; in microseconds that is the year 2255
constexpr std::uint64_t kReserve = 100;
constexpr int kTries = 8;  // at numbers whose names somebody else took
// Names looked at: one document may have two, and the rest is not ours.
constexpr std::size_t kMaxNames = kMaxQueued * 3;
constexpr off_t kMaxDirectoryBytes = off_t{16} * 1024 * 1024;

Error refused(const std::string& what, int error) {
  return {error == ENOENT ? Errc::not_found : Errc::unavailable,
          "cannot " + what + ": " + std::generic_category().message(error)};
}

// Whether something is mounted there. Asks no file system that its owner may have mounted: that could hang whoever
// does. (openat2(2) would answer it too, but systemd's RestrictSUIDSGID takes that call away.)
bool is_mounted(int parent, int directory) {
  struct statx above {};
  struct statx here {};
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  if (statx(parent, "", kFlags, STATX_TYPE, &above) != 0 || statx(directory, "", kFlags, STATX_TYPE, &here) != 0) {
    return true;
  }
  if ((here.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
    return (here.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  return above.stx_dev_major != here.stx_dev_major || above.stx_dev_minor != here.stx_dev_minor;  // Linux before 5.8
}

Result<Descriptor> open_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const Descriptor above(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!above.ok()) return refused("open " + parent, errno);
  const Descriptor place(::openat(above.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!place.ok()) return refused("open " + path, errno);
  if (is_mounted(above.get(), place.get())) {
    return Error{Errc::unavailable, path + " is a mount point; mount at its parent instead"};
  }
  Descriptor directory(::openat(place.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok()) return refused("open " + path, errno);
  return directory;
}

// Its owner can have let it grow: a file system that never shrinks a directory reads all of it for each listing.
bool has_grown(int directory) {
  struct stat info {};
  return ::fstat(directory, &info) != 0 || info.st_size > kMaxDirectoryBytes;
}

// nullopt: it cannot be read. Never over kMaxNames, so that a full directory costs no more than that.
std::optional<std::size_t> count_documents(int directory) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return std::nullopt;
  const std::unique_ptr<DIR, int (*)(DIR*)> names(::fdopendir(copy), ::closedir);
  if (!names) {
    ::close(copy);
    return std::nullopt;
  }
  std::size_t documents = 0;
  for (std::size_t seen = 0; const dirent* entry = ::readdir(names.get()); ++seen) {
    if (seen >= kMaxNames) return kMaxNames;
    if (is_document_name(entry->d_name)) ++documents;
  }
  return documents;
}

// What failed, for people, and errno; 0: nothing did.
struct Fault {
  int error = 0;
  const char* what = "";
};

Fault write_new(int directory, const std::string& name, std::string_view json) {
  const Descriptor file(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.ok()) return {errno, "create a file in the queue"};
  // The file is its writer's, in a directory that only its reader, or both, can enter.
  if (::fchmod(file.get(), 0644) != 0) return {errno, "set the mode of a file in the queue"};
  if (!write_all(file.get(), json)) return {errno, "write a file of the queue"};
  if (::fsync(file.get()) != 0) return {errno, "flush a file of the queue"};
  return {};
}

// A document that waits is never replaced, though the counter may have come back from a backup.
Fault rename_exclusively(int directory, const std::string& from, const std::string& to) {
  constexpr const char* kWhat = "rename a file of the queue into place";
  if (::renameat2(directory, from.c_str(), directory, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS) return {errno, kWhat};
  struct stat there {};
  if (::fstatat(directory, to.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) return {EEXIST, kWhat};
  if (::renameat(directory, from.c_str(), directory, to.c_str()) == 0) return {};
  return {errno, kWhat};
}

Result<std::string> new_id() {
  std::array<std::uint8_t, 16> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return refused("draw an id", errno);
  }
  return hex_encode(random);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size() || number >= kTooHigh)
    return std::nullopt;
  return number;
}

}  // namespace

std::uint64_t microseconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

std::string number_text(std::uint64_t number) {
  std::string text = std::to_string(number);
  return std::string(text.size() < kDigits ? kDigits - text.size() : 0, '0') + text;
}

std::optional<std::uint64_t> number_of_name(std::string_view file_name) {
  if (file_name.size() <= kDigits || file_name[kDigits] != '.') return std::nullopt;
  return parse_number(file_name.substr(0, kDigits));
}

bool is_document_name(std::string_view file_name) {
  constexpr std::string_view kEnding = ".json";
  return number_of_name(file_name) && file_name.size() >= kDigits + kEnding.size() &&
         file_name.substr(file_name.size() - kEnding.size()) == kEnding;
}

// The file holds the first number that nobody has taken. A crash after it was written skips up to a hundred.
Result<std::uint64_t> DocumentQueue::take_number() {
  if (next_ < reserved_) return next_++;
  if (next_ == 0) {
    const Result<std::string> text = read_file(AT_FDCWD, counter_, 64);
    std::string_view digits = text ? std::string_view(*text) : std::string_view();
    if (!digits.empty() && digits.back() == '\n') digits.remove_suffix(1);
    const std::optional<std::uint64_t> kept = parse_number(digits);
    next_ = reserved_ = kept && *kept != 0 ? *kept : std::min(first_number_(), kTooHigh - 1);
  }
  const std::uint64_t until = next_ + kReserve;
  if (until >= kTooHigh) return Error{Errc::unavailable, "the numbers of the queue are used up: remove " + counter_};
  if (const Status kept = write_file_durably(counter_, std::to_string(until) + "\n", 0600); !kept) return kept.error();
  reserved_ = until;
  return next_++;
}

// Crash while writing: a .new file, which the reader removes when it is old. After the rename: a whole document, or
// until the directory is flushed (by put) perhaps none.
Status DocumentQueue::write(int directory, std::string_view json) {
  Fault fault;
  for (int i = 0; i < kTries; ++i) {
    const Result<std::uint64_t> number = take_number();
    if (!number) return number.error();
    const std::string name = number_text(*number), temporary = name + ".new";
    fault = write_new(directory, temporary, json);
    const bool written = fault.error == 0;
    if (written) fault = rename_exclusively(directory, temporary, name + ".json");
    if (fault.error == 0) return Unit{};
    if (written || fault.error != EEXIST) ::unlinkat(directory, temporary.c_str(), 0);
    if (fault.error != EEXIST) break;  // else the name is somebody else's: the next number
  }
  // The directory is there, so ENOENT is no sign of a host without a queue.
  return Error{Errc::unavailable, refused(fault.what, fault.error).message};
}

Status DocumentQueue::put(std::span<const std::string> documents) {
  const Result<Descriptor> directory = open_directory(directory_);
  if (!directory) return directory.error();
  if (has_grown(directory->get())) {
    return Error{Errc::too_large,
                 directory_ + " has grown far beyond what " + word_ + "s need: remove it and make it anew"};
  }
  const std::optional<std::size_t> waits = count_documents(directory->get());
  if (!waits) return refused("read " + directory_, errno);
  if (*waits + documents.size() > kMaxQueued) {
    return Error{Errc::too_large, directory_ + " is full: " + std::to_string(*waits) + " " + word_ + "s wait there"};
  }
  for (const std::string& json : documents) {
    if (const Status written = write(directory->get(), json); !written) return written;
  }
  if (::fsync(directory->get()) != 0) {
    return Error{Errc::unavailable, refused("flush the queue", errno).message};
  }
  return Unit{};
}

std::optional<std::size_t> DocumentQueue::waiting() const {
  const Result<Descriptor> directory = open_directory(directory_);
  if (!directory || has_grown(directory->get())) return std::nullopt;
  return count_documents(directory->get());
}

Status AlertQueue::put(const Alert& alert) {
  const Result<std::string> id = new_id();
  if (!id) return id.error();
  const std::string json = alert_json(alert, *id);
  return documents_.put({&json, 1});
}

}  // namespace hallpass
