#include "hub/told.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <system_error>

#include "core/edge/files.h"
#include "core/log/epoch.h"
#include "core/values/text.h"
#include "notify/descriptor.h"
#include "notify/document.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kMaxFile = std::size_t{64} * 1024 * 1024;

std::string line_of(const std::string& id, UnixTime at) {
  return id + " " + std::to_string(to_unix(at)) + "\n";
}

bool is_id(std::string_view text) {
  return text.size() == kDocumentIdDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Status Told::open(UnixTime now) {
  const Result<std::string> text = read_file(AT_FDCWD, path_, kMaxFile);
  if (!text && text.error().code == Errc::not_found) return Unit{};
  if (!text) return Error{Errc::unavailable, text.error().message};
  std::istringstream lines(*text);
  std::string line;
  while (std::getline(lines, line) && !lines.eof()) {  // eof: no newline, so the line was cut
    std::istringstream words(line);
    std::string id;
    long long at = 0;
    if (words >> id >> at && is_id(id)) ids_.emplace(id, from_unix(at));
  }
  return write_anew(now);
}

Status Told::write_anew(UnixTime now) {
  std::string kept;
  for (auto at = ids_.begin(); at != ids_.end();) {
    if (at->second + kLogHorizon < now) {
      at = ids_.erase(at);
    } else {
      kept += line_of(at->first, at->second);
      ++at;
    }
  }
  grown_ = 0;
  return write_file_durably(path_, kept, 0600);
}

// A crash while it is written leaves whole lines and perhaps a part of one, which open() leaves out.
Status Told::add(std::span<const std::string> ids, UnixTime now) {
  std::string text;
  for (const std::string& id : ids) {
    if (ids_.emplace(id, now).second) text += line_of(id, now);
  }
  grown_ += text.size();
  if (grown_ > growth_) return write_anew(now);
  const Descriptor file(
      ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file.ok() || !write_all(file.get(), text) || ::fdatasync(file.get()) != 0) {
    return Error{Errc::unavailable, "cannot write " + printable(path_) + ": " + std::generic_category().message(errno)};
  }
  return Unit{};
}

}  // namespace hallpass::hub
