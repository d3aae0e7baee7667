// What is remembered of an activation: /var/lib/hallpass/activation/record.json (docs/formats.md, "Activation").
//
// While a change waits to be confirmed, record-before.json beside it is the record of what was confirmed last: going
// back renames that one, as it renames all the other files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/values/result.h"

namespace hallpass {

struct RecordedFile {
  std::string path;
  bool had_original = false;  // hidden beside it; else there was no such file before hallpass
  std::string written;        // fingerprint of what hallpass wrote
};
// A change that waits to be confirmed, in the order in which it was made.
struct RecordedChange {
  std::string path;
  std::string before, after;  // fingerprints; empty: no such file
};

struct ActivationRecord {
  ActivationState state;
  std::string boot_id;
  std::vector<RecordedFile> files;      // all that hallpass wrote and that stand now
  std::vector<RecordedChange> changes;  // while pending
};

// Tells one content with its mode and owner from another; empty for none.
std::string fingerprint(const std::optional<FileContent>& content);

// Nothing was ever activated: not_found. Errors: malformed (damaged; the file is named), unavailable, untrusted.
Result<ActivationRecord> read_record(const Layout& layout);
// Replaces it. `keep`: what stood there becomes record-before.json, or that one goes if nothing stood there.
Status write_record(const Layout& layout, const ActivationRecord& record, bool keep);
// Back to record-before.json, or to none. Idempotent.
Status restore_record(const Layout& layout, bool had_before);
void forget_former_record(const Layout& layout);
// Removes both.
Status remove_record(const Layout& layout);

// Directories that hallpass makes are written down before (/var/lib/hallpass/activation/directories, one a line), so
// that they can be removed again whatever happens.
Status note_directories(const Layout& layout, const std::vector<std::string>& more);
// Removes the empty ones of them; `forget`: and the note.
void remove_noted_directories(const Layout& layout, bool forget);

// A deactivation is under way: it is finished at the next boot if it is killed.
void mark_ending(const Layout& layout, bool ending);
bool is_ending(const Layout& layout);

}  // namespace hallpass
