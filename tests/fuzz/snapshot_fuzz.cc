// A snapshot's records: the first byte says which database the rest is put into, and whether its checksum is right.
// Whatever a reader makes of it, it must stay inside the bytes it was given.
#include <endian.h>
#include <lmdb.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "host/snapshot_reader.h"
#include "host/snapshot_record.h"
#include "host/snapshot_writer.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace): a program of one file

constexpr const char* kDatabases[] = {"admissions", "keys", "waiting", "meta"};

void must(bool good) {
  if (!good) std::abort();
}

std::string path() {
  return "/dev/shm/hallpass-fuzz-" + std::to_string(getpid());
}

// A snapshot with a good `meta` and nothing else.
void fresh_snapshot() {
  SnapshotContent c;
  c.meta.host = "h";
  c.meta.machine_id = std::string(32, 'a');
  const auto image = build_snapshot(c);
  must(image && publish_snapshot(*image, path(), false).has_value());
  close(*image);
}

SnapshotReader::Where where() {
  SnapshotReader::Where w;
  w.snapshot = path();
  w.withdrawn = path() + ".withdrawn";
  w.machine_id_file = path() + ".id";
  w.owner = geteuid();
  return w;
}

void set_up() {
  fresh_snapshot();
  FILE* id = fopen((path() + ".id").c_str(), "w");
  must(id != nullptr && fputs(std::string(32, 'a').c_str(), id) >= 0 && fclose(id) == 0);
  must(atexit([] {
         unlink(path().c_str());
         unlink((path() + ".id").c_str());
       }) == 0);
}

// The input's record goes in by LMDB alone.
void put_record(const char* database, const std::string& key, const std::uint8_t* bytes, std::size_t size,
                bool checksum_holds) {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  must(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 && mdb_env_set_mapsize(env, 4 << 20) == 0);
  must(mdb_env_open(env, path().c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600) == 0);
  must(mdb_txn_begin(env, nullptr, 0, &txn) == 0 && mdb_dbi_open(txn, database, 0, &dbi) == 0);
  std::uint64_t sum = record_checksum(database, key, bytes, size) ^ (checksum_holds ? 0U : 1U);
  sum = htole64(sum);
  std::string value(reinterpret_cast<const char*>(&sum), sizeof sum);
  value.append(reinterpret_cast<const char*>(bytes), size);
  MDB_val k{key.size(), const_cast<char*>(key.data())}, v{value.size(), value.data()};
  must(mdb_put(txn, dbi, &k, &v, 0) == 0 && mdb_txn_commit(txn) == 0);
  mdb_env_close(env);
}

std::size_t touch(std::string_view text) {
  std::size_t sum = 0;
  for (const char c : text) sum += static_cast<unsigned char>(c);
  return sum;
}

std::size_t read_everything(const SnapshotReader& r) {
  std::size_t sum = touch(r.meta().host) + touch(r.meta().fleet);
  r.admissions("a", [&](const AdmissionView& a) {
    sum += touch(a.subject) + touch(a.id) + touch(a.runbook) + touch(a.reason) + touch(a.ticket);
    for (const auto by : a.approvers) sum += touch(by);
    return true;
  });
  r.keys("a", [&](const KeyView& k) { return sum += touch(k.subject) + touch(k.line), true; });
  r.key("a", "b", [&](const KeyView& k) { sum += touch(k.subject) + touch(k.line); });
  r.waiting("a", "b", [&](const WaitingView& w) {
    sum += touch(w.state) + touch(w.id) + touch(w.detail);
    for (const auto name : w.runbooks) sum += touch(name);
  });
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 65536) return 0;
  static const bool ready = (set_up(), true);
  const unsigned database = data[0] & 3;
  const bool checksum_holds = (data[0] & 4) == 0;
  std::string key = std::string("a") + '\0' + (database == 0 ? std::string(32, 'g') : "b");
  if (database == 3) key = "meta";
  put_record(kDatabases[database], key, data + 1, size - 1, checksum_holds);
  if (const auto reader = SnapshotReader::open(where()); reader && ready) {
    must(read_everything(*reader) != SIZE_MAX);
    const bool found = reader->key("a", "b", [](const KeyView&) {});
    must(checksum_holds || database != 1 || !found);
  }
  if (database == 3) fresh_snapshot();
  return 0;
}
