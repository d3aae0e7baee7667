#include "agent/ledger.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/ledger_records.h"

namespace hallpass {
namespace records = ledger_records;
namespace {

constexpr std::size_t kMaxPages = ~std::size_t{0};

struct TxnAbort {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
using Txn = std::unique_ptr<MDB_txn, TxnAbort>;
struct CursorClose {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;

Txn begin(MDB_env* env, unsigned flags) {
  MDB_txn* txn = nullptr;
  return Txn(env != nullptr && mdb_txn_begin(env, nullptr, flags, &txn) == 0 ? txn : nullptr);
}

// LMDB never writes through keys and values; its interface only lacks the const.
MDB_val val(std::string_view s) {
  return {s.size(), const_cast<char*>(s.data())};
}
std::string_view view(const MDB_val& v) {
  return {static_cast<const char*>(v.mv_data), v.mv_size};
}

Error unavailable(const std::string& what, int code) {
  return {Errc::unavailable, what + ": " + mdb_strerror(code)};
}

bool is_damage(int code) {
  return code == MDB_CORRUPTED || code == MDB_INVALID || code == MDB_PAGE_NOTFOUND || code == MDB_VERSION_MISMATCH ||
         code == MDB_CURSOR_FULL || code == MDB_PAGE_FULL || code == MDB_INCOMPATIBLE;
}

Digest group_of(const Statement& s) {
  if (s.request() != nullptr) return s.payload_digest();
  if (s.decision() != nullptr) return s.decision()->request;
  const Revocation& r = *s.revocation();
  return r.form == Revocation::Form::request ? r.request : Digest{};
}

char kind_letter(const Statement& s) {
  return s.request() != nullptr ? 'q' : s.decision() != nullptr ? 'd' : 'r';
}

}  // namespace

void LedgerChange::put(int database, std::string key, std::string value) {
  writes_.push_back({database, std::move(key), std::move(value)});
}

void LedgerChange::add(const Statement& s) {
  const std::string key = records::statement_key(s.payload_digest(), s.key().fingerprint());
  put(records::kStatements, key, s.envelope());
  put(records::kGroups, records::digest_key(group_of(s)) + key, std::string(1, kind_letter(s)));
  if (s.revocation() != nullptr || (s.decision() != nullptr && !s.decision()->approve)) narrowing_ = true;
}

void LedgerChange::end(const Digest& request, const Terminal& t) {
  put(records::kGrants, records::digest_key(request), records::encode(t));
  narrowing_ = true;
}

void LedgerChange::accept(std::int64_t version, const StoredPolicy& policy) {
  put(records::kPolicies, records::version_key(version), records::encode(policy));
  narrowing_ = true;
}

void LedgerChange::void_key(std::string_view fingerprint) {
  put(records::kVoided, std::string(fingerprint), "");
  narrowing_ = true;
}

void LedgerChange::set(const LedgerState& state) {
  put(records::kState, std::string(records::kStateKey), records::encode(state));
}

void LedgerChange::forget(const Statement& global) {
  forget(Digest{}, {records::statement_key(global.payload_digest(), global.key().fingerprint())});
}

void LedgerChange::forget(const Digest& request, const std::vector<std::string>& statement_keys) {
  for (const std::string& key : statement_keys) {
    writes_.push_back({records::kStatements, key, std::nullopt});
    writes_.push_back({records::kGroups, records::digest_key(request) + key, std::nullopt});
    writes_.push_back({records::kLogged, key, std::nullopt});
  }
  if (request != Digest{}) writes_.push_back({records::kGrants, records::digest_key(request), std::nullopt});
}

Result<std::unique_ptr<Ledger>> Ledger::open(Options options) {
  std::unique_ptr<Ledger> ledger(new Ledger(std::move(options)));
  if (Status locked = ledger->lock_directory(); !locked) return locked.error();
  if (Status opened = ledger->open_environment(); !opened) return opened.error();
  if (!ledger->damage_.empty()) return Error{Errc::malformed, ledger->damage_};
  ledger->state();  // reads it once: a state that cannot be read is damage
  if (!ledger->damage_.empty()) return Error{Errc::malformed, ledger->damage_};
  return ledger;
}

Ledger::~Ledger() {
  close_environment();
  if (directory_fd_ >= 0) ::close(directory_fd_);
}

Status Ledger::lock_directory() {
  if (mkdir(options_.directory.c_str(), 0700) != 0 && errno != EEXIST && errno != EROFS) {
    return Error{Errc::unavailable, "cannot make " + options_.directory + ": " + std::strerror(errno)};
  }
  directory_fd_ = ::open(options_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (directory_fd_ < 0) {
    return Error{Errc::unavailable, "cannot open " + options_.directory + ": " + std::strerror(errno)};
  }
  if (flock(directory_fd_, LOCK_EX | LOCK_NB) != 0) {
    return Error{Errc::mismatch, "another hallpass-agent uses " + options_.directory};
  }
  return Unit{};
}

void Ledger::close_environment() {
  if (env_ != nullptr) mdb_env_close(env_);
  env_ = nullptr;
  databases_.clear();
  writable_ = false;
}

Status Ledger::open_environment() {
  close_environment();
  struct stat st {};
  const bool there = fstatat(directory_fd_, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0;
  map_size_ = std::max(options_.first_size, there ? static_cast<std::size_t>(st.st_size) : 0);
  for (const bool writable : {true, false}) {
    if (mdb_env_create(&env_) != 0) std::abort();  // out of memory
    mdb_env_set_maxdbs(env_, records::kDatabaseCount);
    mdb_env_set_mapsize(env_, map_size_);
    const unsigned flags = MDB_NOLOCK | MDB_NOTLS | (writable ? 0U : unsigned{MDB_RDONLY});
    const int code = mdb_env_open(env_, options_.directory.c_str(), flags, 0600);
    if (code == 0) {
      writable_ = writable;
      if (writable) {
        if (Status reserved = reserve(map_size_); !reserved) shortage_ = reserved.error().message;
      }
      return open_databases(writable);
    }
    close_environment();
    if (is_damage(code)) {
      damage_ = "cannot open the ledger: " + std::string(mdb_strerror(code));
      return Unit{};
    }
    if (!writable || (code != EROFS && code != EACCES)) return unavailable("cannot open the ledger", code);
  }
  return Unit{};
}

Status Ledger::open_databases(bool writable) {
  Txn txn = begin(env_, writable ? 0 : unsigned{MDB_RDONLY});
  if (!txn) return Error{Errc::unavailable, "cannot read the ledger"};
  databases_.assign(records::kDatabaseCount, 0);
  for (int i = 0; i < records::kDatabaseCount; ++i) {
    const unsigned flags = writable ? unsigned{MDB_CREATE} : 0U;
    const int code = mdb_dbi_open(txn.get(), records::kNames[i], flags, &databases_[static_cast<std::size_t>(i)]);
    if (is_damage(code)) {
      damage_ = "database " + std::string(records::kNames[i]) + ": " + mdb_strerror(code);
      return Unit{};
    }
    if (code != 0) return unavailable("cannot open the ledger", code);
  }
  // Also a reading transaction is committed: it is what keeps the handles.
  const int code = mdb_txn_commit(txn.release());
  if (code != 0) return unavailable("cannot write the ledger", code);
  return Unit{};
}

// The blocks, not just the length: a hole in the file would need a block when it is written.
Status Ledger::reserve(std::size_t bytes) {
  int fd = -1;
  mdb_env_get_fd(env_, &fd);
  const int code = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (code != 0) {
    return Error{Errc::unavailable, "no room to set aside for the ledger: " + std::string(std::strerror(code))};
  }
  shortage_.clear();
  return Unit{};
}

std::pair<std::size_t, std::size_t> Ledger::pages() {
  Txn txn = begin(env_, MDB_RDONLY);
  if (!txn) return {kMaxPages, 1};
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  std::size_t used = info.me_last_pgno + 1;
  const std::size_t all = info.me_mapsize / stat.ms_psize;
  if (used * 2 < all) return {used, all};  // what was freed matters only when it gets tight
  MDB_cursor* raw = nullptr;
  if (mdb_cursor_open(txn.get(), 0, &raw) != 0) return {used, all};
  const Cursor cursor(raw);  // database 0: freed pages by transaction, each a list that begins with its length
  MDB_val key{}, value{};
  while (mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT) == 0) {
    std::size_t count = 0;
    if (value.mv_size >= sizeof count) std::memcpy(&count, value.mv_data, sizeof count);
    used -= std::min(used, count);
  }
  return {used, all};
}

// Twice what it takes: a page split leaves two that are half full.
std::size_t LedgerChange::pages_needed(std::size_t page) const {
  std::size_t pages = 0;
  for (const Write& w : writes_) pages += 1 + 2 * (w.key.size() + (w.value ? w.value->size() : 0)) / page;
  return pages;
}

void Ledger::grow_for(const LedgerChange& change) {
  for (;;) {
    const auto [used, all] = pages();
    if (used == kMaxPages || map_size_ * 2 > options_.largest) return;
    if ((used + change.pages_needed(map_size_ / all)) * 2 < all) return;
    if (!reserve(map_size_ * 2)) return;  // a full disk: the quarter that widening may not use is still there
    if (mdb_env_set_mapsize(env_, map_size_ * 2) != 0) return;
    map_size_ *= 2;
  }
}

Status Ledger::commit(const LedgerChange& change) {
  if (change.empty()) return Unit{};
  if (!writable_) {
    if (Status opened = open_environment(); !opened) return opened;
    if (!writable_) return Error{Errc::unavailable, "the ledger's disk is read-only"};
  }
  if (!shortage_.empty()) {
    if (Status reserved = reserve(map_size_); !reserved) shortage_ = reserved.error().message;
  }
  grow_for(change);
  const auto [used, all] = pages();
  if (!change.narrowing() && used > all / 4 * 3) {
    return Error{Errc::unavailable, "the ledger is full: the rest of its space is kept for denials and revocations"};
  }
  Status written = write(change);
  // After a failed write what is on disk is what counts, and LMDB may refuse further work: read it afresh.
  if (!written) {
    if (Status reopened = open_environment(); !reopened) writable_ = false;
  }
  return written;
}

Status Ledger::write(const LedgerChange& change) {
  Txn txn = begin(env_, 0);
  if (!txn) return Error{Errc::unavailable, "cannot write the ledger"};
  for (const LedgerChange::Write& w : change.writes_) {
    MDB_val key = val(w.key);
    const unsigned database = databases_[static_cast<std::size_t>(w.database)];
    int code = 0;
    if (w.value) {
      const std::string sealed = records::seal(w.database, w.key, *w.value);
      MDB_val value = val(sealed);
      code = mdb_put(txn.get(), database, &key, &value, 0);
    } else {
      code = mdb_del(txn.get(), database, &key, nullptr);
      if (code == MDB_NOTFOUND) code = 0;
    }
    if (is_damage(code)) damage_ = "database " + std::string(records::kNames[w.database]) + ": " + mdb_strerror(code);
    if (code != 0) return unavailable("cannot write the ledger", code);
  }
  const int code = mdb_txn_commit(txn.release());
  if (code != 0) return unavailable("cannot write the ledger", code);
  return Unit{};
}

std::optional<std::string> Ledger::get(int database, std::string_view key) {
  Txn txn = begin(env_, MDB_RDONLY);
  if (!txn) return std::nullopt;
  MDB_val k = val(key), v{};
  const int code = mdb_get(txn.get(), databases_[static_cast<std::size_t>(database)], &k, &v);
  if (code == MDB_NOTFOUND) return std::nullopt;
  const auto value = code == 0 ? records::unseal(database, key, view(v)) : std::nullopt;
  if (!value) {
    damage_ = "a record of " + std::string(records::kNames[database]) + " is damaged";
    return std::nullopt;
  }
  return std::string(*value);
}

void Ledger::scan(int database, std::string_view prefix,
                  const std::function<void(std::string_view, std::string_view)>& each) {
  Txn txn = begin(env_, MDB_RDONLY);
  MDB_cursor* raw = nullptr;
  if (!txn || mdb_cursor_open(txn.get(), databases_[static_cast<std::size_t>(database)], &raw) != 0) return;
  const Cursor cursor(raw);
  MDB_val key = val(prefix), value{};
  int code = mdb_cursor_get(cursor.get(), &key, &value, prefix.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (; code == 0; code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) {
    if (view(key).substr(0, prefix.size()) != prefix) return;
    if (const auto whole = records::unseal(database, view(key), view(value))) {
      each(view(key), *whole);
    } else {
      damage_ = "a record of " + std::string(records::kNames[database]) + " is damaged";
    }
  }
  if (code != MDB_NOTFOUND) damage_ = std::string(records::kNames[database]) + ": " + mdb_strerror(code);
}

bool Ledger::knows(const Digest& payload, std::string_view fingerprint) {
  return get(records::kStatements, records::statement_key(payload, fingerprint)).has_value();
}

std::vector<std::string> Ledger::statement_keys_of(const Digest& group) {
  std::vector<std::string> keys;
  const std::string prefix = records::digest_key(group);
  scan(records::kGroups, prefix,
       [&](std::string_view key, std::string_view) { keys.emplace_back(key.substr(prefix.size())); });
  return keys;
}

std::vector<std::string> Ledger::statements_of(const Digest& group) {
  std::vector<std::string> envelopes;
  for (const std::string& key : statement_keys_of(group)) {
    if (auto envelope = get(records::kStatements, key)) envelopes.push_back(std::move(*envelope));
  }
  return envelopes;
}

std::vector<Digest> Ledger::groups() {
  std::vector<Digest> groups;
  scan(records::kGroups, "", [&](std::string_view key, std::string_view) {
    const std::optional<Digest> group = records::key_digest(key);
    if (group && *group != Digest{} && (groups.empty() || groups.back() != *group)) groups.push_back(*group);
  });
  return groups;
}

void Ledger::each_terminal(const std::function<void(const Digest&, const Terminal&)>& each) {
  scan(records::kGrants, "", [&](std::string_view key, std::string_view value) {
    const std::optional<Digest> request = records::key_digest(key);
    const std::optional<Terminal> t = records::decode_terminal(value);
    if (request && t) {
      each(*request, *t);
    } else {
      damage_ = "a record of grants cannot be read";
    }
  });
}

std::optional<Terminal> Ledger::terminal(const Digest& request) {
  const auto value = get(records::kGrants, records::digest_key(request));
  if (!value) return std::nullopt;
  std::optional<Terminal> t = records::decode_terminal(*value);
  if (!t) damage_ = "a record of grants cannot be read";
  return t;
}

std::optional<StoredPolicy> Ledger::policy(std::int64_t version) {
  const auto value = get(records::kPolicies, records::version_key(version));
  return value ? records::decode_policy(*value) : std::nullopt;
}

std::set<std::string> Ledger::voided_keys() {
  std::set<std::string> keys;
  scan(records::kVoided, "", [&](std::string_view key, std::string_view) { keys.emplace(key); });
  return keys;
}

LedgerState Ledger::state() {
  const auto value = get(records::kState, records::kStateKey);
  if (!value) return {};
  std::optional<LedgerState> s = records::decode_state(*value);
  if (!s) damage_ = "the ledger's state cannot be read: damaged, or written by a later version of hallpass";
  return s.value_or(LedgerState{});
}

}  // namespace hallpass
