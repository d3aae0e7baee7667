// Forward: apply_changes, and what confirms it. What a SIGKILL or a power cut leaves at each line:
//
//   while hidden files are made   the old files, and hidden ones that the next run removes
//   while the record is written   the same
//   between two renames           a pending record and files old and new: each such mixture is a working one (the order
//                                 in agent/setup/targets.h), and the way back, which is armed by then, ends it
//   after the last rename         the same, with all files new
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "agent/setup/activation.h"
#include "agent/setup/activation_parts.h"
#include "agent/setup/host_files.h"
#include "agent/setup/targets.h"
#include "host/clock.h"

namespace hallpass {
namespace {

std::int64_t boot_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

const RecordedFile* find_file(const ActivationRecord& record, const std::string& path) {
  for (const RecordedFile& file : record.files)
    if (file.path == path) return &file;
  return nullptr;
}

// The file from before hallpass, under its hidden name: what is known already, or the file as it stands, or, where
// somebody put hallpass's lines in by hand, the file without them. False: there was none.
Result<bool> keep_original(const Layout& layout, const ActivationRecord& old, const FileChange& change) {
  const RecordedFile* known = find_file(old, change.path);
  if (known != nullptr && known->written == fingerprint(change.before)) return known->had_original;
  const std::optional<FileContent> base = without_hallpass(change.path, change.before);
  if (!base) {
    remove_hidden(layout, change.path, Hidden::original);
    return false;
  }
  const Status kept = same_content(base, change.before) ? keep_target(layout, change.path, Hidden::original)
                                                        : write_hidden(layout, change.path, Hidden::original, *base);
  if (!kept) return kept.error();
  return true;
}

Status prepare_file(const Layout& layout, const ActivationRecord& old, const FileChange& change,
                    ActivationRecord& record) {
  const Result<std::vector<std::string>> missing = missing_directories(layout, change.path);
  if (!missing) return missing.error();
  if (const Status noted = note_directories(layout, *missing); !noted) return noted;
  if (const Status made = make_directories(layout, *missing); !made) return made;
  if (change.before) {
    if (const Status kept = keep_target(layout, change.path, Hidden::before); !kept) return kept;
  }
  const Result<bool> original = keep_original(layout, old, change);
  if (!original) return original.error();
  if (change.after) {
    if (const Status staged = write_hidden(layout, change.path, Hidden::staged, *change.after); !staged) return staged;
    record.files.push_back({change.path, *original, fingerprint(change.after)});
  }
  record.changes.push_back({change.path, fingerprint(change.before), fingerprint(change.after)});
  return flush_directory(layout, change.path);
}

Status still_as_planned(const Layout& layout, const Changes& changes) {
  for (const FileChange& change : changes) {
    const Result<std::optional<FileContent>> now = read_target(layout, change.path);
    if (!now) return now.error();
    if (!same_content(*now, change.before))
      return Error{Errc::unavailable, change.path + " was changed by somebody else meanwhile: try again"};
  }
  return Unit{};
}

ActivationRecord new_record(const ActivationRecord& old, const Changes& changes, const Wanted& wanted,
                            std::chrono::seconds back_within) {
  ActivationRecord record;
  const ClockReading clock = read_clock();
  record.boot_id.assign(clock.boot_id.data(), clock.boot_id.size());
  record.state.now = wanted;
  record.state.before = old.state.now;
  record.state.pending = true;
  record.state.since = clock.wall;
  record.state.deadline = clock.wall + back_within;
  record.state.since_boot_ms = boot_ms();
  record.state.deadline_boot_ms = record.state.since_boot_ms + back_within.count() * 1000;
  for (const RecordedFile& file : old.files) {
    const bool changes_now =
        std::any_of(changes.begin(), changes.end(), [&](const FileChange& change) { return change.path == file.path; });
    if (!changes_now) record.files.push_back(file);
  }
  return record;
}

Status rename_all(const Layout& layout, const Changes& changes) {
  for (const FileChange& change : changes) {
    const Status done =
        change.after ? put_hidden(layout, change.path, Hidden::staged) : remove_target(layout, change.path);
    if (!done) return done;
  }
  return Unit{};
}

}  // namespace

Status apply_changes(const Layout& layout, const Changes& changes, const Wanted& wanted,
                     std::chrono::seconds back_within) {
  if (const Status ready = make_activation_folder(layout); !ready) return ready;
  const ActivationLock lock(layout);
  if (!lock.held()) return Error{Errc::unavailable, "another `hallpass host` changes this host at the moment: wait"};
  const Result<ActivationRecord> old = read_record(layout);
  if (!old && old.error().code != Errc::not_found) return old.error();
  if (old && old->state.pending)
    return Error{Errc::mismatch,
                 "a change waits to be confirmed: `hallpass host confirm` from a new login, or "
                 "`hallpass host disable`"};
  ActivationRecord former = old ? *old : ActivationRecord();
  if (!old) {
    const Result<ActivationState> found = read_activation(layout);
    if (found) former.state.now = found->now;
  }
  if (const Status same = still_as_planned(layout, changes); !same) return same;
  clean_hidden(layout, former);
  ActivationRecord record = new_record(former, changes, wanted, back_within);
  Status done = Unit{};
  for (std::size_t i = 0; done && i < changes.size(); ++i) done = prepare_file(layout, former, changes[i], record);
  if (done) done = write_record(layout, record, true);
  if (done) done = rename_all(layout, changes);
  if (done) return done;
  // A full disk, most likely. Nobody hears of this but the caller.
  std::vector<std::string> told;
  if (const Status undone = undo_changes(layout, record, told); !undone)
    return Error{Errc::unavailable, done.error().message +
                                        ", and taking back what was done failed, too: " + undone.error().message +
                                        ". It is tried again by itself; `hallpass host disable` does it at once"};
  (void)restore_record(layout, old.has_value());
  clean_hidden(layout, former);
  remove_noted_directories(layout, !old);
  return Error{Errc::unavailable, done.error().message + ": everything is as before"};
}

Status mark_activation_done(const Layout& layout) {
  const ActivationLock lock(layout);
  Result<ActivationRecord> record = read_record(layout);
  if (!record) return record.error();
  if (!record->state.pending) return Error{Errc::mismatch, "nothing is pending"};
  record->state.done_boot_ms = boot_ms();
  return write_record(layout, *record, false);
}

Status confirm_activation(const Layout& layout) {
  const ActivationLock lock(layout);
  Result<ActivationRecord> record = read_record(layout);
  if (!record && record.error().code != Errc::not_found) return record.error();
  if (!record || !record->state.pending) return Error{Errc::mismatch, "nothing waits to be confirmed"};
  if (record->state.done_boot_ms == 0)
    return Error{Errc::mismatch,
                 "`hallpass host enable` was interrupted before all was in force: it goes back by itself, "
                 "or at once by `hallpass host disable`. Then enable again"};
  if (is_ending(layout))
    return Error{
        Errc::mismatch,
        "`hallpass host disable` was interrupted and is finished at the next boot: type it again, then enable"};
  record->state.pending = false;
  record->changes.clear();
  if (const Status written = write_record(layout, *record, false); !written)
    return Error{Errc::unavailable, written.error().message +
                                        ": it stays pending and goes back in time. Make room on "
                                        "the disk and confirm again"};
  forget_former_record(layout);
  clean_hidden(layout, *record);
  return Unit{};
}

}  // namespace hallpass
