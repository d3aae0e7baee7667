// Switching hallpass on and off on a host: which files change and how, one step that can always be taken back.
//
// Nothing here decides about access. It puts hallpass's lines into the files of sshd, PAM, sudo, systemd and polkit,
// and takes them out again. Every step in between works: a process that is killed, a disk that is full or a host that
// loses power leaves ssh and sudo as they were before or as they will be after. docs/architecture.md, "Activation".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/layout.h"
#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

enum class Mode { off, observe, enforce };
std::string_view to_string(Mode mode);

// What somebody wants of a host.
struct Wanted {
  Mode mode = Mode::off;
  bool sudo = false;  // the sudo plugin, too
};

// One file: its content and attributes before and after. nullopt: there is no such file.
struct FileContent {
  std::string bytes;
  unsigned mode = 0644;
  unsigned uid = 0, gid = 0;
};
struct FileChange {
  std::string path;  // without the layout's root: "/etc/pam.d/sshd"
  std::optional<FileContent> before, after;
};
using Changes = std::vector<FileChange>;

// What must change so that the host is as `wanted`; files that are right already are left out, so empty means that
// nothing is to do. Order: as they are to be applied. Errors: mismatch (a file whose layout is not understood, named,
// with what to do by hand), unavailable, untrusted (a file or directory that others can write).
Result<Changes> plan_changes(const Layout& layout, const Wanted& wanted);

// As `diff -u` would show them, for people.
std::string show_changes(const Changes& changes);

// What is in force, and whether somebody still has to confirm it. Kept in /var/lib/hallpass/activation/
// (docs/formats.md, "Activation").
struct ActivationState {
  Wanted now;
  bool pending = false;  // goes back by itself at `deadline` unless it is confirmed
  UnixTime since{}, deadline{};
  // CLOCK_BOOTTIME when the first file changed, when all was in force (0: never, it was interrupted) and at `deadline`.
  std::int64_t since_boot_ms = 0, done_boot_ms = 0, deadline_boot_ms = 0;
  bool other_boot = false;  // that was before the last boot
  Wanted before;            // what it goes back to
};
// Errors: malformed (the record is damaged, named), unavailable. Without a record: as the files say, for a host that
// was set up by hand; `since` is 0 then.
Result<ActivationState> read_activation(const Layout& layout);
// Pending, and its time is up: the deadline has passed, or the host was booted since.
bool way_back_due(const ActivationState& state);
// An `enable`, a way back or a `disable` that was killed half-way.
bool activation_interrupted(const Layout& layout);
// What `hallpass host activation --json` prints.
std::string activation_json(const ActivationState& state);

// Applies `changes`: writes the record and every new and old content beside the targets first (so that nothing later
// needs space), then renames one file after the other, each of which is a working state. Afterwards the state is
// pending. `back_within`: the way back must have been armed by the caller before. Errors: unavailable (everything is as
// before).
Status apply_changes(const Layout& layout, const Changes& changes, const Wanted& wanted,
                     std::chrono::seconds back_within);
// All is in force, as far as the caller could see: from now on it may be confirmed. Errors: unavailable.
Status mark_activation_done(const Layout& layout);
// The pending state stays. Errors: mismatch (nothing is pending, or it was interrupted), unavailable (it stays
// pending).
Status confirm_activation(const Layout& layout);
// Back to what was confirmed last. A file that somebody changed meanwhile keeps his changes: only hallpass's lines are
// taken out or put back, and `told` says so. Safe to call again after a crash in it.
Status go_back(const Layout& layout, std::vector<std::string>& told);
// Back to the files as they were before hallpass, to the bit where nobody else changed them. Also from a damaged record
// and without one: hallpass's lines are taken out of every file that has some.
Status deactivate(const Layout& layout, std::vector<std::string>& told);
// The same for /etc/sudo.conf alone. Errors: also mismatch (a change waits to be confirmed).
Status deactivate_sudo(const Layout& layout, std::vector<std::string>& told);

}  // namespace hallpass
