#include "agent/intake.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstring>
#include <ctime>

#include "core/edge/files.h"
#include "core/statement.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

// Names kept from inotify at most; beyond, everything is looked at.
constexpr std::size_t kMaxNamed = 4096;
// Bad lines told of in one file.
constexpr int kMaxBadLines = 20;
constexpr std::uint32_t kWatch =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR | IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK;

// What was carried here and waits for a policy or the disk waits so long at most, and so many of it: the directory's
// quota is for everyone.
constexpr std::time_t kLongestInDrop_s = 600;
constexpr std::time_t kShortestInDrop_s = 5;
constexpr std::size_t kMostWaitInDrop = 50;

}  // namespace

Intake::Intake(std::vector<InputDirectory> directories, InputSink& sink, Journal& journal)
    : sink_(sink), journal_(journal), refusals_(journal) {
  notify_fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  for (InputDirectory& d : directories)
    directories_.push_back(std::make_unique<WatchedDirectory>(std::move(d.path), d.role));
  watches_.assign(directories_.size(), -1);
  unreadable_.assign(directories_.size(), false);
  last_scan_.assign(directories_.size(), UnixTime{});
}

Intake::~Intake() {
  if (notify_fd_ >= 0) close(notify_fd_);
}

// The watch comes first, then the scan: what arrives in between is seen twice rather than never.
void Intake::open_directory(std::size_t index) {
  WatchedDirectory& directory = *directories_[index];
  const bool opened = directory.reopen();
  if (opened || (directory.is_open() && watches_[index] < 0)) {
    if (watches_[index] >= 0) inotify_rm_watch(notify_fd_, watches_[index]);
    const std::string through = "/proc/self/fd/" + std::to_string(directory.fd());
    watches_[index] = inotify_add_watch(notify_fd_, through.c_str(), kWatch);
    // Without a watch the minute's look still finds everything.
    if (opened || watches_[index] >= 0) directory.forget_all();
  }
  if (!directory.is_open() && !unreadable_[index]) {
    journal_.event(Event::directory_unreadable,
                   "cannot read the directory " + directory.path() + ": " + directory.error(),
                   {{"FILE", directory.path()}, {"WHY", directory.error()}});
  }
  if (directory.is_open() && unreadable_[index]) {
    journal_.event(Event::directory_readable, "the directory " + directory.path() + " can be read again",
                   {{"FILE", directory.path()}});
  }
  unreadable_[index] = !directory.is_open();
}

void Intake::read_notifications() {
  alignas(struct inotify_event) char buffer[sizeof(struct inotify_event) + NAME_MAX + 1 + 4096];
  // Always until nothing is left: a descriptor that stays readable would keep the loop from the work itself.
  for (;;) {
    const ssize_t got = ::read(notify_fd_, buffer, sizeof buffer);
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      struct inotify_event event {};
      std::memcpy(&event, buffer + at, sizeof event);
      const char* name = buffer + at + sizeof event;
      at += static_cast<ssize_t>(sizeof event + event.len);
      const auto found = std::find(watches_.begin(), watches_.end(), event.wd);
      if ((event.mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) scan_again_ = true;
      if (event.len == 0 || found == watches_.end()) continue;
      const auto& directory = directories_[static_cast<std::size_t>(found - watches_.begin())];
      if (!belongs(input_kind(name), directory->role())) continue;
      if (named_.size() >= kMaxNamed) {
        scan_again_ = true;  // a look at everything finds what is not queued
        continue;
      }
      named_.emplace_back(static_cast<std::size_t>(found - watches_.begin()), name);
    }
  }
}

void Intake::begin_scan(UnixTime now) {
  scan_started_ = now;
  refusals_.tick(now);
  for (std::size_t i = 0; i < directories_.size(); ++i) {
    open_directory(i);
    if (directories_[i]->role() == InputRole::drop && directories_[i]->is_open() && !keep_old_)
      remove_old(*directories_[i]);
    directories_[i]->begin_scan();
  }
}

bool Intake::busy() const {
  if (!named_.empty() || scan_again_) return true;
  return std::any_of(directories_.begin(), directories_.end(), [](const auto& d) { return d->scanning(); });
}

bool Intake::step() {
  const WatchedDirectory::Reader reader = [this](WatchedDirectory& directory, const std::string& name, InputKind kind) {
    return read(directory, name, kind);
  };
  if (!named_.empty()) {
    const auto [index, name] = std::move(named_.front());
    named_.pop_front();
    directories_[index]->look(name, reader);
    return true;
  }
  for (std::size_t i = 0; i < directories_.size(); ++i) {
    if (!directories_[i]->scanning()) continue;
    if (!directories_[i]->step(reader)) last_scan_[i] = scan_started_;
    return true;
  }
  if (!scan_again_) return false;
  scan_again_ = false;
  begin_scan(scan_started_);
  return busy();
}

bool Intake::work(int milliseconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  bool more = busy();
  const bool worked = more;
  while (more && std::chrono::steady_clock::now() < until) {
    read_notifications();
    more = step() || busy();
  }
  if (worked && !more) refusals_.end_round();
  return more;
}

WatchedDirectory::Outcome Intake::read(WatchedDirectory& directory, const std::string& name, InputKind kind) {
  if (kind == InputKind::policy) {
    sink_.policy_files_changed();  // read together: a policy is nothing without its signatures
    return WatchedDirectory::Outcome::done;
  }
  if (kind == InputKind::checkpoint) {
    sink_.log_head_changed();
    return WatchedDirectory::Outcome::done;
  }
  const WatchedDirectory::Outcome outcome = read_content(directory, name, kind);
  if (directory.role() == InputRole::drop && outcome == WatchedDirectory::Outcome::done) taken_.push_back(name);
  return outcome;
}

void Intake::remove_taken() {
  for (const auto& directory : directories_) {
    if (directory->role() != InputRole::drop) continue;
    for (const std::string& name : taken_) unlinkat(directory->fd(), name.c_str(), 0);
  }
  taken_.clear();
}

void Intake::remove_old(const WatchedDirectory& directory) {
  const int fd = openat(directory.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fd < 0 ? nullptr : fdopendir(fd), closedir);
  std::vector<std::pair<std::time_t, std::string>> waiting;  // by age, in seconds
  const std::time_t now = time(nullptr);
  while (const dirent* entry = entries ? readdir(entries.get()) : nullptr) {
    struct stat st {};
    const bool there = fstatat(directory.fd(), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
    if (there) waiting.emplace_back(now - st.st_ctim.tv_sec, entry->d_name);
  }
  std::sort(waiting.begin(), waiting.end());
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    const auto& [age, name] = waiting[i];
    const bool too_many = i >= kMostWaitInDrop && age >= kShortestInDrop_s;
    if (age > kLongestInDrop_s || too_many) unlinkat(directory.fd(), name.c_str(), 0);
  }
}

WatchedDirectory::Outcome Intake::read_content(WatchedDirectory& directory, const std::string& name, InputKind kind) {
  const Result<std::string> content = read_file(directory.fd(), name, kMaxGrantFileBytes);
  if (!content) {
    if (content.error().code == Errc::not_found) return WatchedDirectory::Outcome::retry;
    const std::string where = directory.path() + "/" + printable(name);
    refuse(directory, name, where, content.error().message);
    return content.error().code == Errc::unavailable ? WatchedDirectory::Outcome::retry
                                                     : WatchedDirectory::Outcome::done;
  }
  return kind == InputKind::proof ? read_proof(directory, name, *content) : read_lines(directory, name, *content);
}

WatchedDirectory::Outcome Intake::read_proof(WatchedDirectory& directory, const std::string& name,
                                             std::string_view content) {
  const Status taken = sink_.proof(content);
  if (taken) return WatchedDirectory::Outcome::done;
  if (taken.error().code == Errc::unavailable) return WatchedDirectory::Outcome::retry;
  const bool later = taken.error().code == Errc::unknown_key || taken.error().code == Errc::mismatch;
  if (directory.news(name, taken.error().message)) {
    const std::string where = directory.path() + "/" + printable(name);
    journal_.event(Event::proof_refused, where + ": " + taken.error().message,
                   {{"FILE", where}, {"WHY", taken.error().message}});
  }
  return later ? WatchedDirectory::Outcome::waits_for_policy : WatchedDirectory::Outcome::done;
}

WatchedDirectory::Outcome Intake::read_lines(WatchedDirectory& directory, const std::string& name,
                                             std::string_view content) {
  WatchedDirectory::Outcome outcome = WatchedDirectory::Outcome::done;
  const std::string where = directory.path() + "/" + printable(name);
  int bad = 0;
  std::string faults;
  const char* start = content.data();
  for (const std::string_view line : grant_file_lines(content)) {
    const Status taken = sink_.statement(line);
    if (taken) continue;
    if (taken.error().code == Errc::unavailable) {
      outcome = WatchedDirectory::Outcome::retry;
      continue;  // said once, by who failed
    }
    // What the policy in force says against it, another one may not: a key that moves, an origin that is added.
    const Errc code = taken.error().code;
    const bool may_count_later = code == Errc::unknown_key || code == Errc::mismatch;
    if (may_count_later && outcome == WatchedDirectory::Outcome::done) {
      outcome = WatchedDirectory::Outcome::waits_for_policy;
    }
    if (++bad > kMaxBadLines) continue;
    const auto number = std::count(start, line.data(), '\n') + 1;
    faults +=
        (faults.empty() ? "" : "; ") + std::string("line ") + std::to_string(number) + ": " + taken.error().message;
  }
  if (bad > kMaxBadLines) faults += "; and " + std::to_string(bad - kMaxBadLines) + " more lines";
  if (bad > 0) refuse(directory, name, where, faults);
  return outcome;
}

void Intake::refuse(WatchedDirectory& directory, const std::string& name, const std::string& where,
                    const std::string& why) {
  if (directory.news(name, why)) refusals_.add(where, why);
}

void Intake::open_missing() {
  for (const auto& directory : directories_) scan_again_ = scan_again_ || !directory->is_open();
}

void Intake::forget_all() {
  taken_.clear();
  for (const auto& directory : directories_) directory->forget_all();
  scan_again_ = true;
}

void Intake::forget_waiting() {
  for (const auto& directory : directories_) directory->forget_waiting();
  scan_again_ = true;
}

std::vector<DirectoryReport> Intake::report() const {
  std::vector<DirectoryReport> reports;
  for (std::size_t i = 0; i < directories_.size(); ++i) {
    const WatchedDirectory& d = *directories_[i];
    reports.push_back({d.path(), d.error(), d.files(), last_scan_[i]});
  }
  return reports;
}

}  // namespace hallpass
