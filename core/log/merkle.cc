#include "core/log/merkle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "core/digester.h"
#include "core/hash.h"

namespace hallpass {
namespace {

constexpr std::uint8_t kLeafPrefix = 0, kNodePrefix = 1;

}  // namespace

Digest empty_root() {
  return sha256(ByteView());
}

Digest leaf_hash(ByteView entry) {
  Bytes message;
  message.reserve(entry.size() + 1);
  message.push_back(kLeafPrefix);
  message.insert(message.end(), entry.begin(), entry.end());
  return sha256(message);
}

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 1 + 2 * kSha256Bytes> message;
  message[0] = kNodePrefix;
  std::copy(left.bytes.begin(), left.bytes.end(), message.begin() + 1);
  std::copy(right.bytes.begin(), right.bytes.end(), message.begin() + 1 + kSha256Bytes);
  return sha256(message);
}

std::optional<Frontier> Frontier::from(std::uint64_t size, std::vector<Digest> nodes) {
  if (size > kMaxLogSize || nodes.size() != static_cast<std::size_t>(std::popcount(size))) return std::nullopt;
  Frontier frontier;
  frontier.size_ = size;
  frontier.nodes_ = std::move(nodes);
  return frontier;
}

void Frontier::add(const Digest& leaf) {
  if (size_ >= kMaxLogSize) std::abort();
  Digest node = leaf;
  for (std::uint64_t rest = size_; (rest & 1) != 0; rest >>= 1) {
    node = node_hash(nodes_.back(), node);
    nodes_.pop_back();
  }
  nodes_.push_back(node);
  ++size_;
}

Digest Frontier::root() const {
  if (nodes_.empty()) return empty_root();
  Digest root = nodes_.back();
  for (std::size_t i = nodes_.size() - 1; i > 0; --i) root = node_hash(nodes_[i - 1], root);
  return root;
}

bool verify_inclusion(std::uint64_t index, std::uint64_t size, const Digest& leaf, std::span<const Digest> proof,
                      const Digest& root) {
  if (index >= size) return false;
  std::uint64_t fn = index, sn = size - 1;
  Digest r = leaf;
  for (const Digest& p : proof) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      r = node_hash(p, r);
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      r = node_hash(r, p);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && r == root;
}

bool verify_consistency(std::uint64_t old_size, std::uint64_t size, const Digest& old_root, const Digest& root,
                        std::span<const Digest> proof) {
  if (old_size == 0 || old_size > size) return false;
  if (old_size == size) return proof.empty() && old_root == root;
  if (proof.empty()) return false;
  std::uint64_t fn = old_size - 1, sn = size - 1;
  while ((fn & 1) != 0) {
    fn >>= 1;
    sn >>= 1;
  }
  // A complete old tree is itself the first node of the path, and left out of the proof.
  const bool complete = std::has_single_bit(old_size);
  Digest fr = complete ? old_root : proof.front();
  Digest sr = fr;
  for (const Digest& c : proof.subspan(complete ? 0 : 1)) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      fr = node_hash(c, fr);
      sr = node_hash(c, sr);
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      sr = node_hash(sr, c);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return fr == old_root && sr == root && sn == 0;
}

}  // namespace hallpass
