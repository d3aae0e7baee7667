// Builds a snapshot of admissions and puts it in place. The agent is the only writer.
#pragma once

#include <string>
#include <vector>

#include "core/values/command.h"
#include "core/values/digest.h"
#include "core/values/result.h"
#include "core/values/time.h"
#include "host/snapshot_reader.h"

namespace hallpass {

struct Admission {
  std::string account, subject, id, runbook, reason, ticket;
  std::vector<std::string> approvers;
  Digest grant;
  UnixTime start{}, end{};
  bool personal = false, shared_sudo = false, alert = false;
  int rule = 0;
  std::vector<Command> commands;
  Digest what;  // of all the above, where its maker keeps it (zero: he does not); for telling two apart, never written
};

struct AccountKey {
  std::string account, fingerprint, subject, line;
  bool personal = false;
};

struct Waiting {
  std::string account, subject, state, id, detail;
  UnixTime at{};
  std::vector<std::string> runbooks;
};

struct SnapshotContent {
  SnapshotMeta meta;
  std::vector<Admission> admissions;
  std::vector<AccountKey> keys;
  std::vector<Waiting> waiting;
};

// The whole LMDB file as bytes in a memory file (memfd; owned by the caller), so that writing it to disk is one
// sequential copy into space that may have been reserved. Errors: unavailable, malformed (a record over LMDB's limits,
// named).
Result<int> build_snapshot(const SnapshotContent& content);

// Copies the image to `<path>.new`, fsyncs, renames over `path`, fsyncs the directory. A crash at any point leaves the
// old file or the new one whole. `use_reserve`: write into the preallocated `<path>.reserve` instead of fresh space
// (renaming it), for narrowing on a full disk. Errors: unavailable (with errno in words).
Status publish_snapshot(int image_fd, const std::string& path, bool use_reserve);
// Makes `<path>.reserve` at least `bytes` long with its blocks allocated. Errors: unavailable.
Status reserve_snapshot_space(const std::string& path, std::size_t bytes);

}  // namespace hallpass
