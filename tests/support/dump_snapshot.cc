// dump_snapshot FILE MACHINE_ID_FILE: a snapshot as one JSON object on stdout, read with the reader that sshd's module
// uses. Exit 0: whole. 1: it cannot be opened. 3: some records are damaged.
#include <lmdb.h>
#include <unistd.h>

#include <cstdio>
#include <set>
#include <string>

#include "host/snapshot_reader.h"

namespace {

using namespace hallpass;

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    char escaped[8];
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') {
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// The reader is asked by account; which accounts there are stands in the keys.
std::set<std::string> accounts_in(const char* path) {
  std::set<std::string> accounts;
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 8) != 0) return accounts;
  if (mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR, 0600) == 0 &&
      mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) == 0) {
    for (const char* name : {"admissions", "keys", "waiting"}) {
      MDB_dbi dbi = 0;
      MDB_cursor* cursor = nullptr;
      if (mdb_dbi_open(txn, name, 0, &dbi) != 0 || mdb_cursor_open(txn, dbi, &cursor) != 0) continue;
      MDB_val key{}, value{};
      while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        const std::string_view text(static_cast<const char*>(key.mv_data), key.mv_size);
        accounts.emplace(text.substr(0, text.find('\0')));
      }
      mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
  }
  mdb_env_close(env);
  return accounts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: dump_snapshot FILE MACHINE_ID_FILE\n", stderr);
    return 2;
  }
  SnapshotReader::Where where;
  where.snapshot = argv[1];
  where.machine_id_file = argv[2];
  where.withdrawn = std::string(argv[1]) + ".never";
  where.owner = geteuid();
  const Result<SnapshotReader> reader = SnapshotReader::open(where);
  if (!reader) {
    std::fprintf(stderr, "dump_snapshot: %s\n", reader.error().message.c_str());
    return 1;
  }
  const SnapshotMeta& m = reader->meta();
  int damaged = 0;
  std::string admissions, keys;
  for (const std::string& account : accounts_in(argv[1])) {
    damaged += reader->admissions(account, [&](const AdmissionView& a) {
      admissions += (admissions.empty() ? "" : ",") + std::string("{\"account\":") + quote(a.account) +
                    ",\"subject\":" + quote(a.subject) + ",\"id\":" + quote(a.id) +
                    ",\"start\":" + std::to_string(to_unix(a.start)) + ",\"end\":" + std::to_string(to_unix(a.end)) +
                    "}";
      return true;
    });
    damaged += reader->keys(account, [&](const KeyView& k) {
      keys += (keys.empty() ? "" : ",") + std::string("{\"account\":") + quote(k.account) +
              ",\"subject\":" + quote(k.subject) + ",\"fingerprint\":" + quote(k.fingerprint) + "}";
      return true;
    });
  }
  std::printf(
      "{\"host\":%s,\"fleet\":%s,\"policy_version\":%lld,\"generation\":%llu,\"floor\":%lld,"
      "\"standing_sudo_denied\":%s,\"admissions\":[%s],"
      "\"keys\":[%s]}\n",
      quote(m.host).c_str(), quote(m.fleet).c_str(), static_cast<long long>(m.policy_version),
      static_cast<unsigned long long>(m.generation), static_cast<long long>(to_unix(m.floor.wall)),
      m.standing_sudo_denied ? "true" : "false", admissions.c_str(), keys.c_str());
  return damaged == 0 ? 0 : 3;
}
