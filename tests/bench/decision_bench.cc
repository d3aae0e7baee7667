// What a login's decision costs: open the snapshot, look the key and the admission up, verify both records, decide,
// close; against bare LMDB open + get + close of the same file. Prints the ratios; exits 1 when one is over its limit
// (docs/performance.md).
#include <benchmark/benchmark.h>
#include <lmdb.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "pam/login.h"
#include "tests/unit/host/snapshot_fixture.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

constexpr double kMostOverBare = 1.5, kMostGrowth = 1.5;

std::string name_of(int i) {
  return "user" + std::to_string(i);
}

SnapshotContent many(int count) {
  auto c = content();
  c.admissions.clear();
  c.keys.clear();
  c.waiting.clear();
  for (int i = 0; i < count; ++i) {
    const std::string name = name_of(i);
    auto a = admission(name.c_str(), name.c_str(), 1000, 4000000000);
    for (unsigned b = 0; b < 4; ++b) a.grant.bytes[b] = static_cast<std::uint8_t>(i >> (8 * b));
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

int next_user(int count) {
  static std::uint32_t state = 1;
  state = state * 1664525 + 1013904223;
  return static_cast<int>(state >> 8) % count;
}

void decision(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const auto where = store_of(count).where();
  const ClockReading clock = read_clock();
  Login login;
  login.offered = kAlicePrint;
  for (auto _ : state) {
    login.account = name_of(next_user(count));
    const auto reader = SnapshotReader::open(where);
    if (!reader || decide(*reader, clock, login).decision != Verdict::Decision::admit)
      state.SkipWithError("not admitted");
  }
}

// The same lookups without us: one get of the key, one of the admission (the first of the account).
bool bare(const std::string& path, const std::string& account) {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi keys = 0, admissions = 0;
  MDB_cursor* cursor = nullptr;
  const std::string key = account + '\0' + kAlicePrint, prefix = account + '\0';
  MDB_val k{key.size(), const_cast<char*>(key.data())}, p{prefix.size(), const_cast<char*>(prefix.data())}, v{};
  bool good = mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0 &&
              mdb_env_open(env, path.c_str(), MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS, 0) == 0 &&
              mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) == 0 && mdb_dbi_open(txn, "keys", 0, &keys) == 0 &&
              mdb_dbi_open(txn, "admissions", 0, &admissions) == 0 && mdb_get(txn, keys, &k, &v) == 0 &&
              mdb_cursor_open(txn, admissions, &cursor) == 0 && mdb_cursor_get(cursor, &p, &v, MDB_SET_RANGE) == 0;
  if (cursor != nullptr) mdb_cursor_close(cursor);
  if (txn != nullptr) mdb_txn_abort(txn);
  if (env != nullptr) mdb_env_close(env);
  return good;
}

void bare_lmdb(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const std::string path = store_of(count).path();
  for (auto _ : state) {
    if (!bare(path, name_of(next_user(count)))) state.SkipWithError("not found");
  }
}

// Keeps each benchmark's median beside printing. Processor time: nothing here waits, and the machine may be busy with
// more.
class Ratios : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& r : runs) {
      if (r.error_occurred) failed_ = true;
      if (r.aggregate_name == "median")
        medians_[r.run_name.function_name + "/" + r.run_name.args] = r.GetAdjustedCPUTime();
    }
    ConsoleReporter::ReportRuns(runs);
  }
  bool print() const {
    bool good = !failed_;
    for (const int n : {1000, 10000, 1000000}) {
      const double ratio = median("decision", n) / median("bare_lmdb", n);
      std::printf("decision at %7d admissions: %.2f times bare LMDB (at most %.1f)\n", n, ratio, kMostOverBare);
      good = good && ratio <= kMostOverBare;
    }
    const double growth = median("decision", 1000000) / median("decision", 1000);
    std::printf("decision from 1 000 to 1 000 000 admissions: %.2f times (at most %.1f)\n", growth, kMostGrowth);
    return good && growth <= kMostGrowth;
  }

 private:
  double median(const char* name, int n) const {
    const auto found = medians_.find(std::string(name) + "/" + std::to_string(n));
    return found == medians_.end() ? -1 : found->second;
  }
  std::map<std::string, double> medians_;
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const int n : {1000, 10000, 1000000}) {
    for (auto* b :
         {benchmark::RegisterBenchmark("bare_lmdb", bare_lmdb), benchmark::RegisterBenchmark("decision", decision)}) {
      b->Arg(n)->Repetitions(15)->ReportAggregatesOnly(true)->MinTime(0.05)->Unit(benchmark::kMicrosecond);
    }
  }
  Ratios ratios;
  benchmark::RunSpecifiedBenchmarks(&ratios);
  return ratios.print() ? 0 : 1;
}
