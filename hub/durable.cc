#include "hub/durable.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass::hub {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string in_words(int error) {
  return std::generic_category().message(error);
}

// The directory part ("" when there is none) and the last component.
std::pair<std::string, std::string> split(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string::npos) return {"", name};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

// A temporary of an earlier process may be there, read-only perhaps: it goes.
int create_temporary(int dir, const std::string& temporary) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const int fd = ::openat(dir, temporary.c_str(), kFlags, 0600);
  if (fd >= 0 || errno != EEXIST) return fd;
  if (::unlinkat(dir, temporary.c_str(), 0) != 0) return -1;
  return ::openat(dir, temporary.c_str(), kFlags, 0600);
}

}  // namespace

Result<DurableTree> DurableTree::open(const std::string& path) {
  Descriptor root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) {
    return Error{Errc::unavailable, "cannot open the directory " + printable(path) + ": " + in_words(errno)};
  }
  return DurableTree(path, std::move(root));
}

Error DurableTree::failed(const std::string& what, const std::string& name) {
  const int error = errno;
  broken_ = Error{Errc::unavailable, "cannot " + what + " " + printable(path_ + "/" + name) + ": " + in_words(error)};
  return *broken_;
}

Status DurableTree::flush(int fd, const std::string& what) {
  ++fsyncs_;
  if (::fsync(fd) != 0) return failed("flush", what);
  return Unit{};
}

void DurableTree::touch(const std::string& name, int fd) {
  if (touched_.count(name) == 0) touched_.emplace(name, Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
}

// Walks down, making what is not there. A directory that was there before this process may have been made by one that
// was killed before it flushed: its parent is flushed once.
Result<Descriptor> DurableTree::directory(const std::string& name) {
  Descriptor at(::openat(root_.get(), ".", kOpenDirectory));
  if (!at.ok()) return failed("open", "");
  std::string walked;
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string component = name.substr(begin, end - begin);
    const std::string child = name.substr(0, end);
    Descriptor next(::openat(at.get(), component.c_str(), kOpenDirectory));
    if (!next.ok() && errno == ENOENT) {
      if (::mkdirat(at.get(), component.c_str(), 0755) != 0) return failed("make the directory", child);
      next = Descriptor(::openat(at.get(), component.c_str(), kOpenDirectory));
      // The umask must not decide whether a web server may look in.
      if (next.ok() && ::fchmod(next.get(), 0755) != 0) return failed("set the mode of", child);
    }
    if (!next.ok()) return failed("open the directory", child);
    if (durable_.count(child) == 0) {
      touch(walked, at.get());
      touch(child, next.get());
      fresh_.push_back(child);
    }
    at = std::move(next);
    walked = child;
    begin = end + 1;
  }
  return at;
}

Status DurableTree::write(int dir, const std::string& base, const std::string& name, std::string_view content,
                          unsigned mode) {
  const std::string temporary = "." + base + ".new";
  const Descriptor file(create_temporary(dir, temporary));
  if (!file.ok()) return failed("create a file beside", name);
  if (::fchmod(file.get(), static_cast<mode_t>(mode)) != 0) return failed("set the mode of", name);
  if (!write_all(file.get(), content)) return failed("write", name);
  if (const Status flushed = flush(file.get(), name); !flushed) return flushed;
  if (::renameat(dir, temporary.c_str(), dir, base.c_str()) != 0) return failed("rename into place", name);
  return Unit{};
}

Status DurableTree::put(const std::string& name, std::string_view content, unsigned mode) {
  if (broken_) return *broken_;
  const auto [folder, base] = split(name);
  const Result<Descriptor> dir = directory(folder);
  if (!dir) return dir.error();
  touch(folder, dir->get());
  return write(dir->get(), base, name, content, mode);
}

Status DurableTree::sync() {
  if (broken_) return *broken_;
  for (const auto& [name, fd] : touched_) {
    if (const Status flushed = flush(fd.get(), name); !flushed) return flushed;
  }
  touched_.clear();
  durable_.insert(fresh_.begin(), fresh_.end());
  fresh_.clear();
  return Unit{};
}

Status DurableTree::put_now(const std::string& name, std::string_view content, unsigned mode) {
  const Status put_there = put(name, content, mode);
  return put_there ? sync() : put_there;
}

void DurableTree::discard(const std::string& name) {
  Descriptor dir(::openat(root_.get(), name.c_str(), kOpenDirectory));
  if (!dir.ok()) return;
  const int own = ::fcntl(dir.get(), F_DUPFD_CLOEXEC, 0);  // fdopendir takes the one it gets
  const std::unique_ptr<DIR, int (*)(DIR*)> list(own < 0 ? nullptr : ::fdopendir(own), ::closedir);
  if (list == nullptr) {
    if (own >= 0) ::close(own);
    return;
  }
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string_view file = entry->d_name;
    if (file != "." && file != "..") ::unlinkat(dir.get(), entry->d_name, 0);
  }
  if (::unlinkat(root_.get(), name.c_str(), AT_REMOVEDIR) == 0) durable_.erase(name);
}

Status make_directory_durably(const std::string& path, unsigned mode) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return Unit{};
  const auto refused = [&path](const char* what) {
    return Error{Errc::unavailable, std::string("cannot ") + what + " " + printable(path) + ": " + in_words(errno)};
  };
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (parent != "/" && parent != ".") {
    if (const Status made = make_directory_durably(parent, 0755); !made) return made;
  }
  if (::mkdir(path.c_str(), 0700) != 0) return refused("make the directory");
  const Descriptor made(::open(path.c_str(), kOpenDirectory)),
      above(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!made.ok() || !above.ok()) return refused("open the directory");
  if (::fchmod(made.get(), static_cast<mode_t>(mode)) != 0) return refused("set the mode of");
  if (::fsync(made.get()) != 0 || ::fsync(above.get()) != 0) return refused("flush the directory");
  return Unit{};
}

}  // namespace hallpass::hub
