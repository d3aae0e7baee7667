#include "agent/setup/activation_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>

#include "agent/setup/config_lines.h"
#include "agent/setup/host_files.h"
#include "core/edge/files.h"
#include "core/hash.h"
#include "core/json.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{256} * 1024;
constexpr char kRecord[] = "/record.json", kFormer[] = "/record-before.json", kEnding[] = "/ending",
               kDirectories[] = "/directories";
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::string record_path(const Layout& layout) {
  return layout.activation() + kRecord;
}
std::string former_path(const Layout& layout) {
  return layout.activation() + kFormer;
}

Error failed(const std::string& what, const std::string& path) {
  return {Errc::unavailable, "cannot " + what + " " + path + ": " + std::strerror(errno)};
}

Status flush_folder(const Layout& layout) {
  const int fd = open(layout.activation().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool flushed = fd >= 0 && fsync(fd) == 0;
  const Error error = failed("flush", layout.activation());
  if (fd >= 0) close(fd);
  if (!flushed) return error;
  return Unit{};
}

Status make_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return Unit{};
  return failed("make the directory", path);
}

Json wanted_json(const Wanted& wanted) {
  return JsonObject{{"mode", to_string(wanted.mode)}, {"sudo", wanted.sudo}};
}

bool bool_of(JsonReader& reader, std::string_view name) {
  const Json* value = reader.any(name);
  const bool* read = value == nullptr ? nullptr : value->as_bool();
  if (read == nullptr) reader.fail(name, "true or false is expected");
  return read != nullptr && *read;
}

Mode mode_of(JsonReader& reader, std::string_view name) {
  const std::string text = reader.string(name);
  for (const Mode mode : {Mode::off, Mode::observe, Mode::enforce})
    if (text == to_string(mode)) return mode;
  reader.fail(name, "off, observe or enforce is expected");
  return Mode::off;
}

UnixTime time_of(JsonReader& reader, std::string_view name) {
  const Result<UnixTime> time = parse_time(reader.string(name));
  if (!time) reader.fail(name, time.error().message);
  return time ? *time : UnixTime{};
}

const JsonArray& array_of(JsonReader& reader, std::string_view name) {
  static const JsonArray none;
  const Json* value = reader.any(name);
  const JsonArray* array = value == nullptr ? nullptr : value->as_array();
  if (array == nullptr) reader.fail(name, "an array is expected");
  return array == nullptr ? none : *array;
}

Wanted wanted_of(JsonReader& reader, std::string_view name, std::string& fault) {
  static const Json none;
  const Json* value = reader.any(name);
  JsonReader inner(value == nullptr ? none : *value, std::string(name));
  Wanted wanted;
  wanted.mode = mode_of(inner, "mode");
  wanted.sudo = bool_of(inner, "sudo");
  if (const Status whole = inner.finish(); !whole) fault = whole.error().message;
  return wanted;
}

Json to_record_json(const ActivationRecord& record) {
  JsonArray files, changes;
  for (const RecordedFile& f : record.files)
    files.push_back(JsonObject{{"path", f.path}, {"had_original", f.had_original}, {"written", f.written}});
  for (const RecordedChange& c : record.changes)
    changes.push_back(JsonObject{{"path", c.path}, {"before", c.before}, {"after", c.after}});
  const ActivationState& state = record.state;
  return JsonObject{{"hallpass", "activation/1"},
                    {"now", wanted_json(state.now)},
                    {"before", wanted_json(state.before)},
                    {"pending", state.pending},
                    {"since", format_time(state.since)},
                    {"deadline", format_time(state.deadline)},
                    {"since_boot_ms", state.since_boot_ms},
                    {"done_boot_ms", state.done_boot_ms},
                    {"deadline_boot_ms", state.deadline_boot_ms},
                    {"boot_id", record.boot_id},
                    {"files", std::move(files)},
                    {"changes", std::move(changes)}};
}

void read_lists(JsonReader& reader, ActivationRecord& record, std::string& fault) {
  for (const Json& item : array_of(reader, "files")) {
    JsonReader file(item, "a file");
    RecordedFile read;
    read.path = file.string("path");
    read.had_original = bool_of(file, "had_original");
    read.written = file.string("written");
    if (const Status whole = file.finish(); !whole) fault = whole.error().message;
    record.files.push_back(std::move(read));
  }
  for (const Json& item : array_of(reader, "changes")) {
    JsonReader change(item, "a change");
    RecordedChange read{change.string("path"), change.string("before"), change.string("after")};
    if (const Status whole = change.finish(); !whole) fault = whole.error().message;
    record.changes.push_back(std::move(read));
  }
}

Result<ActivationRecord> parse_record(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json) return json.error();
  JsonReader reader(*json, "the record");
  ActivationRecord record;
  std::string fault;
  if (reader.string("hallpass") != "activation/1") fault = "it is of another version";
  ActivationState& state = record.state;
  state.now = wanted_of(reader, "now", fault);
  state.before = wanted_of(reader, "before", fault);
  state.pending = bool_of(reader, "pending");
  state.since = time_of(reader, "since");
  state.deadline = time_of(reader, "deadline");
  state.since_boot_ms = reader.integer("since_boot_ms", 0, kMost);
  state.done_boot_ms = reader.integer("done_boot_ms", 0, kMost);
  state.deadline_boot_ms = reader.integer("deadline_boot_ms", 0, kMost);
  record.boot_id = reader.string("boot_id");
  read_lists(reader, record, fault);
  if (const Status whole = reader.finish(); !whole) return whole.error();
  if (!fault.empty()) return Error{Errc::malformed, fault};
  return record;
}

std::vector<std::string> noted_directories(const Layout& layout) {
  const Result<std::string> text = read_file(AT_FDCWD, layout.activation() + kDirectories, kMaxRecordBytes);
  return text ? words_of(*text) : std::vector<std::string>();
}

}  // namespace

std::string fingerprint(const std::optional<FileContent>& content) {
  if (!content) return "";
  std::array<char, 64> attributes{};
  const int length =
      std::snprintf(attributes.data(), attributes.size(), " %04o %u:%u", content->mode, content->uid, content->gid);
  return format_digest(sha256(content->bytes)) + std::string(attributes.data(), static_cast<std::size_t>(length));
}

Result<ActivationRecord> read_record(const Layout& layout) {
  const std::string path = record_path(layout);
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxRecordBytes);
  if (!text) return text.error();
  Result<ActivationRecord> record = parse_record(*text);
  if (!record)
    return Error{Errc::malformed, path + " is damaged (" + record.error().message +
                                      "): `hallpass host disable` takes hallpass out of all files and starts anew"};
  return record;
}

Status write_record(const Layout& layout, const ActivationRecord& record, bool keep) {
  if (const Status made = make_folder(layout.at(paths::kStateDir)); !made) return made;
  if (const Status made = make_folder(layout.activation()); !made) return made;
  const std::string path = record_path(layout), former = former_path(layout);
  if (keep) {
    unlink(former.c_str());
    if (linkat(AT_FDCWD, path.c_str(), AT_FDCWD, former.c_str(), 0) != 0 && errno != ENOENT)
      return failed("keep " + path + " as", former);
  }
  return write_file_durably(path, to_pretty_json(to_record_json(record)), 0600);
}

Status restore_record(const Layout& layout, bool had_before) {
  const std::string path = record_path(layout), former = former_path(layout);
  if (had_before) {
    if (std::rename(former.c_str(), path.c_str()) != 0 && errno != ENOENT) return failed("rename", former);
  } else if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return failed("remove", path);
  }
  unlink(former.c_str());
  return flush_folder(layout);
}

void forget_former_record(const Layout& layout) {
  if (unlink(former_path(layout).c_str()) == 0) (void)flush_folder(layout);
}

Status remove_record(const Layout& layout) {
  if (unlink(record_path(layout).c_str()) != 0 && errno != ENOENT) return failed("remove", record_path(layout));
  unlink(former_path(layout).c_str());
  unlink((layout.activation() + kEnding).c_str());
  struct stat info {};
  if (stat(layout.activation().c_str(), &info) != 0) return Unit{};
  return flush_folder(layout);
}

Status note_directories(const Layout& layout, const std::vector<std::string>& more) {
  std::vector<std::string> noted = noted_directories(layout);
  std::string text;
  for (const std::string& folder : more)
    if (std::find(noted.begin(), noted.end(), folder) == noted.end()) noted.push_back(folder);
  for (const std::string& folder : noted) text += folder + "\n";
  return more.empty() ? Status(Unit{}) : write_file_durably(layout.activation() + kDirectories, text, 0600);
}

void remove_noted_directories(const Layout& layout, bool forget) {
  remove_directories(layout, noted_directories(layout));
  if (forget) unlink((layout.activation() + kDirectories).c_str());
}

void mark_ending(const Layout& layout, bool ending) {
  const std::string path = layout.activation() + kEnding;
  if (ending) {
    const int fd = openat(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
  } else {
    unlink(path.c_str());
  }
  if (access(layout.activation().c_str(), F_OK) == 0) (void)flush_folder(layout);
}

bool is_ending(const Layout& layout) {
  return access((layout.activation() + kEnding).c_str(), F_OK) == 0;
}

}  // namespace hallpass
