// Back: to what was confirmed last, or to the files from before hallpass. Renames and removals only, unless somebody
// else changed a file meanwhile; each step may be taken again after a crash.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "agent/setup/activation.h"
#include "agent/setup/activation_parts.h"
#include "agent/setup/host_files.h"
#include "agent/setup/targets.h"

namespace hallpass {
namespace {

constexpr std::chrono::seconds kPatience{10};

// What cannot be merged goes out of the way, where nothing reads it and somebody can look at it.
Status put_aside(const Layout& layout, const std::string& path, std::vector<std::string>& told) {
  const std::string aside = hidden_path(layout, path, Hidden::changed);
  if (std::rename(layout.at(path).c_str(), aside.c_str()) != 0 && errno != ENOENT)
    return Error{Errc::unavailable, "cannot rename " + path + ": " + std::strerror(errno)};
  told.push_back(path + " had been changed by somebody else: it was removed and is kept as " + aside);
  return flush_directory(layout, path);
}

// Whatever stands there, `which` takes its place; what stood there is kept.
Status force_hidden(const Layout& layout, const std::string& path, Hidden which, std::vector<std::string>& told) {
  if (keep_target(layout, path, Hidden::changed))
    told.push_back(path +
                   " had been changed by somebody else, and there was no room to keep his changes in it: they are in " +
                   hidden_path(layout, path, Hidden::changed));
  return put_hidden(layout, path, which);
}

// `rest` takes the place of a file that somebody else changed. `fallback`: when there is no room to write it.
Status keep_others_changes(const Layout& layout, const std::string& path, const std::optional<FileContent>& rest,
                           Hidden fallback, std::vector<std::string>& told) {
  if (!rest) return put_aside(layout, path, told);
  Status put = write_hidden(layout, path, Hidden::staged, *rest);
  if (put) put = put_hidden(layout, path, Hidden::staged);
  if (put) {
    told.push_back(path + " had been changed by somebody else: only hallpass's lines were taken back");
    return put;
  }
  return has_hidden(layout, path, fallback) ? force_hidden(layout, path, fallback, told) : put;
}

Status put_back(const Layout& layout, const std::string& path, bool was_there, Hidden which) {
  return was_there ? put_hidden(layout, path, which) : remove_target(layout, path);
}

Status undo_change(const Layout& layout, const ActivationRecord& record, const RecordedChange& change,
                   std::vector<std::string>& told) {
  const Result<std::optional<FileContent>> now = read_target(layout, change.path);
  if (now && fingerprint(*now) == change.before) return Unit{};
  const bool was_there = !change.before.empty();
  if (was_there && !has_hidden(layout, change.path, Hidden::before) && now) {
    // Its name was taken away: hallpass's lines go, the rest stays.
    if (!holds_hallpass(change.path, *now)) return Unit{};
    return keep_others_changes(layout, change.path, without_hallpass(change.path, *now), Hidden::original, told);
  }
  if (!now)
    return was_there ? force_hidden(layout, change.path, Hidden::before, told) : put_aside(layout, change.path, told);
  if (fingerprint(*now) == change.after || !*now) return put_back(layout, change.path, was_there, Hidden::before);
  const Result<std::optional<FileContent>> then = record.state.before.mode == Mode::off
                                                      ? without_hallpass(change.path, *now)
                                                      : wanted_content(layout, change.path, *now, record.state.before);
  const std::optional<FileContent> rest = then ? *then : without_hallpass(change.path, *now);
  if (same_content(rest, *now)) return Unit{};
  return keep_others_changes(layout, change.path, rest, Hidden::before, told);
}

// The file is just what hallpass makes of the original, though the record does not say so.
bool made_of_original(const Layout& layout, const std::string& path, const std::optional<FileContent>& now) {
  const Result<std::optional<FileContent>> original = read_hidden(layout, path, Hidden::original);
  if (!original || !*original) return false;
  for (const Mode mode : {Mode::observe, Mode::enforce}) {
    const Result<std::optional<FileContent>> made = wanted_content(layout, path, *original, {mode, true});
    if (made && same_content(*made, now)) return true;
  }
  return false;
}

// One of our own that nobody touched.
bool is_template(const Layout& layout, const std::string& path, const std::optional<FileContent>& now) {
  const Result<std::optional<FileContent>> made = wanted_content(layout, path, std::nullopt, {Mode::enforce, true});
  return made && *made && now && (*made)->bytes == now->bytes;
}

Status end_file(const Layout& layout, const std::string& path, const RecordedFile* known,
                std::vector<std::string>& told) {
  const Result<std::optional<FileContent>> now = read_target(layout, path);
  if (!now) return now.error();
  if (!holds_hallpass(path, *now)) return Unit{};
  const bool untouched = known != nullptr && known->written == fingerprint(*now);
  if (untouched && !known->had_original) return remove_target(layout, path);
  if ((untouched && has_hidden(layout, path, Hidden::original)) || made_of_original(layout, path, *now))
    return put_hidden(layout, path, Hidden::original);
  if (is_template(layout, path, *now)) return remove_target(layout, path);
  return keep_others_changes(layout, path, without_hallpass(path, *now), Hidden::original, told);
}

const RecordedFile* find_file(const ActivationRecord& record, const std::string& path) {
  for (const RecordedFile& file : record.files)
    if (file.path == path) return &file;
  return nullptr;
}

Status first_fault(const Status& so_far, const Status& next) {
  return so_far ? next : so_far;
}

// Back to the confirmed record, whatever the disk holds.
Status end_pending(const Layout& layout, const ActivationRecord& record, std::vector<std::string>& told) {
  if (const Status undone = undo_changes(layout, record, told); !undone) return undone;
  const bool had_before = access((layout.activation() + "/record-before.json").c_str(), F_OK) == 0;
  for (const std::string& path : target_paths()) remove_hidden(layout, path, Hidden::staged);
  remove_noted_directories(layout, false);
  if (const Status restored = restore_record(layout, had_before); !restored) return restored;
  const Result<ActivationRecord> now = read_record(layout);
  clean_hidden(layout, now ? *now : ActivationRecord());
  if (!now) remove_noted_directories(layout, true);
  return Unit{};
}

}  // namespace

ActivationLock::ActivationLock(const Layout& layout)
    : fd_(open(layout.activation().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (fd_ >= 0 && !(held_ = flock(fd_, LOCK_EX | LOCK_NB) == 0) && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
}
ActivationLock::~ActivationLock() {
  if (fd_ >= 0) close(fd_);
}

Status make_activation_folder(const Layout& layout) {
  for (const std::string& folder : {layout.at(paths::kStateDir), layout.activation()}) {
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
      return Error{Errc::unavailable, "cannot make " + folder + ": " + std::strerror(errno)};
  }
  return Unit{};
}

Status undo_changes(const Layout& layout, const ActivationRecord& record, std::vector<std::string>& told) {
  Status done = Unit{};
  for (auto change = record.changes.rbegin(); change != record.changes.rend(); ++change)
    done = first_fault(done, undo_change(layout, record, *change, told));
  return done;
}

void clean_hidden(const Layout& layout, const ActivationRecord& record) {
  for (const std::string& path : target_paths()) {
    const RecordedFile* known = find_file(record, path);
    remove_hidden(layout, path, Hidden::staged);
    remove_hidden(layout, path, Hidden::before);
    if (known == nullptr || !known->had_original) remove_hidden(layout, path, Hidden::original);
  }
}

Status go_back(const Layout& layout, std::vector<std::string>& told) {
  const ActivationLock lock(layout);
  const Result<ActivationRecord> record = read_record(layout);
  if (!record && record.error().code != Errc::not_found) return record.error();
  if (!record || !record->state.pending) {
    // Left by somebody who was killed.
    clean_hidden(layout, record ? *record : ActivationRecord());
    remove_noted_directories(layout, !record);
    return Unit{};
  }
  return end_pending(layout, *record, told);
}

Status deactivate(const Layout& layout, std::vector<std::string>& told) {
  const ActivationLock lock(layout);
  mark_ending(layout, true);
  Result<ActivationRecord> record = read_record(layout);
  Status done = Unit{};
  if (record && record->state.pending) {
    done = end_pending(layout, *record, told);
    record = read_record(layout);
  }
  if (!record && record.error().code != Errc::not_found) told.push_back(record.error().message);
  const ActivationRecord known = record ? *record : ActivationRecord();
  for (auto path = target_paths().rbegin(); path != target_paths().rend(); ++path)
    done = first_fault(done, end_file(layout, *path, find_file(known, *path), told));
  if (!done) return done;
  clean_hidden(layout, ActivationRecord());
  remove_noted_directories(layout, true);
  return remove_record(layout);
}

Status deactivate_sudo(const Layout& layout, std::vector<std::string>& told) {
  const ActivationLock lock(layout);
  const std::string path(targets::kSudo);
  Result<ActivationRecord> record = read_record(layout);
  if (!record && record.error().code != Errc::not_found) return record.error();
  if (record && record->state.pending)
    return Error{Errc::mismatch,
                 "a change waits to be confirmed: confirm it first (`hallpass host confirm` from a new "
                 "login), or take all of it back with `hallpass host disable`"};
  const RecordedFile* known = record ? find_file(*record, path) : nullptr;
  if (const Status done = end_file(layout, path, known, told); !done) return done;
  if (!record) return Unit{};
  record->state.now.sudo = false;
  std::erase_if(record->files, [&](const RecordedFile& file) { return file.path == path; });
  if (const Status written = write_record(layout, *record, false); !written)
    told.push_back(written.error().message +
                   ": `hallpass host activation` goes on naming sudo until there is room and "
                   "`hallpass host disable --sudo` is typed again");
  clean_hidden(layout, *record);
  return Unit{};
}

}  // namespace hallpass
