#include "core/log/merkle.h"

#include <fstream>

#include "core/json.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::Digest;
using hallpass::Frontier;
using hallpass::Json;
using hallpass::Result;
using hallpass::testing::naive_root;

constexpr std::size_t kSizes = 130;

Digest digest_of(const Json* hex) {
  return hallpass::parse_digest("sha256:" + *hex->as_string()).value();
}
std::vector<Digest> digests_of(const Json* list) {
  std::vector<Digest> digests;
  for (const Json& row : *list->as_array()) digests.push_back(digest_of(&row));
  return digests;
}
std::uint64_t number_of(const Json* number) {
  return static_cast<std::uint64_t>(*number->as_int());
}

bool inclusion_holds(const Json& row) {
  return hallpass::verify_inclusion(number_of(row.find("index")), number_of(row.find("size")),
                                    digest_of(row.find("leaf_hash")), digests_of(row.find("proof")),
                                    digest_of(row.find("root")));
}
bool consistency_holds(const Json& row) {
  return hallpass::verify_consistency(number_of(row.find("old")), number_of(row.find("new")),
                                      digest_of(row.find("old_root")), digest_of(row.find("new_root")),
                                      digests_of(row.find("proof")));
}

int wrong_vectors() {
  const Json all = hallpass::parse_json(read_vector("tlog/merkle.json")).value();
  int wrong = 0;
  Frontier frontier;
  const std::vector<Digest> roots = digests_of(all.find("roots_by_size")), leaves = digests_of(all.find("leaf_hashes"));
  wrong += wrong_if(frontier.root() != roots[0] || hallpass::empty_root() != roots[0], "the empty root");
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const auto entry = hallpass::hex_decode(*(*all.find("leaves_hex")->as_array())[i].as_string()).value();
    wrong += wrong_if(hallpass::leaf_hash(entry) != leaves[i], "a leaf");
    frontier.add(hallpass::leaf_hash(entry));
    wrong += wrong_if(frontier.root() != roots[i + 1], "a root");
  }
  for (const Json& row : *all.find("inclusion")->as_array()) wrong += wrong_if(!inclusion_holds(row), "an inclusion");
  for (const Json& row : *all.find("consistency")->as_array()) {
    wrong += wrong_if(!consistency_holds(row), "a consistency");
  }
  wrong += wrong_if(all.find("inclusion")->as_array()->size() != 36 || roots.size() != 9, "how many vectors");
  for (const Json& row : *all.find("negative")->as_array()) {
    const std::string& kind = *row.find("kind")->as_string();
    // "inclusion-accepts" is the one that only recomputing the leaf from the entry refuses.
    const bool holds = kind == "consistency" ? consistency_holds(row) : inclusion_holds(row);
    wrong += wrong_if(holds != (kind == "inclusion-accepts"), row.find("why")->as_string()->c_str());
  }
  return wrong;
}
void test_vectors(void**) {
  assert_int_equal(wrong_vectors(), 0);
}

std::vector<Digest> some_leaves(std::size_t count) {
  std::vector<Digest> leaves;
  for (std::size_t i = 0; i < count; ++i) leaves.push_back(hallpass::leaf_hash(as_bytes(std::to_string(i))));
  return leaves;
}

// PATH and PROOF of RFC 6962, word for word.
std::vector<Digest> naive_path(const std::vector<Digest>& leaves, std::size_t index, std::size_t low,
                               std::size_t high) {
  if (high - low == 1) return {};
  std::size_t k = 1;
  while (k * 2 < high - low) k *= 2;
  const bool left = index < low + k;
  auto path = left ? naive_path(leaves, index, low, low + k) : naive_path(leaves, index, low + k, high);
  path.push_back(left ? naive_root(leaves, low + k, high) : naive_root(leaves, low, low + k));
  return path;
}
std::vector<Digest> naive_subproof(const std::vector<Digest>& leaves, std::size_t m, std::size_t low, std::size_t high,
                                   bool known) {
  if (m == high) return known ? std::vector<Digest>() : std::vector<Digest>{naive_root(leaves, low, high)};
  std::size_t k = 1;
  while (k * 2 < high - low) k *= 2;
  const bool left = m <= low + k;
  auto path = left ? naive_subproof(leaves, m, low, low + k, known) : naive_subproof(leaves, m, low + k, high, false);
  path.push_back(left ? naive_root(leaves, low + k, high) : naive_root(leaves, low, low + k));
  return path;
}

// How many of the ways to spoil a proof went unnoticed.
template <class Verify>
int unnoticed(const std::vector<Digest>& proof, Verify verify) {
  int wrong = 0;
  for (std::size_t i = 0; i < proof.size(); ++i) {
    std::vector<Digest> changed = proof;
    changed[i].bytes[i % 32] ^= 1;
    wrong += wrong_if(verify(changed), "a changed hash");
  }
  std::vector<Digest> longer = proof, shorter = proof;
  longer.push_back(Digest());
  wrong += wrong_if(verify(longer), "a hash too many");
  if (!shorter.empty()) {
    shorter.pop_back();
    wrong += wrong_if(verify(shorter), "a hash too few");
  }
  return wrong;
}

int wrong_proofs() {
  const std::vector<Digest> leaves = some_leaves(kSizes);
  std::vector<Digest> roots;
  for (std::size_t n = 0; n <= kSizes; ++n) roots.push_back(naive_root(leaves, 0, n));
  int wrong = 0;
  for (std::size_t n = 1; n <= kSizes; ++n) {
    hallpass::testing::Files files;
    hallpass::testing::write_tiles({leaves.begin(), leaves.begin() + static_cast<std::ptrdiff_t>(n)}, files);
    hallpass::TileReader reader(hallpass::testing::reading(files), n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto proof = reader.inclusion_proof(i).value();
      const auto verify = [&](const auto& p) { return hallpass::verify_inclusion(i, n, leaves[i], p, roots[n]); };
      wrong += wrong_if(proof != naive_path(leaves, i, 0, n) || !verify(proof), "an inclusion");
      wrong += wrong_if(hallpass::verify_inclusion(i, n, leaves[(i + 1) % kSizes], proof, roots[n]), "another leaf");
      wrong += wrong_if(hallpass::verify_inclusion(i, n, leaves[i], proof, roots[n - 1]), "another root");
      if (n % 13 == 0) wrong += unnoticed(proof, verify);
    }
    for (std::size_t m = 1; m <= n; ++m) {
      const auto proof = reader.consistency_proof(m).value();
      const auto verify = [&](const auto& p) { return hallpass::verify_consistency(m, n, roots[m], roots[n], p); };
      wrong += wrong_if(proof != naive_subproof(leaves, m, 0, n, true) || !verify(proof), "a consistency");
      wrong += wrong_if(hallpass::verify_consistency(m, n, roots[m - 1], roots[n], proof), "another old root");
      wrong += wrong_if(hallpass::verify_consistency(m, n, roots[m], roots[n - 1], proof), "another new root");
      if (n % 13 == 0) wrong += unnoticed(proof, verify);
    }
    wrong += wrong_if(reader.inclusion_proof(n).has_value() || reader.consistency_proof(0).has_value() ||
                          reader.consistency_proof(n + 1).has_value(),
                      "a proof of what is not there");
  }
  return wrong;
}
void test_proofs(void**) {
  assert_int_equal(wrong_proofs(), 0);
}

int wrong_frontiers() {
  const std::vector<Digest> leaves = some_leaves(700);
  int wrong = 0;
  Frontier frontier;
  for (std::size_t n = 0; n <= leaves.size(); ++n) {
    wrong += wrong_if(frontier.size() != n || frontier.root() != naive_root(leaves, 0, n), "a frontier's root");
    const auto again = Frontier::from(n, frontier.nodes());
    wrong += wrong_if(!again || !(*again == frontier), "a frontier of its nodes");
    if (n < leaves.size()) frontier.add(leaves[n]);
  }
  wrong += wrong_if(Frontier::from(5, {leaves[0]}).has_value(), "too few nodes");
  wrong += wrong_if(Frontier::from(0, {leaves[0]}).has_value(), "too many nodes");
  wrong += wrong_if(Frontier::from(hallpass::kMaxLogSize * 2, {leaves[0]}).has_value(), "too large a log");
  return wrong;
}
void test_frontiers(void**) {
  assert_int_equal(wrong_frontiers(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_proofs),
                              cmocka_unit_test(test_frontiers)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
