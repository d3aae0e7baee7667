#include "sudo_plugin/path_check.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

bool is_kept(const struct stat& st, uid_t target) {
  return (st.st_uid == 0 || st.st_uid == target) && (S_ISLNK(st.st_mode) || (st.st_mode & 022) == 0);
}

// Goes from / to a program, one component at a time, through the links there are.
class Way {
 public:
  Way(const std::string& path, uid_t target) : path_(path), rest_(path), target_(target) {}

  std::string what_is_wrong() {
    struct stat st {};
    const std::string unknown = path_ + " is no program that can be looked at";
    for (int steps = 0; steps < 256; ++steps) {
      if (rest_.starts_with('/')) start_over();
      if (at_.get() < 0 || fstat(at_.get(), &st) != 0) return unknown;
      if (!is_kept(st, target_)) return changeable(here_);
      const bool over = rest_.find_first_not_of('/') == std::string::npos;
      if (over) return S_ISREG(st.st_mode) ? std::string() : unknown;
      if (!S_ISDIR(st.st_mode) || !step()) return link_.empty() ? unknown : changeable(link_);
    }
    return unknown;
  }

 private:
  static std::string changeable(const std::string& path) {
    return path + " can be changed by others than root, so nothing there is run";
  }

  void start_over() {
    at_.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    here_ = "/";
    rest_.erase(0, rest_.find_first_not_of('/'));
  }

  // Into the next component; a link is looked at where it stands and its text takes its place.
  bool step() {
    const std::size_t end = std::min(rest_.find('/'), rest_.size());
    const std::string name = rest_.substr(0, end);
    rest_.erase(0, rest_.find_first_not_of('/', end));
    const int next = openat(at_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st {};
    if (next < 0 || fstat(next, &st) != 0) {
      if (next >= 0) close(next);
      return false;
    }
    if (!S_ISLNK(st.st_mode)) {
      at_.reset(next);
      here_ += (here_.size() > 1 ? "/" : "") + name;
      return true;
    }
    char text[4096];
    const bool kept = is_kept(st, target_);
    if (!kept) link_ = here_ + (here_.size() > 1 ? "/" : "") + name;
    const ssize_t n = kept ? readlinkat(next, "", text, sizeof text) : -1;
    close(next);
    if (n <= 0 || static_cast<std::size_t>(n) == sizeof text) return false;
    rest_ = std::string(text, static_cast<std::size_t>(n)) + (rest_.empty() ? "" : "/" + rest_);
    return true;
  }

  Descriptor at_{-1};
  std::string path_, rest_, here_, link_;
  uid_t target_;
};

}  // namespace

std::string RootOwnedFiles::wrong_on_the_way(const std::string& program, const std::string& target) const {
  const passwd* user = getpwnam(target.c_str());
  if (user == nullptr) return "this host has no user " + target;
  return program.starts_with('/') ? Way(program, user->pw_uid).what_is_wrong() : program + " is no absolute path";
}

bool RootOwnedFiles::is_same(const std::string& one, const std::string& other) const {
  struct stat a {
  }, b{};
  return one.starts_with('/') && other.starts_with('/') && stat(one.c_str(), &a) == 0 && stat(other.c_str(), &b) == 0 &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool RootOwnedFiles::allows(std::string_view prefix, std::string_view tail) const {
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
