// What a login's decision costs (PAM's session phase): open the snapshot, look the admission up, verify its record,
// decide, close; against bare LMDB open + get + close of the same file. Prints the ratios; exits 1 when one is over its
// limit (docs/performance.md).
#include <benchmark/benchmark.h>
#include <lmdb.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>

#include "host/snapshot_record.h"
#include "pam/login.h"
#include "tests/bench/ratios.h"
#include "tests/unit/host/snapshot_fixture.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

constexpr double kMostOverBare = 1.5, kMostGrowth = 1.5;

std::string name_of(int i) {
  return "user" + std::to_string(i);
}

Digest grant_of(int i) {
  Digest grant;
  for (unsigned b = 0; b < 4; ++b) grant.bytes[b] = static_cast<std::uint8_t>(i >> (8 * b));
  return grant;
}

SnapshotContent many(int count) {
  auto c = content();
  c.admissions.clear();
  c.keys.clear();
  c.waiting.clear();
  for (int i = 0; i < count; ++i) {
    const std::string name = name_of(i);
    auto a = admission(name.c_str(), name.c_str(), 1000, 4000000000);
    a.grant = grant_of(i);
    c.admissions.push_back(std::move(a));
    c.keys.push_back({name, kAlicePrint, name, kAliceKey, true});
  }
  return c;
}

const Store& store_of(int count) {
  static std::map<int, std::unique_ptr<Store>> stores;
  auto& store = stores[count];
  if (!store) store = std::make_unique<Store>(many(count));
  return *store;
}

// A thousand accounts, spread over the whole file, whatever its size: what is compared is the size of the store, not
// how much of it the processor's caches hold.
int next_user(int count) {
  static std::uint32_t state = 1;
  state = state * 1664525 + 1013904223;
  return static_cast<int>(state >> 8) % 1000 * (count / 1000);
}

void decision(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const auto where = store_of(count).where();
  const ClockReading clock = read_clock();
  Login login;
  login.session = true;
  login.keys = {kAliceKey};
  for (auto _ : state) {
    login.account = name_of(next_user(count));
    const auto reader = SnapshotReader::open(where);
    if (!reader || decide(*reader, clock, login).decision != Verdict::Decision::admit)
      state.SkipWithError("not admitted");
  }
}

// The same lookup without us: one get of the admission.
bool bare(const std::string& path, const std::string& database, const std::string& account, const Digest& grant) {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi admissions = 0;
  std::string key = account + '\0';
  key.append(grant.bytes.begin(), grant.bytes.end());
  MDB_val k{key.size(), key.data()}, v{};
  const bool good = mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 16) == 0 &&
                    mdb_env_open(env, path.c_str(), MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS, 0) == 0 &&
                    mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) == 0 &&
                    mdb_dbi_open(txn, database.c_str(), 0, &admissions) == 0 && mdb_get(txn, admissions, &k, &v) == 0;
  if (txn != nullptr) mdb_txn_abort(txn);
  if (env != nullptr) mdb_env_close(env);
  return good;
}

void bare_lmdb(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const std::string path = store_of(count).path();
  const std::uint32_t shards = shards_for(static_cast<std::size_t>(count));
  for (auto _ : state) {
    const int user = next_user(count);
    const std::string account = name_of(user);
    if (!bare(path, admissions_database(shard_of(account, shards), shards), account, grant_of(user)))
      state.SkipWithError("not found");
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const int n : {1000, 10000, 1000000}) {
    for (auto* b :
         {benchmark::RegisterBenchmark("bare_lmdb", bare_lmdb), benchmark::RegisterBenchmark("decision", decision)}) {
      b->Arg(n)->Repetitions(15)->ReportAggregatesOnly(true)->MinTime(0.05)->Unit(benchmark::kMicrosecond);
    }
  }
  bench::Ratios ratios;
  benchmark::RunSpecifiedBenchmarks(&ratios);
  for (const char* n : {"1000", "10000", "1000000"}) {
    ratios.compare(std::string("decision-") + n, std::string("decision/") + n, std::string("bare_lmdb/") + n,
                   kMostOverBare);
  }
  ratios.compare("decision-growth", "decision/1000000", "decision/1000", kMostGrowth);
  return ratios.good() ? 0 : 1;
}
