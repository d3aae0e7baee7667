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

std::string record_key(std::string_view account, std::string_view rest) {
  std::string key(account);
  key += '\0';
  key += rest;
  return key;
}

std::string key_of(const Admission& a) {
  return record_key(a.account, {reinterpret_cast<const char*>(a.grant.bytes.data()), a.grant.bytes.size()});
}
std::string key_of(const AccountKey& k) {
  return record_key(k.account, k.fingerprint);
}
std::string key_of(const Waiting& w) {
  return record_key(w.account, w.subject);
}

Offset<fb::Command> encode(FlatBufferBuilder& b, const Command& c) {
  const auto user = b.CreateString(c.as_user), group = b.CreateString(c.as_group), sha256 = b.CreateString(c.sha256);
  const auto executables = b.CreateVectorOfStrings(c.executables);
  const auto arguments = b.CreateVectorOfStrings(c.arguments);
  const auto env_keep = b.CreateVectorOfStrings(c.env_keep);
  return fb::CreateCommand(b, static_cast<std::uint8_t>(c.kind), user, group, executables, arguments, sha256,
                           static_cast<std::uint8_t>(c.subcommands), env_keep, c.unbounded, c.password);
}

void encode(FlatBufferBuilder& b, const Admission& a) {
  std::vector<Offset<fb::Command>> commands;
  for (const auto& c : a.commands) commands.push_back(encode(b, c));
  const auto list = b.CreateVector(commands);
  const auto subject = b.CreateString(a.subject), id = b.CreateString(a.id), runbook = b.CreateString(a.runbook);
  const auto reason = b.CreateString(a.reason), ticket = b.CreateString(a.ticket);
  const auto approvers = b.CreateVectorOfStrings(a.approvers);
  b.Finish(fb::CreateAdmission(b, subject, id, runbook, reason, ticket, approvers, to_unix(a.start), to_unix(a.end),
                               a.personal, a.shared_sudo, a.alert, a.rule, list));
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

void encode(FlatBufferBuilder& b, const SnapshotMeta& m) {
  const auto fleet = b.CreateString(m.fleet), host = b.CreateString(m.host), machine = b.CreateString(m.machine_id);
  const auto boot = b.CreateString(m.floor.boot_id.data(), m.floor.boot_id.size());
  b.Finish(fb::CreateMeta(b, kSnapshotFormat, fleet, host, machine, m.policy_version, m.generation,
                          to_unix(m.floor.wall), m.floor.boottime.count(), boot, to_unix(m.valid_until),
                          m.strict_clock));
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
  int open(int fd, std::size_t bytes) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    int rc = mdb_env_create(&env_);
    if (rc == 0) rc = mdb_env_set_maxdbs(env_, 4);
    if (rc == 0) rc = mdb_env_set_mapsize(env_, bytes);
    if (rc == 0) rc = mdb_env_open(env_, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_WRITEMAP, 0600);
    return rc == 0 ? mdb_txn_begin(env_, nullptr, 0, &txn_) : rc;
  }

  // Records in the order of their keys, so that every page is filled and none is written twice.
  template <class T>
  int add(const char* database, const std::vector<T>& records, std::string& culprit) {
    MDB_dbi dbi = 0;
    if (const int rc = mdb_dbi_open(txn_, database, MDB_CREATE, &dbi); rc != 0) return rc;
    std::vector<std::uint32_t> order(records.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return key_of(records[a]) < key_of(records[b]); });
    for (const auto i : order) {
      if (const int rc = put(dbi, database, key_of(records[i]), records[i]); rc != 0) {
        culprit = std::string(database) + " of " + records[i].account;
        return rc;
      }
    }
    return 0;
  }
  int add_meta(const SnapshotMeta& meta) {
    MDB_dbi dbi = 0;
    const int rc = mdb_dbi_open(txn_, "meta", MDB_CREATE, &dbi);
    return rc != 0 ? rc : put(dbi, "meta", "meta", meta);
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
  int put(MDB_dbi dbi, const char* database, std::string_view key, const T& record) {
    builder_.Clear();
    encode(builder_, record);
    const std::uint64_t sum = htole64(record_checksum(database, key, builder_.GetBufferPointer(), builder_.GetSize()));
    MDB_val k{key.size(), const_cast<char*>(key.data())}, value{sizeof sum + builder_.GetSize(), nullptr};
    if (value.mv_size > kMaxRecordBytes) return MDB_BAD_VALSIZE;
    if (const int rc = mdb_put(txn_, dbi, &k, &value, MDB_RESERVE | MDB_APPEND); rc != 0) return rc;
    memcpy(value.mv_data, &sum, sizeof sum);
    memcpy(static_cast<char*>(value.mv_data) + sizeof sum, builder_.GetBufferPointer(), builder_.GetSize());
    return 0;
  }

  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  FlatBufferBuilder builder_;
};

std::size_t estimate(const SnapshotContent& content) {
  std::size_t bytes = std::size_t{1} << 20;
  for (const auto& a : content.admissions) bytes += 1024 + 2 * (a.reason.size() + 512 * a.commands.size());
  return bytes + 1024 * (content.keys.size() + content.waiting.size());
}

// One attempt at building into `fd`; MDB_MAP_FULL asks for another with more room.
int build_into(int fd, std::size_t room, const SnapshotContent& content, std::string& culprit) {
  std::size_t used = 0;
  {
    Image image;
    int rc = image.open(fd, room);
    if (rc == 0) rc = image.add("admissions", content.admissions, culprit);
    if (rc == 0) rc = image.add("keys", content.keys, culprit);
    if (rc == 0) rc = image.add("waiting", content.waiting, culprit);
    if (rc == 0) rc = image.add_meta(content.meta);
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
