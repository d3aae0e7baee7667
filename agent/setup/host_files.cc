#include "agent/setup/host_files.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1024} * 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor)

 private:
  int fd_;
};

std::string folder_of(std::string_view path) {
  return std::string(path.substr(0, path.rfind('/')));
}
std::string name_of(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

Error failed(const std::string& what, const std::string& path, int error) {
  return {Errc::unavailable, "cannot " + what + " " + printable(path) + ": " + std::generic_category().message(error)};
}
Error untrusted(const std::string& path, const std::string& why) {
  return {Errc::untrusted, printable(path) + " " + why};
}

// Root's, in a test's own tree the tester's. polkit's directories belong to its daemon, which obeys what lies there
// anyway.
bool trusted_owner(const Layout& layout, const std::string& path, uid_t uid) {
  if (uid == 0 || (!layout.root.empty() && uid == geteuid())) return true;
  if (path.find("/polkit-1/") == std::string::npos) return false;
  const passwd* daemon = getpwnam("polkitd");
  return daemon != nullptr && daemon->pw_uid == uid;
}

// nullopt: no such directory.
Result<std::optional<struct stat>> look_at_folder(const Layout& layout, const std::string& folder) {
  struct stat info {};
  if (lstat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::optional<struct stat>();
    return failed("look at", folder, errno);
  }
  if (!S_ISDIR(info.st_mode)) return untrusted(folder, "is no directory: what stands there is not changed");
  if ((info.st_mode & 0022) != 0 || !trusted_owner(layout, folder, info.st_uid))
    return untrusted(folder, "can be changed by others than root: `chown root " + folder + "; chmod go-w " + folder +
                                 "`, after a look at who put what there");
  return std::optional(info);
}

Result<std::optional<FileContent>> read_at(const Layout& layout, const std::string& full) {
  const Result<std::optional<struct stat>> folder = look_at_folder(layout, folder_of(full));
  if (!folder) return folder.error();
  if (!*folder) return std::optional<FileContent>();
  struct stat info {};
  if (lstat(full.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::optional<FileContent>();
    return failed("look at", full, errno);
  }
  if (S_ISLNK(info.st_mode))
    return untrusted(full,
                     "is a symbolic link: hallpass changes plain files only. Put the file itself there, or make "
                     "the changes by hand (docs/operations.md)");
  if (!S_ISREG(info.st_mode)) return untrusted(full, "is no regular file");
  if ((info.st_mode & 0022) != 0 || !trusted_owner(layout, full, info.st_uid))
    return untrusted(full, "can be changed by others than root: `chown root " + full + "; chmod go-w " + full +
                               "`, after a look at what it says");
  Result<std::string> bytes = read_file(AT_FDCWD, full, kMaxFileBytes);
  if (!bytes) return bytes.error();
  return std::optional(FileContent{std::move(*bytes), info.st_mode & 07777U, info.st_uid, info.st_gid});
}

// SELinux labels, access lists: as the file that is replaced had them. Where the file system knows none, there were
// none.
void copy_attributes(const std::string& from, int to) {
  std::array<char, 4096> names{}, value{};
  const ssize_t length = llistxattr(from.c_str(), names.data(), names.size());
  for (ssize_t at = 0; at < length;) {
    const char* name = names.data() + at;
    const ssize_t size = lgetxattr(from.c_str(), name, value.data(), value.size());
    if (size >= 0) fsetxattr(to, name, value.data(), static_cast<std::size_t>(size), 0);
    at += static_cast<ssize_t>(std::char_traits<char>::length(name)) + 1;
  }
}

Status flush_folder(const std::string& folder) {
  const Descriptor fd(open(folder.empty() ? "/" : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd < 0 || fsync(fd) != 0) return failed("flush", folder, errno);
  return Unit{};
}

Status write_file(int fd, const std::string& full, const std::string& like, const FileContent& content) {
  if (!write_all(fd, content.bytes)) return failed("write", full, errno);
  if (geteuid() == 0 && fchown(fd, content.uid, content.gid) != 0) return failed("set the owner of", full, errno);
  if (fchmod(fd, static_cast<mode_t>(content.mode)) != 0) return failed("set the mode of", full, errno);
  copy_attributes(like, fd);
  if (fsync(fd) != 0) return failed("flush", full, errno);
  return Unit{};
}

}  // namespace

std::string hidden_path(const Layout& layout, std::string_view path, Hidden which) {
  static constexpr std::array<const char*, 4> kSuffixes = {".hallpass-new", ".hallpass-before", ".hallpass-original",
                                                           ".hallpass-changed"};
  return layout.at(folder_of(path)) + "/." + name_of(path) + kSuffixes[static_cast<std::size_t>(which)];
}

Result<std::optional<FileContent>> read_target(const Layout& layout, const std::string& path) {
  return read_at(layout, layout.at(path));
}
Result<std::optional<FileContent>> read_hidden(const Layout& layout, const std::string& path, Hidden which) {
  return read_at(layout, hidden_path(layout, path, which));
}

bool same_content(const std::optional<FileContent>& a, const std::optional<FileContent>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->bytes == b->bytes && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

Result<std::vector<std::string>> missing_directories(const Layout& layout, const std::string& path) {
  std::vector<std::string> missing;
  for (std::string folder = folder_of(path); !folder.empty(); folder = folder_of(folder)) {
    const Result<std::optional<struct stat>> there = look_at_folder(layout, layout.at(folder));
    if (!there) return there.error();
    if (*there) break;
    missing.insert(missing.begin(), folder);
  }
  return missing;
}

Status make_directories(const Layout& layout, const std::vector<std::string>& missing) {
  for (const std::string& folder : missing) {
    const std::string full = layout.at(folder);
    if (mkdir(full.c_str(), 0755) != 0 && errno != EEXIST) return failed("make the directory", full, errno);
    if (chmod(full.c_str(), 0755) != 0) return failed("set the mode of", full, errno);  // whatever the umask
    if (const Status flushed = flush_folder(layout.at(folder_of(folder))); !flushed) return flushed;
  }
  return Unit{};
}

void remove_directories(const Layout& layout, const std::vector<std::string>& made) {
  for (auto at = made.rbegin(); at != made.rend(); ++at) {
    if (rmdir(layout.at(*at).c_str()) == 0) (void)flush_folder(layout.at(folder_of(*at)));
  }
}

Status write_hidden(const Layout& layout, const std::string& path, Hidden which, const FileContent& content) {
  const std::string full = hidden_path(layout, path, which);
  unlink(full.c_str());  // left by somebody who was killed
  const Descriptor fd(openat(AT_FDCWD, full.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd < 0) return failed("create", full, errno);
  if (const Status written = write_file(fd, full, layout.at(path), content); !written) {
    unlink(full.c_str());
    return written;
  }
  return Unit{};
}

Status keep_target(const Layout& layout, const std::string& path, Hidden which) {
  const std::string full = hidden_path(layout, path, which);
  unlink(full.c_str());
  if (linkat(AT_FDCWD, layout.at(path).c_str(), AT_FDCWD, full.c_str(), 0) != 0)
    return failed("keep " + path + " as", full, errno);
  return Unit{};
}

Status put_hidden(const Layout& layout, const std::string& path, Hidden which) {
  const std::string full = hidden_path(layout, path, which);
  if (std::rename(full.c_str(), layout.at(path).c_str()) != 0) {
    const int error = errno;
    return Error{error == ENOENT ? Errc::not_found : Errc::unavailable, failed("rename", full, error).message};
  }
  // Two names of one file: rename does nothing then.
  unlink(full.c_str());
  return flush_directory(layout, path);
}

Status remove_target(const Layout& layout, const std::string& path) {
  if (unlink(layout.at(path).c_str()) != 0 && errno != ENOENT) return failed("remove", layout.at(path), errno);
  return flush_directory(layout, path);
}

void remove_hidden(const Layout& layout, const std::string& path, Hidden which) {
  unlink(hidden_path(layout, path, which).c_str());
}
bool has_hidden(const Layout& layout, const std::string& path, Hidden which) {
  struct stat info {};
  return lstat(hidden_path(layout, path, which).c_str(), &info) == 0;
}

Status flush_directory(const Layout& layout, const std::string& path) {
  struct stat info {};
  const std::string folder = layout.at(folder_of(path));
  if (lstat(folder.c_str(), &info) != 0 && errno == ENOENT) return Unit{};
  return flush_folder(folder);
}

}  // namespace hallpass
