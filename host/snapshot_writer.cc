#include "host/snapshot_writer.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <system_error>

#include "host/snapshot_generated.h"
#include "host/snapshot_record.h"

namespace hallpass {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Error failed(const std::string& what, int error) {
  return {Errc::unavailable, what + ": " + std::generic_category().message(error)};
}

// What follows account and zero byte in a record's key.
std::string_view rest_of(const Admission& a) {
  return {reinterpret_cast<const char*>(a.grant.bytes.data()), a.grant.bytes.size()};
}
std::string_view rest_of(const AccountKey& k) {
  return k.fingerprint;
}
std::string_view rest_of(const Waiting& w) {
  return w.subject;
}

enum Database { kAdmissions, kKeys, kWaiting, kMeta, kDatabases };
constexpr const char* kNames[kDatabases] = {"admissions", "keys", "waiting", "meta"};

// A record by its place in the content.
struct Item {
  Database db;
  std::uint32_t index, shard;
};

Offset<fb::Command> encode(FlatBufferBuilder& b, const Command& c) {
  const auto user = b.CreateString(c.as_user), group = b.CreateString(c.as_group), sha256 = b.CreateString(c.sha256);
  const auto executables = b.CreateVectorOfStrings(c.executables);
  const auto arguments = b.CreateVectorOfStrings(c.arguments);
  const auto env_keep = b.CreateVectorOfStrings(c.env_keep);
  return fb::CreateCommand(b, static_cast<std::uint8_t>(c.kind), user, group, executables, arguments, sha256,
                           static_cast<std::uint8_t>(c.subcommands), env_keep, c.unbounded, c.password);
}

// An admission with the keys of its subject on its account: what decides a login is one record.
struct KeyedAdmission {
  const Admission& admission;
  std::span<const std::uint32_t> keys;  // indices into all_keys
  const std::vector<AccountKey>& all_keys;
};

void encode(FlatBufferBuilder& b, const KeyedAdmission& keyed) {
  const Admission& a = keyed.admission;
  std::vector<std::string> lines;
  for (const auto i : keyed.keys) lines.push_back(keyed.all_keys[i].fingerprint + " " + keyed.all_keys[i].line);
  std::vector<Offset<fb::Command>> commands;
  for (const auto& c : a.commands) commands.push_back(encode(b, c));
  const auto list = b.CreateVector(commands);
  const auto subject = b.CreateString(a.subject), id = b.CreateString(a.id), runbook = b.CreateString(a.runbook);
  const auto reason = b.CreateString(a.reason), ticket = b.CreateString(a.ticket);
  const auto approvers = b.CreateVectorOfStrings(a.approvers), keys = b.CreateVectorOfStrings(lines);
  b.Finish(fb::CreateAdmission(b, subject, id, runbook, reason, ticket, approvers, to_unix(a.start), to_unix(a.end),
                               a.personal, a.shared_sudo, a.alert, a.rule, list, keys));
}

void encode(FlatBufferBuilder& b, const AccountKey& k) {
  const auto subject = b.CreateString(k.subject), line = b.CreateString(k.line);
  b.Finish(fb::CreateKey(b, subject, line, k.personal));
}

void encode(FlatBufferBuilder& b, const Waiting& w) {
  const auto state = b.CreateString(w.state), id = b.CreateString(w.id), detail = b.CreateString(w.detail);
  const auto runbooks = b.CreateVectorOfStrings(w.runbooks);
  b.Finish(fb::CreateWaiting(b, state, id, detail, to_unix(w.at), runbooks));
}

struct Described {
  const SnapshotMeta& meta;
  std::uint32_t shards;
};

void encode(FlatBufferBuilder& b, const Described& described) {
  const SnapshotMeta& m = described.meta;
  const auto fleet = b.CreateString(m.fleet), host = b.CreateString(m.host), machine = b.CreateString(m.machine_id);
  const auto boot = b.CreateString(m.floor.boot_id.data(), m.floor.boot_id.size());
  b.Finish(fb::CreateMeta(b, kSnapshotFormat, fleet, host, machine, m.policy_version, m.generation,
                          to_unix(m.floor.wall), m.floor.boottime.count(), boot, to_unix(m.valid_until), m.strict_clock,
                          described.shards, m.standing_sudo_denied));
}

// One writing transaction over an LMDB file that lives in a memory file.
class Image {
 public:
  Image() = default;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
    if (env_ != nullptr) mdb_env_close(env_);
  }

  // LMDB's error; 0 is success. WRITEMAP: dirty pages are the memory file's, not copies on the heap.
  int open(int fd, std::size_t bytes, std::uint32_t shards) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    int rc = mdb_env_create(&env_);
    if (rc == 0) rc = mdb_env_set_maxdbs(env_, kDatabases + shards);
    if (rc == 0) rc = mdb_env_set_mapsize(env_, bytes);
    if (rc == 0) rc = mdb_env_open(env_, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_WRITEMAP, 0600);
    return rc == 0 ? mdb_txn_begin(env_, nullptr, 0, &txn_) : rc;
  }

  // The databases, and the one record of `meta`: first, so that they share the pages next to the header, which every
  // reader touches.
  int begin(const SnapshotMeta& meta, std::uint32_t shards) {
    int rc = 0;
    for (int i = kKeys; i < kDatabases && rc == 0; ++i) rc = mdb_dbi_open(txn_, kNames[i], MDB_CREATE, &dbi_[i]);
    shards_.resize(shards);
    for (std::uint32_t i = 0; i < shards && rc == 0; ++i) {
      rc = mdb_dbi_open(txn_, admissions_database(i, shards).c_str(), MDB_CREATE, &shards_[i]);
    }
    return rc == 0 ? put(kMeta, "meta", Described{meta, shards}) : rc;
  }
  // In the order of keys within each database: every page is filled and none is written twice. `record` names account
  // and key, `value` is what gets encoded.
  template <class Record, class Value>
  int add(const Item& item, const Record& record, const Value& value) {
    if (item.db == kAdmissions) dbi_[kAdmissions] = shards_[item.shard];
    key_.assign(record.account).append(1, '\0').append(rest_of(record));
    return put(item.db, key_, value);
  }

  // Commits; *used: how much of the file is.
  int finish(std::size_t* used) {
    int rc = mdb_txn_commit(std::exchange(txn_, nullptr));
    MDB_envinfo info;
    MDB_stat stat;
    if (rc == 0) rc = mdb_env_info(env_, &info);
    if (rc == 0) rc = mdb_env_stat(env_, &stat);
    if (rc == 0) *used = (info.me_last_pgno + 1) * stat.ms_psize;
    return rc;
  }

 private:
  template <class T>
  int put(Database db, std::string_view key, const T& record) {
    builder_.Clear();
    encode(builder_, record);
    const std::uint64_t sum =
        htole64(record_checksum(kNames[db], key, builder_.GetBufferPointer(), builder_.GetSize()));
    MDB_val k{key.size(), const_cast<char*>(key.data())}, value{sizeof sum + builder_.GetSize(), nullptr};
    if (value.mv_size > kMaxRecordBytes) return MDB_BAD_VALSIZE;
    if (const int rc = mdb_put(txn_, dbi_[db], &k, &value, MDB_RESERVE | MDB_APPEND); rc != 0) return rc;
    memcpy(value.mv_data, &sum, sizeof sum);
    memcpy(static_cast<char*>(value.mv_data) + sizeof sum, builder_.GetBufferPointer(), builder_.GetSize());
    return 0;
  }

  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  MDB_dbi dbi_[kDatabases] = {};
  std::vector<MDB_dbi> shards_;
  FlatBufferBuilder builder_;
  std::string key_;
};

std::size_t estimate(const SnapshotContent& content) {
  std::size_t bytes = std::size_t{1} << 20;
  for (const auto& a : content.admissions) bytes += 1024 + 2 * (a.reason.size() + 512 * a.commands.size());
  return bytes + 1024 * (content.keys.size() + content.waiting.size());
}

// Calls f with the record that an item stands for.
template <class F>
auto with_record(const SnapshotContent& c, const Item& item, F f) {
  if (item.db == kAdmissions) return f(c.admissions[item.index]);
  return item.db == kKeys ? f(c.keys[item.index]) : f(c.waiting[item.index]);
}

// Tree by tree where there are several for admissions, each in one stretch of the file; else account by account: a
// login's key and its admissions come to lie side by side.
std::vector<Item> in_order(const SnapshotContent& c, std::uint32_t shards) {
  std::vector<Item> items;
  items.reserve(c.admissions.size() + c.keys.size() + c.waiting.size());
  for (std::uint32_t i = 0; i < c.admissions.size(); ++i) {
    items.push_back({kAdmissions, i, shard_of(c.admissions[i].account, shards)});
  }
  for (std::uint32_t i = 0; i < c.keys.size(); ++i) items.push_back({kKeys, i, shards - 1});
  for (std::uint32_t i = 0; i < c.waiting.size(); ++i) items.push_back({kWaiting, i, shards - 1});
  const auto account = [&](const Item& i) {
    return with_record(c, i, [](const auto& r) { return std::string_view(r.account); });
  };
  const auto rest = [&](const Item& i) { return with_record(c, i, [](const auto& r) { return rest_of(r); }); };
  std::sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
    if (a.shard != b.shard) return a.shard < b.shard;
    if (const int order = account(a).compare(account(b)); order != 0) return order < 0;
    return a.db != b.db ? a.db < b.db : rest(a) < rest(b);
  });
  return items;
}

std::pair<std::string_view, std::string_view> owner_of(const AccountKey& k) {
  return {k.account, k.subject};
}

// Indices of the keys, those of one subject on one account side by side.
std::vector<std::uint32_t> by_owner(const std::vector<AccountKey>& keys) {
  std::vector<std::uint32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return owner_of(keys[a]) < owner_of(keys[b]); });
  return order;
}

int add_record(Image& image, const SnapshotContent& c, const Item& item, std::span<const std::uint32_t> keys_by_owner) {
  if (item.db != kAdmissions) {
    return item.db == kKeys ? image.add(item, c.keys[item.index], c.keys[item.index])
                            : image.add(item, c.waiting[item.index], c.waiting[item.index]);
  }
  const Admission& admission = c.admissions[item.index];
  const std::pair<std::string_view, std::string_view> owner(admission.account, admission.subject);
  const auto first = std::lower_bound(keys_by_owner.begin(), keys_by_owner.end(), owner,
                                      [&](auto k, const auto& wanted) { return owner_of(c.keys[k]) < wanted; });
  const auto last = std::find_if(first, keys_by_owner.end(), [&](auto k) { return owner_of(c.keys[k]) != owner; });
  return image.add(item, admission, KeyedAdmission{admission, {first, last}, c.keys});
}

// One attempt at building into `fd`; MDB_MAP_FULL asks for another with more room.
int build_into(int fd, std::size_t room, const SnapshotContent& content, std::string& culprit) {
  std::size_t used = 0;
  {
    Image image;
    const std::uint32_t shards = shards_for(content.admissions.size());
    int rc = image.open(fd, room, shards);
    if (rc == 0) rc = image.begin(content.meta, shards);
    const std::vector<std::uint32_t> keys_by_owner = by_owner(content.keys);
    for (const Item& item : in_order(content, shards)) {
      if (rc != 0) break;
      rc = add_record(image, content, item, keys_by_owner);
      if (rc != 0)
        culprit = with_record(content, item, [&](const auto& r) { return kNames[item.db] + (" of " + r.account); });
    }
    if (rc == 0) rc = image.finish(&used);
    if (rc != 0) return rc;
  }
  return ftruncate(fd, static_cast<off_t>(used)) == 0 ? 0 : errno;
}

Status copy_image(int image_fd, int out, bool preallocated) {
  struct stat st {};
  if (fstat(image_fd, &st) != 0) return failed("reading the new snapshot", errno);
  off_t at = 0;
  while (at < st.st_size) {
    const ssize_t n = sendfile(out, image_fd, &at, static_cast<std::size_t>(st.st_size - at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("writing the snapshot", n == 0 ? EIO : errno);
  }
  if (preallocated && ftruncate(out, st.st_size) != 0) return failed("cutting the snapshot to size", errno);
  if (fsync(out) != 0) return failed("syncing the snapshot", errno);
  return Unit{};
}

Status sync_directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return failed("syncing " + dir, errno);
  return Unit{};
}

}  // namespace

Result<int> build_snapshot(const SnapshotContent& content) {
  std::size_t room = estimate(content);
  for (int attempt = 0; attempt < 8; ++attempt, room *= 2) {
    Fd fd(memfd_create("hallpass-snapshot", MFD_CLOEXEC));
    if (fd.get() < 0) return failed("making a memory file", errno);
    std::string culprit = "the snapshot";
    const int rc = build_into(fd.get(), (room + 65535) & ~std::size_t{65535}, content, culprit);
    if (rc == 0) return fd.release();
    if (rc == MDB_KEYEXIST) return Error{Errc::malformed, culprit + ": the same record twice"};
    if (rc == MDB_BAD_VALSIZE) return Error{Errc::malformed, culprit + ": a record is too large"};
    if (rc != MDB_MAP_FULL) return Error{Errc::unavailable, std::string("building the snapshot: ") + mdb_strerror(rc)};
  }
  return Error{Errc::unavailable, "building the snapshot: it would be too large"};
}

Status publish_snapshot(int image_fd, const std::string& path, bool use_reserve) {
  const std::string next = path + (use_reserve ? ".reserve" : ".new");
  const int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (use_reserve ? 0 : O_CREAT | O_EXCL);
  if (!use_reserve && unlink(next.c_str()) != 0 && errno != ENOENT) return failed("removing " + next, errno);
  const Fd out(open(next.c_str(), flags, 0600));
  if (out.get() < 0) return failed("opening " + next, errno);
  // A crash up to here leaves the old snapshot and a stray file that the next attempt removes; after the rename the new
  // one stands, and the directory's fsync only decides whether a power cut may bring the old one back.
  auto done = copy_image(image_fd, out.get(), use_reserve);
  if (done && rename(next.c_str(), path.c_str()) != 0) done = failed("renaming " + next, errno);
  if (!done) {
    if (!use_reserve) unlink(next.c_str());
    return done;
  }
  return sync_directory_of(path);
}

Status reserve_snapshot_space(const std::string& path, std::size_t bytes) {
  const std::string reserve = path + ".reserve";
  const Fd fd(open(reserve.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd.get() < 0) return failed("opening " + reserve, errno);
  if (const int rc = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); rc != 0)
    return failed("reserving space", rc);
  if (fsync(fd.get()) != 0) return failed("syncing " + reserve, errno);
  return Unit{};
}

}  // namespace hallpass
