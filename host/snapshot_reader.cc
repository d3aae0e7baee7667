#include "host/snapshot_reader.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "host/paths.h"
#include "host/snapshot_generated.h"
#include "host/snapshot_record.h"

namespace hallpass {
namespace {

// LMDB trusts the file that it maps: one shorter than its meta pages say would end in SIGBUS, a wild root page in a
// crash. These are the fields of data format 1 (LMDB 0.9) on a 64-bit machine, looked at before LMDB sees the file.
struct LmdbTree {
  std::uint32_t page_size;  // the first tree's only
  std::uint16_t flags, depth;
  std::uint64_t branches, leaves, overflows, entries, root;
};
struct LmdbMetaPage {
  std::uint64_t number;
  std::uint16_t pad, flags, lower, upper;
  std::uint32_t magic, version;
  std::uint64_t address, map_size;
  LmdbTree trees[2];
  std::uint64_t last_page, transaction;
};
static_assert(sizeof(LmdbMetaPage) == 152);
constexpr std::uint32_t kLmdbMagic = 0xBEEFC0DE;
constexpr std::uint64_t kLmdbNoPage = ~std::uint64_t{0};

// A snapshot's file and what its header says.
struct File {
  std::uint64_t size = 0, page_size = 0, names_root = 0;  // names_root: the page of the tree that names the databases
  bool header_holds(int fd);
};

bool File::header_holds(int fd) {
  // Both meta pages in one read where pages have 4096 bytes, as everywhere but on a few ARM machines.
  alignas(LmdbMetaPage) char bytes[4096 + sizeof(LmdbMetaPage)];
  if (pread(fd, bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) return false;
  LmdbMetaPage pages[2];
  memcpy(&pages[0], bytes, sizeof pages[0]);
  memcpy(&pages[1], bytes + 4096, sizeof pages[1]);
  page_size = pages[0].trees[0].page_size;
  if (page_size < 4096 || page_size > 65536 || (page_size & (page_size - 1)) != 0 || size % page_size != 0)
    return false;
  if (page_size != 4096 && pread(fd, &pages[1], sizeof pages[1], static_cast<off_t>(page_size)) < 0) return false;
  for (const auto& page : pages) {
    if (page.magic != kLmdbMagic || page.version != 1 || page.flags != 8 /* P_META */) return false;
    if (page.trees[0].page_size != page_size || page.last_page >= size / page_size) return false;
    if (page.map_size > std::uint64_t{1} << 40) return false;
    for (const auto& tree : page.trees) {
      if (tree.root != kLmdbNoPage && (tree.root < 2 || tree.root > page.last_page || tree.depth > 31)) return false;
    }
  }
  names_root = pages[pages[1].transaction > pages[0].transaction ? 1 : 0].trees[1].root;
  return true;
}

std::string_view text(const flatbuffers::String* s) {
  return s == nullptr ? std::string_view() : std::string_view(s->data(), s->size());
}

std::vector<std::string_view> texts(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* list) {
  std::vector<std::string_view> out;
  for (flatbuffers::uoffset_t i = 0; list != nullptr && i < list->size(); ++i) out.push_back(text(list->Get(i)));
  return out;
}

Error damaged(const char* what) {
  return {Errc::malformed, std::string("the store of admissions is damaged (") + what + ")"};
}

Result<std::string> read_machine_id(const std::string& path) {
  char id[33] = {};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const ssize_t got = fd < 0 ? -1 : read(fd, id, sizeof id);
  if (fd >= 0) close(fd);
  if (got < 32) return Error{Errc::unavailable, "this machine's id cannot be read"};
  return std::string(id, 32);
}

Status regular_and_owned(const struct stat& st, const SnapshotReader::Where& where) {
  if (!S_ISREG(st.st_mode)) return Error{Errc::untrusted, "the store of admissions is not a regular file"};
  if (st.st_uid != where.owner || (st.st_mode & 022) != 0 ||
      st.st_nlink > 1) {  // no link: replaced since it was opened
    return Error{Errc::untrusted, "the store of admissions has the wrong owner, mode or links"};
  }
  return Unit{};
}

// Before LMDB opens it by name, waiting on a FIFO and following a link.
Status may_be_opened(const SnapshotReader::Where& where) {
  const bool withdrawn =
      faccessat(AT_FDCWD, where.withdrawn.c_str(), F_OK, AT_EACCESS) == 0;  // sudo's real user is another
  if (withdrawn || (errno != ENOENT && errno != ENOTDIR)) {
    return Error{Errc::untrusted, "the store of admissions has been withdrawn by the agent"};
  }
  struct stat st {};
  if (lstat(where.snapshot.c_str(), &st) == 0) return regular_and_owned(st, where);
  if (errno == ENOENT) return Error{Errc::not_found, "the store of admissions is missing"};
  return Error{Errc::unavailable, "the store of admissions cannot be looked at"};
}

}  // namespace

struct SnapshotReader::Impl {
  enum Database { kAdmissions, kKeys, kWaiting, kMeta, kDatabases };
  static constexpr unsigned kMostOpen =
      16;  // a reader is asked about few accounts, so about few trees of a large store
  static constexpr const char* kNames[kDatabases] = {"admissions", "keys", "waiting", "meta"};

  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  std::string_view map;  // the file's bytes: what LMDB hands out must lie in them
  SnapshotMeta meta;
  std::uint32_t shards = 1;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (txn != nullptr) mdb_txn_abort(txn);
    if (env != nullptr) mdb_env_close(env);
  }

  Status open(const Where& where);
  bool handle(Database db, MDB_dbi* dbi) const { return mdb_dbi_open(txn, kNames[db], 0, dbi) == 0; }
  bool admissions_of(std::string_view account, MDB_dbi* dbi) const {
    return mdb_dbi_open(txn, admissions_database(shard_of(account, shards), shards).c_str(), 0, dbi) == 0;
  }
  Status read_meta(const std::string& machine_id);
  bool inside(const MDB_val& v) const {
    const auto* begin = static_cast<const char*>(v.mv_data);
    return v.mv_size <= kMaxRecordBytes && begin >= map.data() && begin < map.data() + map.size() &&
           v.mv_size <= static_cast<std::size_t>(map.data() + map.size() - begin);
  }
  // The record, once its checksum and its structure hold; else nullptr. It lives in `buffer`: values lie at odd
  // addresses in the file, and the verifier does not notice.
  template <class T>
  const T* verified(Database db, std::string_view key, const MDB_val& value, std::vector<std::uint64_t>& buffer) const {
    std::uint64_t sum = 0;
    if (!inside(value) || value.mv_size <= sizeof sum) return nullptr;
    const std::size_t size = value.mv_size - sizeof sum;
    buffer.resize((size + 7) / 8);
    memcpy(&sum, value.mv_data, sizeof sum);
    memcpy(buffer.data(), static_cast<const char*>(value.mv_data) + sizeof sum, size);
    if (le64toh(sum) != record_checksum(kNames[db], key, buffer.data(), size)) return nullptr;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(buffer.data());
    flatbuffers::Verifier verifier(bytes, size);
    return verifier.VerifyBuffer<T>(nullptr) ? flatbuffers::GetRoot<T>(bytes) : nullptr;
  }
  // Calls each(key after the zero byte, record) for the account's records; returns how many were damaged.
  template <class T, class Each>
  int scan(Database db, std::string_view account, Each each) const;
  // 1 found, 0 none, -1 damaged.
  template <class T, class Found>
  int get(Database db, const std::string& key, Found found) const;
};

Status SnapshotReader::Impl::open(const Where& where) {
  if (auto may = may_be_opened(where); !may) return may;
  if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, kMostOpen) != 0)
    return Error{Errc::unavailable, "out of memory"};
  // NOLOCK suits a file that nobody ever writes again, and lets two modules of one process open it (a second locked
  // open would drop the first one's lock). LMDB maps it but looks no further than the header until a transaction
  // begins.
  const unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS;
  struct stat st {};
  int fd = -1;
  if (mdb_env_open(env, where.snapshot.c_str(), flags, 0) != 0 || mdb_env_get_fd(env, &fd) != 0 ||
      fstat(fd, &st) != 0) {
    return damaged("environment");
  }
  if (auto owned = regular_and_owned(st, where); !owned) return owned;  // it may have been replaced meanwhile
  File file;
  file.size = static_cast<std::uint64_t>(st.st_size);
  if (!file.header_holds(fd)) return damaged("header");
  if (mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) != 0) return damaged("transaction");
  // LMDB does not tell where its map begins. An entry of the tree of names does: its one page is the one that the
  // header gives.
  MDB_dbi names = 0;
  MDB_val key{4, const_cast<char*>("meta")}, entry{};
  if (mdb_dbi_open(txn, nullptr, 0, &names) != 0 || mdb_get(txn, names, &key, &entry) != 0) return damaged("names");
  const char* page =
      static_cast<char*>(entry.mv_data) - reinterpret_cast<std::uintptr_t>(entry.mv_data) % file.page_size;
  map = {page - file.names_root * file.page_size, file.size};
  return Unit{};
}

template <class T, class Found>
int SnapshotReader::Impl::get(Database db, const std::string& key, Found found) const {
  MDB_val k{key.size(), const_cast<char*>(key.data())}, value{};
  MDB_dbi dbi = 0;
  const int rc = handle(db, &dbi) ? mdb_get(txn, dbi, &k, &value) : MDB_CORRUPTED;
  if (rc == MDB_NOTFOUND) return 0;
  std::vector<std::uint64_t> buffer;
  const T* record = rc == 0 ? verified<T>(db, key, value, buffer) : nullptr;
  if (record == nullptr) return -1;
  found(*record);
  return 1;
}

template <class T, class Each>
int SnapshotReader::Impl::scan(Database db, std::string_view account, Each each) const {
  const std::string prefix = std::string(account) + '\0';
  MDB_cursor* cursor = nullptr;
  MDB_dbi dbi = 0;
  if (!(db == kAdmissions ? admissions_of(account, &dbi) : handle(db, &dbi)) || mdb_cursor_open(txn, dbi, &cursor) != 0)
    return 1;
  const std::unique_ptr<MDB_cursor, void (*)(MDB_cursor*)> owner(cursor, mdb_cursor_close);
  MDB_val k{prefix.size(), const_cast<char*>(prefix.data())}, value{};
  std::vector<std::uint64_t> buffer;
  int skipped = 0;
  int rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
  for (; rc == 0; rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT)) {
    if (!inside(k)) return skipped + 1;
    const std::string_view key(static_cast<const char*>(k.mv_data), k.mv_size);
    if (!key.starts_with(prefix)) break;
    const T* record = verified<T>(db, key, value, buffer);
    if (record == nullptr) {
      ++skipped;
    } else if (!each(key.substr(prefix.size()), *record)) {
      return skipped;
    }
  }
  return rc == 0 || rc == MDB_NOTFOUND ? skipped : skipped + 1;
}

Status SnapshotReader::Impl::read_meta(const std::string& machine_id) {
  int format = 0;
  const int found = get<fb::Meta>(kMeta, "meta", [&](const fb::Meta& m) {
    format = m.format();
    meta.fleet = text(m.fleet());
    meta.host = text(m.host());
    meta.machine_id = text(m.machine_id());
    meta.policy_version = m.policy_version();
    meta.generation = m.generation();
    meta.floor.wall = from_unix(m.floor_wall());
    meta.floor.boottime = Seconds(m.floor_boottime());
    text(m.floor_boot_id()).copy(meta.floor.boot_id.data(), meta.floor.boot_id.size());
    meta.valid_until = from_unix(m.valid_until());
    meta.strict_clock = m.strict_clock();
    meta.standing_sudo_denied = m.standing_sudo_denied();
    shards = m.shards();
  });
  if (found != 1 || shards == 0 || shards > kMaxShards) return damaged("meta");
  if (format != kSnapshotFormat)
    return Error{Errc::unsupported, "the store of admissions is of another version of hallpass"};
  const auto own = read_machine_id(machine_id);
  if (!own) return own.error();
  if (*own != meta.machine_id) return Error{Errc::mismatch, "the store of admissions belongs to another machine"};
  return Unit{};
}

SnapshotReader::Where::Where()
    : snapshot(paths::kSnapshot), withdrawn(paths::kWithdrawn), machine_id_file(paths::kMachineId) {}

SnapshotReader::SnapshotReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SnapshotReader::SnapshotReader(SnapshotReader&&) noexcept = default;
SnapshotReader& SnapshotReader::operator=(SnapshotReader&&) noexcept = default;
SnapshotReader::~SnapshotReader() = default;
const SnapshotMeta& SnapshotReader::meta() const {
  return impl_->meta;
}

Result<SnapshotReader> SnapshotReader::open(const Where& where) {
  auto impl = std::make_unique<Impl>();
  if (const auto opened = impl->open(where); !opened) return opened.error();
  if (const auto read = impl->read_meta(where.machine_id_file); !read) return read.error();
  return SnapshotReader(std::move(impl));
}

int SnapshotReader::admissions(std::string_view account, const std::function<bool(const AdmissionView&)>& each) const {
  return impl_->scan<fb::Admission>(Impl::kAdmissions, account, [&](std::string_view rest, const fb::Admission& a) {
    AdmissionView view;
    if (rest.size() != view.grant.bytes.size()) return true;
    rest.copy(reinterpret_cast<char*>(view.grant.bytes.data()), rest.size());
    view.account = account;
    view.subject = text(a.subject());
    view.id = text(a.id());
    view.runbook = text(a.runbook());
    view.reason = text(a.reason());
    view.ticket = text(a.ticket());
    view.approvers = texts(a.approvers());
    view.keys = texts(a.keys());
    view.start = from_unix(a.start());
    view.end = from_unix(a.end());
    view.personal = a.personal();
    view.shared_sudo = a.shared_sudo();
    view.alert = a.alert();
    view.commands = CommandList(a.commands());
    return each(view);
  });
}

int SnapshotReader::keys(std::string_view account, const std::function<bool(const KeyView&)>& each) const {
  return impl_->scan<fb::Key>(Impl::kKeys, account, [&](std::string_view rest, const fb::Key& k) {
    return each(KeyView{account, rest, text(k.subject()), text(k.line()), k.personal()});
  });
}

bool SnapshotReader::key(std::string_view account, std::string_view fingerprint,
                         const std::function<void(const KeyView&)>& found, bool* damaged) const {
  const std::string key = std::string(account) + '\0' + std::string(fingerprint);
  const int rc = impl_->get<fb::Key>(Impl::kKeys, key, [&](const fb::Key& k) {
    found(KeyView{account, fingerprint, text(k.subject()), text(k.line()), k.personal()});
  });
  if (damaged != nullptr) *damaged = rc < 0;
  return rc == 1;
}

bool SnapshotReader::waiting(std::string_view account, std::string_view subject,
                             const std::function<void(const WaitingView&)>& found) const {
  const std::string key = std::string(account) + '\0' + std::string(subject);
  return impl_->get<fb::Waiting>(Impl::kWaiting, key, [&](const fb::Waiting& w) {
    found(WaitingView{account, subject, text(w.state()), text(w.id()), text(w.detail()), from_unix(w.at()),
                      texts(w.runbooks())});
  }) == 1;
}

}  // namespace hallpass
