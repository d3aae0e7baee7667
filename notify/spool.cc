#include "notify/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <set>
#include <system_error>

#include "core/edge/files.h"
#include "core/values/text.h"
#include "notify/queue.h"

namespace hallpass {
namespace {

constexpr char kRejected[] = "rejected";
constexpr std::string_view kDone = "-done";
constexpr std::string_view kEnding = ".json";
constexpr std::string_view kNew = ".new";

Error refused(const std::string& what, int error) {
  return {error == ENOENT ? Errc::not_found : Errc::unavailable,
          "cannot " + what + ": " + std::generic_category().message(error)};
}

bool ends_with(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

// {"webhook"} of "0000000000000042.webhook-done.json"; empty for "0000000000000042.json".
std::set<std::string> receivers_in(std::string_view name) {
  std::set<std::string> done;
  name.remove_suffix(kEnding.size());
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    const std::string_view part = name.substr(0, name.find('.'));
    if (ends_with(part, kDone)) done.emplace(part.substr(0, part.size() - kDone.size()));
  }
  return done;
}

std::string name_of(std::uint64_t number, const std::set<std::string>& done) {
  std::string name = number_text(number);
  for (const std::string& receiver : done) name += "." + receiver + std::string(kDone);
  return name + std::string(kEnding);
}

std::optional<std::vector<std::string>> names_in(int directory) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return std::nullopt;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy), ::closedir);
  if (!stream) {
    ::close(copy);
    return std::nullopt;
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

void remove_if_old(int directory, const std::string& name, UnixTime wall) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (from_unix(info.st_mtime) + kNewIsOld < wall) ::unlinkat(directory, name.c_str(), 0);
}

void make_room(int rejected) {
  std::optional<std::vector<std::string>> names = names_in(rejected);
  if (!names || names->size() < kMaxRejected) return;
  std::sort(names->begin(), names->end());
  const std::size_t too_many = names->size() - kMaxRejected + 1;
  for (std::size_t i = 0; i < too_many; ++i) ::unlinkat(rejected, (*names)[i].c_str(), 0);
}

Status write_copy(int directory, const std::string& name, std::string_view text) {
  const Descriptor file(
      ::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file.ok()) return refused("create " + name, errno);
  // A copy that was cut short (a full disk) holds nobody up: the document stays in the queue and is tried again.
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) return refused("write " + name, written < 0 ? errno : ENOSPC);
  if (::fsync(file.get()) != 0) return refused("flush " + name, errno);
  return Unit{};
}

}  // namespace

bool Spool::Entry::waits_for(std::string_view receiver) const {
  return done.count(std::string(receiver)) == 0 &&
         std::find(receivers.begin(), receivers.end(), receiver) != receivers.end();
}

bool Spool::Entry::everybody_has() const {
  return std::all_of(receivers.begin(), receivers.end(), [&](const std::string& r) { return done.count(r) > 0; });
}

Result<Spool> Spool::open(const std::string& directory, std::vector<std::string> receivers, Route route) {
  Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) return refused("open " + directory, errno);
  return Spool(std::move(fd), std::move(receivers), std::move(route));
}

// nullopt: the disk does not say it now. A document does not change, so it is read for this once.
std::optional<std::vector<std::string>> Spool::receivers_of(std::uint64_t number, const std::string& name) const {
  if (!route_) return receivers_;
  const auto known = entries_.find(number);
  if (known != entries_.end() && known->second.name == name) return known->second.receivers;
  const Result<std::string> json = read_file(directory_.get(), name, kMaxDocumentBytes);
  if (!json && (json.error().code == Errc::unavailable || json.error().code == Errc::not_found)) return std::nullopt;
  if (!json) return receivers_;
  const Result<DocumentHead> head = read_head(*json);
  return head ? route_(*head) : receivers_;
}

Status Spool::refresh(UnixTime wall) {
  const std::optional<std::vector<std::string>> names = names_in(directory_.get());
  if (!names) return refused("read the queue", errno);
  std::map<std::uint64_t, Entry> found;
  for (const std::string& name : *names) {
    if (ends_with(name, kNew)) remove_if_old(directory_.get(), name, wall);
    if (!is_document_name(name)) continue;
    const std::uint64_t number = *number_of_name(name);
    const std::optional<std::vector<std::string>> receivers = receivers_of(number, name);
    if (!receivers) continue;  // looked at again within a minute
    Entry entry{name, receivers_in(name), *receivers};
    if (entry.everybody_has()) {
      ::unlinkat(directory_.get(), name.c_str(), 0);
      continue;
    }
    found.insert_or_assign(number, std::move(entry));
  }
  entries_ = std::move(found);
  return Unit{};
}

std::set<std::string> Spool::waited_for() const {
  std::set<std::string> names;
  for (const auto& [number, entry] : entries_) {
    for (const std::string& receiver : entry.receivers) {
      if (entry.done.count(receiver) == 0) names.insert(receiver);
    }
  }
  return names;
}

std::optional<std::uint64_t> Spool::next(std::string_view receiver) const {
  for (const auto& [number, entry] : entries_) {
    if (entry.waits_for(receiver)) return number;
  }
  return std::nullopt;
}

std::size_t Spool::waiting(std::string_view receiver) const {
  return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(),
                                                [&](const auto& entry) { return entry.second.waits_for(receiver); }));
}

Result<QueuedDocument> Spool::read(std::uint64_t number) const {
  const auto entry = entries_.find(number);
  if (entry == entries_.end()) return Error{Errc::not_found, "no such document"};
  Result<std::string> json = read_file(directory_.get(), entry->second.name, kMaxDocumentBytes);
  if (!json) return json.error();
  const Result<DocumentHead> head = read_head(*json);
  if (!head) return head.error();
  return QueuedDocument{number, *head, std::move(*json)};
}

Status Spool::delivered(std::uint64_t number, std::string_view receiver) {
  const auto found = entries_.find(number);
  if (found == entries_.end()) return Unit{};
  Entry next = found->second;
  next.done.emplace(receiver);
  next.name = name_of(number, next.done);
  const bool gone = next.everybody_has();
  const std::string& name = found->second.name;
  const int changed = gone ? ::unlinkat(directory_.get(), name.c_str(), 0)
                           : ::renameat(directory_.get(), name.c_str(), directory_.get(), next.name.c_str());
  if (changed != 0 && errno != ENOENT) return refused("note that one was delivered", errno);
  if (gone) {
    entries_.erase(found);
  } else {
    found->second = std::move(next);
  }
  if (::fsync(directory_.get()) != 0) return refused("flush the queue", errno);
  return Unit{};
}

Result<int> Spool::rejected_directory() const {
  if (::mkdirat(directory_.get(), kRejected, 0700) != 0 && errno != EEXIST) return refused("make rejected/", errno);
  const int fd = ::openat(directory_.get(), kRejected, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return refused("open rejected/", errno);
  return fd;
}

Status Spool::reject(const QueuedDocument& document, std::string_view receiver) {
  const Result<int> opened = rejected_directory();
  if (!opened) return opened.error();
  const Descriptor rejected(*opened);
  make_room(rejected.get());
  const std::string name = number_text(document.number) + "." + std::string(receiver) + std::string(kEnding);
  if (const Status copied = write_copy(rejected.get(), name, document.json); !copied) return copied;
  return delivered(document.number, receiver);
}

Status Spool::set_aside(std::uint64_t number) {
  const auto found = entries_.find(number);
  if (found == entries_.end()) return Unit{};
  const Result<int> opened = rejected_directory();
  if (!opened) return opened.error();
  const Descriptor rejected(*opened);
  make_room(rejected.get());
  const std::string name = number_text(number) + ".unreadable";
  if (::renameat(directory_.get(), found->second.name.c_str(), rejected.get(), name.c_str()) != 0 && errno != ENOENT) {
    return refused("set a document aside", errno);
  }
  entries_.erase(found);
  return Unit{};
}

}  // namespace hallpass
