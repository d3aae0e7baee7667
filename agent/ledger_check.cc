// Is a ledger whole? Asked in a child process: LMDB trusts its pages, so a damaged file may crash or loop whoever reads
// it.
#include <fcntl.h>
#include <lmdb.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "agent/ledger.h"
#include "agent/ledger_records.h"

namespace hallpass {
namespace records = ledger_records;
namespace {

constexpr unsigned kLongestCheck_s = 60;

// What is wrong with the database; empty: nothing. A database that is not there yet is sound.
std::string check_database(MDB_txn* txn, int database) {
  const std::string name = records::kNames[database];
  MDB_dbi dbi = 0;
  int code = mdb_dbi_open(txn, name.c_str(), 0, &dbi);
  if (code == MDB_NOTFOUND) return "";
  if (code != 0) return name + ": " + mdb_strerror(code);
  MDB_cursor* cursor = nullptr;
  if ((code = mdb_cursor_open(txn, dbi, &cursor)) != 0) return name + ": " + mdb_strerror(code);
  MDB_val key{}, value{};
  while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    const std::string_view k(static_cast<const char*>(key.mv_data), key.mv_size);
    const std::string_view v(static_cast<const char*>(value.mv_data), value.mv_size);
    if (!records::unseal(database, k, v)) return "a record of " + name + " does not match its checksum";
  }
  mdb_cursor_close(cursor);
  return code == MDB_NOTFOUND ? "" : name + ": " + mdb_strerror(code);
}

std::string check_all(const std::string& directory, std::size_t size) {
  MDB_env* env = nullptr;
  if (mdb_env_create(&env) != 0) return "out of memory";
  mdb_env_set_maxdbs(env, records::kDatabaseCount);
  mdb_env_set_mapsize(env, size);
  MDB_txn* txn = nullptr;
  int code = mdb_env_open(env, directory.c_str(), MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0600);
  if (code == 0) code = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn);
  if (code != 0) return mdb_strerror(code);
  for (int i = 0; i < records::kDatabaseCount; ++i) {
    if (std::string wrong = check_database(txn, i); !wrong.empty()) return wrong;
  }
  mdb_txn_abort(txn);
  mdb_env_close(env);
  return "";
}

[[noreturn]] void child(const std::string& directory, std::size_t size, int out) {
  const struct rlimit none { 0, 0 };
  setrlimit(RLIMIT_CORE, &none);
  for (const int s : {SIGSEGV, SIGBUS, SIGABRT, SIGALRM, SIGTERM}) std::signal(s, SIG_DFL);
  alarm(kLongestCheck_s);
  const std::string wrong = check_all(directory, size);
  const ssize_t written = write(out, wrong.data(), wrong.size());
  _exit(wrong.empty() && written == 0 ? 0 : 1);
}

}  // namespace

std::optional<std::string> check_ledger(const std::string& directory) {
  struct stat st {};
  if (stat((directory + "/data.mdb").c_str(), &st) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return "cannot look at " + directory + "/data.mdb: " + std::strerror(errno);
  }
  // A crash while the file was being made: LMDB starts over on an empty file.
  if (st.st_size == 0) return std::nullopt;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return "cannot check the ledger: " + std::string(std::strerror(errno));
  const pid_t pid = fork();
  if (pid == 0) child(directory, static_cast<std::size_t>(st.st_size), ends[1]);
  close(ends[1]);
  std::string wrong(500, '\0');
  const ssize_t got = pid < 0 ? 0 : read(ends[0], wrong.data(), wrong.size());
  close(ends[0]);
  if (pid < 0) return "cannot check the ledger: " + std::string(std::strerror(errno));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  if (WIFSIGNALED(status)) return "reading it ends with signal " + std::to_string(WTERMSIG(status));
  wrong.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return wrong.empty() ? "it cannot be read" : wrong;
}

Result<std::string> set_ledger_aside(const std::string& directory, UnixTime now) {
  const std::string aside = directory + ".damaged-" + std::to_string(to_unix(now));
  if (rename(directory.c_str(), aside.c_str()) != 0) {
    return Error{Errc::unavailable, "cannot rename " + directory + ": " + std::strerror(errno)};
  }
  return aside;
}

}  // namespace hallpass
