#include "cli/news.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <thread>

namespace hallpass::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kLook{
    1000};  // also the longest that a directory without inotify (network file systems) goes unread
constexpr milliseconds kPlainFiles{2000};  // between looks at a server that knows no long poll
constexpr milliseconds kAway{3000};        // between tries of a hub that is away
constexpr milliseconds kNap{100};
constexpr Seconds kLongest{3600};  // what comes later is looked at again

void nap_until(UnixTime until, milliseconds longest) {
  const auto deadline = std::chrono::steady_clock::now() + longest;
  while (Context::now() < until && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kNap);
}

}  // namespace

News::News(Context& context, const Workspace& workspace) : context_(context), dir_(workspace.dir()) {
  if (context_.on_hub()) return;
  fd_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd_ >= 0) inotify_add_watch(fd_, dir_.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE);
  seen_ = look();
}

News::~News() {
  if (fd_ >= 0) close(fd_);
}

std::string News::look() const {
  std::vector<std::string> files;
  std::error_code failed;
  for (fs::directory_iterator at(dir_, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code gone;
    const std::string name = at->path().filename().string();
    if (name.ends_with(".grant") || name.ends_with(".toml") || name.ends_with(".sig")) {
      files.push_back(fmt::format("{} {} {}\n", name, fs::file_size(at->path(), gone),
                                  fs::last_write_time(at->path(), gone).time_since_epoch().count()));
    }
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const std::string& file : files) all += file;
  return all;
}

Status News::wait(Workspace& workspace, UnixTime until) {
  until = std::min(until, Context::now() + kLongest);
  return context_.on_hub() ? wait_for_hub(workspace, until) : wait_for_directory(workspace, until);
}

Status News::wait_for_directory(Workspace& workspace, UnixTime until) {
  pollfd waiting{fd_, POLLIN, 0};
  const auto left = std::clamp(milliseconds(until - Context::now()), milliseconds(0), kLook);
  if (poll(&waiting, fd_ >= 0 ? 1 : 0, static_cast<int>(left.count())) > 0) {
    std::array<char, 4096> events{};
    while (read(fd_, events.data(), events.size()) > 0) {
    }
  }
  std::string now = look();
  if (now == seen_) return Unit{};
  seen_ = std::move(now);
  return context_.refresh(workspace);
}

Status News::wait_for_hub(Workspace& workspace, UnixTime until) {
  const auto mirror = context_.hub();
  if (!mirror) return mirror.error();
  // Another program may have brought the copy up to date.
  if (context_.has_grown()) return context_.refresh(workspace);
  HubClient& client = mirror.value()->client();
  const auto head = mirror.value()->head();
  const std::uint64_t size = head ? head->size : 0;
  const auto began = std::chrono::steady_clock::now();
  const auto note = client.checkpoint_after(size, [until] { return Context::now() < until; });
  if (!note && Context::now() >= until) return Unit{};
  if (const auto done = context_.refresh(workspace, note ? &note.value() : nullptr); !done) return done;
  if (!note) {
    nap_until(until, kAway);
  } else if (std::chrono::steady_clock::now() - began < kLook) {
    const auto after = mirror.value()->head();
    if (after && after->size == size) nap_until(until, kPlainFiles);
  }
  return Unit{};
}

}  // namespace hallpass::cli
