#include "sudo_plugin/path_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace hallpass {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void reset(int fd) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

bool is_roots_alone(const struct stat& st) {
  return S_ISDIR(st.st_mode) && st.st_uid == 0 && (st.st_mode & 022) == 0;
}

}  // namespace

bool RootOwnedPaths::allows(std::string_view prefix, std::string_view tail) const {
  const std::string path = std::string(prefix) + std::string(tail);
  if (!path.starts_with('/')) return false;
  Descriptor at(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat st {};
  std::string_view rest = std::string_view(path).substr(1);
  while (at.get() >= 0 && fstat(at.get(), &st) == 0) {
    if (rest.empty()) return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
    if (!is_roots_alone(st)) return false;
    const std::string component(rest.substr(0, rest.find('/')));
    if (component.empty() || component == "." || component == "..") return false;
    rest.remove_prefix(std::min(component.size() + 1, rest.size()));
    // One component at a time, so a link shows as itself and is neither file nor directory.
    at.reset(openat(at.get(), component.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }
  return false;
}

}  // namespace hallpass
