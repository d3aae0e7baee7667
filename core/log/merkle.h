// Merkle trees of RFC 6962 / 9162 over SHA-256: hashing, the right edge of a growing tree, and proofs.
// docs/formats.md, "Merkle tree".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/values/bytes.h"
#include "core/values/digest.h"

namespace hallpass {

inline constexpr std::uint64_t kMaxLogSize = std::uint64_t{1} << 48;  // entries; more is refused as malformed

Digest empty_root();                                        // SHA-256 of nothing
Digest leaf_hash(ByteView entry);                           // SHA-256(00 || entry)
Digest node_hash(const Digest& left, const Digest& right);  // SHA-256(01 || left || right)

// The roots of the complete subtrees that a tree of `size` leaves consists of, largest first: all that is needed to
// append. A value; adding a leaf costs one hash on average.
class Frontier {
 public:
  Frontier() = default;  // of the empty tree
  // nullopt: not one hash for each bit set in `size`, or over kMaxLogSize.
  static std::optional<Frontier> from(std::uint64_t size, std::vector<Digest> nodes);

  void add(const Digest& leaf);
  std::uint64_t size() const { return size_; }
  const std::vector<Digest>& nodes() const { return nodes_; }
  Digest root() const;  // of the empty tree: empty_root()
  bool operator==(const Frontier&) const = default;

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> nodes_;
};

// RFC 9162 2.1.3.2. Recompute `leaf` from the entry; a leaf hash that somebody else supplies proves nothing.
bool verify_inclusion(std::uint64_t index, std::uint64_t size, const Digest& leaf, std::span<const Digest> proof,
                      const Digest& root);
// RFC 9162 2.1.4.2, for 0 < old_size <= size; old_size 0 is refused: the caller's question, not a proof's.
bool verify_consistency(std::uint64_t old_size, std::uint64_t size, const Digest& old_root, const Digest& root,
                        std::span<const Digest> proof);

}  // namespace hallpass
