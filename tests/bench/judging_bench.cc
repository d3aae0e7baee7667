// What judging costs beyond its signatures: 10 000 live grants of two signatures each, opened and judged, against 20
// 000 bare Ed25519 verifications. In turns of 250 grants, so that both meet the same machine. Exits 1 when the ratio is
// over its limit (docs/performance.md).
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>

#include "core/judge.h"
#include "tests/bench/fleet.h"
#include "tests/bench/ratios.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)
using bench::SignedGrant;

constexpr int kGrants = 10000, kTurn = 250;
constexpr double kLimit = 1.3;
constexpr std::size_t kSignedBytes = 6 + 4 + 16 + 4 + 4 + 6 + 4 + 64;  // what a SSHSIG signature covers

struct Work {
  UnixTime now = from_unix(1795435200);
  std::shared_ptr<const Policy> policy = bench::parsed(bench::policy_toml(now));
  HostIdentity host{"web-3", {{"env", "prod"}}};
  ZoneTable zones;
  std::vector<SignedGrant> grants;

  Work() {
    for (int i = 0; i < kGrants; ++i) grants.push_back(bench::signed_grant(i, *policy, now));
  }
};

const Work& work() {
  static const Work made;
  return made;
}

// Where the next turn begins: all grants have theirs in kGrants / kTurn turns.
class Turns {
 public:
  int next() { return (turn_++ * kTurn) % kGrants; }

 private:
  int turn_ = 0;
};

bool judge_grant(const SignedGrant& grant) {
  const Work& w = work();
  std::vector<Statement> statements;
  for (const std::string* line : {&grant.request, &grant.approval}) {
    Result<Statement> s = open_statement(*line, bench::kFleetName, *w.policy);
    if (!s) return false;
    statements.push_back(*std::move(s));
  }
  return judge(grant.id, statements, *w.policy, &w.host, w.now, w.zones).state == GrantState::active;
}

void judging(benchmark::State& state) {
  static Turns turns;
  for (auto _ : state) {
    const int first = turns.next();
    for (int i = first; i < first + kTurn; ++i) {
      if (!judge_grant(work().grants[static_cast<std::size_t>(i)])) state.SkipWithError("not active");
    }
  }
  state.SetItemsProcessed(state.iterations() * kTurn);
}

// Signatures as many and over as many bytes, by as many keys.
struct BareSignature {
  EVP_PKEY* key;
  std::array<unsigned char, kSignedBytes> data;
  std::array<unsigned char, 64> signature;
};

std::vector<BareSignature> make_bare() {
  std::vector<EVP_PKEY*> keys;
  std::vector<EVP_PKEY*> public_keys;  // as a verifier has them
  for (int i = 0; i < bench::kEngineers + bench::kLeads; ++i) {
    EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    unsigned char raw[32];
    std::size_t size = sizeof raw;
    testing::demand(key != nullptr && EVP_PKEY_get_raw_public_key(key, raw, &size) == 1);
    keys.push_back(key);
    public_keys.push_back(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw, size));
  }
  std::vector<BareSignature> all(2 * kGrants);
  for (std::size_t i = 0; i < all.size(); ++i) {
    BareSignature& b = all[i];
    b.key = public_keys[i % keys.size()];
    for (std::size_t k = 0; k < b.data.size(); ++k) b.data[k] = static_cast<unsigned char>(i >> (k % 3 * 8));
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> ctx(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::size_t size = b.signature.size();
    testing::demand(EVP_DigestSignInit(ctx.get(), nullptr, nullptr, nullptr, keys[i % keys.size()]) == 1 &&
                    EVP_DigestSign(ctx.get(), b.signature.data(), &size, b.data.data(), b.data.size()) == 1);
  }
  return all;
}

bool verify_bare(const BareSignature& b) {
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  const bool good = EVP_DigestVerifyInit(ctx, nullptr, nullptr, nullptr, b.key) == 1 &&
                    EVP_DigestVerify(ctx, b.signature.data(), b.signature.size(), b.data.data(), b.data.size()) == 1;
  EVP_MD_CTX_free(ctx);
  return good;
}

void bare_ed25519(benchmark::State& state) {
  static const std::vector<BareSignature> signatures = make_bare();
  static Turns turns;
  for (auto _ : state) {
    const int first = 2 * turns.next();
    for (int i = first; i < first + 2 * kTurn; ++i) {
      if (!verify_bare(signatures[static_cast<std::size_t>(i)])) state.SkipWithError("does not verify");
    }
  }
  state.SetItemsProcessed(state.iterations() * kTurn * 2);
}

}  // namespace

int main(int argc, char** argv) {
  char interleaved[] = "--benchmark_enable_random_interleaving=true";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, interleaved);  // first: the caller's own come later and win
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  for (auto* b :
       {benchmark::RegisterBenchmark("bare_ed25519", bare_ed25519), benchmark::RegisterBenchmark("judging", judging)}) {
    b->Iterations(1)->Repetitions(kGrants / kTurn * 2)->ReportAggregatesOnly(true)->Unit(benchmark::kMillisecond);
  }
  work();
  bench::Ratios ratios;
  benchmark::RunSpecifiedBenchmarks(&ratios);
  ratios.compare("judging", "judging", "bare_ed25519", kLimit);
  return ratios.good() ? 0 : 1;
}
