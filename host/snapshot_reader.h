// Reads the snapshot of admissions: what sshd's and sudo's modules decide by. No lock, no write, no allocation that
// outlives a call.
//
// Format: docs/formats.md, "Snapshot". Every record is copied to an aligned buffer, its XXH3 checksum (over database
// name, key and value) compared and its FlatBuffer verified before a field is read; a record that fails is skipped and
// counted, never guessed at.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/command.h"
#include "core/values/digest.h"
#include "core/values/result.h"
#include "core/values/time.h"
#include "host/clock.h"

namespace hallpass {

// An admission's commands, borrowed like the rest of it. snapshot_commands.cc: not linked into sshd's module.
class CommandList {
 public:
  CommandList() = default;
  explicit CommandList(const void* vector) : vector_(vector) {}
  std::size_t size() const;
  Command at(std::size_t i) const;
  // Whether looking closer is worth it, without copying: the command is none of kind run, or `name` is the last
  // component of one of its executables.
  bool may_name(std::size_t i, std::string_view name) const;

 private:
  const void* vector_ = nullptr;  // flatbuffers::Vector of fb::Command
};

// An account's admission, with strings borrowed from the reader's buffer: valid inside the callback only.
struct AdmissionView {
  std::string_view account, subject, id, runbook, reason, ticket;
  std::vector<std::string_view> approvers;
  std::vector<std::string_view> keys;  // the subject's, "<fingerprint> <type> <base64>"
  Digest grant;
  UnixTime start, end;       // admits while start <= now < end
  bool personal = false;     // the account is the subject's own
  bool shared_sudo = false;  // on a shared account: sudo too
  bool alert = false;
  CommandList commands;
};

struct KeyView {
  std::string_view account, fingerprint, subject, line;  // line: "<type> <base64>"
  bool personal = false;
};

// Why a subject is not admitted to an account, in codes that need no escaping, and words for people.
struct WaitingView {
  std::string_view account, subject;
  std::string_view state;                  // pending | ended | denied | revoked | void | none
  std::string_view id;                     // of the grant that came nearest; may be empty
  std::string_view detail;                 // "waits for 1 approval of sre-leads"
  UnixTime at{};                           // when it ended, or will start; 0 when not applicable
  std::vector<std::string_view> runbooks;  // that this subject can ask for here
};

struct SnapshotMeta {
  std::string fleet, host, machine_id;
  std::int64_t policy_version = 0;
  std::uint64_t generation = 0;
  ClockFloor floor;
  UnixTime valid_until{};  // of the policy; admissions' ends respect it already
  bool strict_clock = false;
  bool standing_sudo_denied = false;  // sessions under a grant get nothing from the site's own sudoers
};

class SnapshotReader {
 public:
  // Opens and checks: owner root, no group or other permission to write, a regular file, machine id equal to this
  // machine's, not withdrawn. Errors: not_found, untrusted (owner, mode, withdrawn), mismatch (machine id), malformed
  // (damaged), unavailable.
  struct Where {
    std::string snapshot, withdrawn, machine_id_file;
    unsigned owner = 0;  // who must own the file: root, but in tests that do not run as root
    Where();             // the paths of host/paths.h
  };
  static Result<SnapshotReader> open(const Where& where);
  static Result<SnapshotReader> open() { return open(Where()); }

  SnapshotReader(SnapshotReader&&) noexcept;
  SnapshotReader& operator=(SnapshotReader&&) noexcept;
  ~SnapshotReader();

  const SnapshotMeta& meta() const;
  // All records of an account; return false from the callback to stop. The calls return how many records were skipped
  // as damaged.
  int admissions(std::string_view account, const std::function<bool(const AdmissionView&)>& each) const;
  int keys(std::string_view account, const std::function<bool(const KeyView&)>& each) const;
  // One record, by exact key. False: none (or damaged: then *damaged is set).
  bool key(std::string_view account, std::string_view fingerprint, const std::function<void(const KeyView&)>& found,
           bool* damaged = nullptr) const;
  bool waiting(std::string_view account, std::string_view subject,
               const std::function<void(const WaitingView&)>& found) const;

 private:
  struct Impl;
  explicit SnapshotReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hallpass
