// The agent's private memory: every statement that matters, which grants are over for good, the policies accepted, and
// the numbers that only go up. One LMDB environment in its own 0700 directory, for one process (flock on the
// directory).
//
// Durability: every commit is synchronous. Nothing is published that is not in here first, so a crash at any point
// leaves either the state before a change or the one after it, and a restart continues from there
// (tests/system/test_crash.py kills at every system call).
//
// Space: the data file is allocated up to the size of the map in advance, so that a commit never asks the file system
// for blocks. What widens (requests, approvals) may fill three quarters of it; the rest is kept for what narrows. A
// full map grows by doubling while the disk has room.
//
// Damage: each record carries a checksum over database, key and value, for LMDB has none. check_ledger walks all of it
// in a child process, for LMDB may crash on a damaged file, and a crash loop would be a silent fault.
//
// Opened without LMDB's lock file (one process, one thread, no reader ever open across a write), so a read-only disk
// can still be read.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/timekeeper.h"
#include "core/judge.h"
#include "core/log/follower.h"
#include "core/statement.h"

struct MDB_env;

namespace hallpass {

// How a grant ended, for good.
struct Terminal {
  GrantState state = GrantState::void_;  // ended, denied or revoked
  Step step = Step::none;
  UnixTime at{};  // when
  UnixTime requested_at{};
  std::string by;  // denied, revoked: who
  std::string subject, account, runbook, detail;
};

struct LedgerState {
  std::int64_t policy_version = 0;  // in force; 0: none yet
  std::uint64_t generation = 0;     // of snapshots
  UnixTime reset_at{};  // requests made before are refused: the ledger that knew how they ended was given up
  ClockMemory clock;
};

struct StoredPolicy {
  std::string toml, sig;
};

// Writes gathered in memory, applied by Ledger::commit in one transaction. Narrowing: a denial, a revocation, a policy.
class LedgerChange {
 public:
  void add(const Statement& statement);
  void end(const Digest& request, const Terminal& terminal);
  void accept(std::int64_t version, const StoredPolicy& policy);
  void void_key(std::string_view fingerprint);
  void set(const LedgerState& state);
  void logged(const Digest& payload, std::string_view fingerprint, std::uint64_t index);
  void set(const LogPosition& position);
  // A request that no longer matters to anyone, with all that belongs to it.
  void forget(const Digest& request, const std::vector<std::string>& statement_keys);
  bool empty() const { return writes_.empty(); }
  void forget(const Statement& global);  // a revocation of a subject or a key that says nothing any more
  bool narrowing() const { return narrowing_; }
  std::size_t pages_needed(std::size_t page) const;  // at most, of that size

 private:
  friend class Ledger;
  struct Write {
    int database;
    std::string key;
    std::optional<std::string> value;  // nullopt: delete
  };
  void put(int database, std::string key, std::string value);
  std::vector<Write> writes_;
  bool narrowing_ = false;
};

class Ledger {
 public:
  struct Options {
    std::string directory;
    std::size_t first_size = 16U << 20;  // of the map, and of the file
    std::size_t largest = 1U << 30;
  };
  // Creates what is missing. Errors: malformed (damaged, or of a later version), mismatch (another agent runs),
  // unavailable.
  static Result<std::unique_ptr<Ledger>> open(Options options);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // A statement, before it is verified, by what names it: (payload digest, key fingerprint).
  bool knows(const Digest& payload, std::string_view fingerprint);
  // The envelopes stored for a request, its own among them; the zero digest: revocations of subjects and keys.
  std::vector<std::string> statements_of(const Digest& group);
  std::vector<std::string> statement_keys_of(const Digest& group);
  std::vector<Digest> groups();
  void each_terminal(const std::function<void(const Digest&, const Terminal&)>& each);
  std::optional<Terminal> terminal(const Digest& request);
  std::optional<StoredPolicy> policy(std::int64_t version);
  std::set<std::string> voided_keys();
  // Where in the log a statement stands; nullopt: not known to be there.
  std::optional<std::uint64_t> logged(const Digest& payload, std::string_view fingerprint);
  // Envelopes of the statements that the log holds before `index` and not, as far as known, again later.
  std::vector<std::string> logged_before(std::uint64_t index);
  LogPosition log_position();  // empty: nothing was read
  LedgerState state();

  // Errors: unavailable (I/O error, full disk, ledger full); nothing of the change was kept, or, after an I/O error in
  // the last step, all of it. Repeating a commit is harmless.
  Status commit(const LedgerChange& change);

  // Empty while every record read was whole.
  const std::string& damage() const { return damage_; }
  // Why the space set aside is smaller than wished; empty: it is there.
  const std::string& shortage() const { return shortage_; }
  // Pages in use, of all.
  std::pair<std::size_t, std::size_t> pages();

 private:
  explicit Ledger(Options options) : options_(std::move(options)) {}
  Status lock_directory();
  Status open_environment();
  Status open_databases(bool writable);
  void close_environment();
  Status reserve(std::size_t bytes);
  void grow_for(const LedgerChange& change);
  Status write(const LedgerChange& change);
  std::optional<std::string> get(int database, std::string_view key);
  void scan(int database, std::string_view prefix, const std::function<void(std::string_view, std::string_view)>& each);

  Options options_;
  MDB_env* env_ = nullptr;
  std::vector<unsigned> databases_;
  std::size_t map_size_ = 0;
  int directory_fd_ = -1;
  bool writable_ = false;
  std::string damage_, shortage_;
};

// Reads every record of a ledger in a child process. nullopt: sound, or not there yet; else what is wrong.
std::optional<std::string> check_ledger(const std::string& directory);

// Renames a ledger to `<directory>.damaged-<unix time>`. Returns the new name. Errors: unavailable.
Result<std::string> set_ledger_aside(const std::string& directory, UnixTime now);

}  // namespace hallpass
