// A log in memory for tests: its hashes are computed by the definition in RFC 6962 and not by core/log's frontier, its
// files are a map that a test may damage.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/log/checkpoint.h"
#include "core/log/epoch.h"
#include "core/log/follower.h"
#include "core/log/merkle.h"
#include "core/log/note.h"
#include "core/log/tile_reader.h"
#include "core/log/tiles.h"

namespace hallpass::testing {

inline constexpr char kOrigin[] = "log.example.org/approvals";  // its keys are those of tests/vectors/tlog/log300.json
inline constexpr long long kNow = 1760000000;

inline NoteSigner vector_signer(const std::string& seed, std::string_view name, NoteKeyType type) {
  return NoteSigner::from_seed(name, type, sha256("test-vector:" + seed).bytes);
}

// MTH of leaves [low, high).
inline Digest naive_root(const std::vector<Digest>& leaves, std::size_t low, std::size_t high) {
  if (low == high) return sha256(std::string_view());
  if (high - low == 1) return leaves[low];
  std::size_t k = 1;
  while (k * 2 < high - low) k *= 2;
  return node_hash(naive_root(leaves, low, low + k), naive_root(leaves, low + k, high));
}

using Files = std::map<std::string, std::string>;

// Keeps no limit: the reader must see to that by itself.
inline LogFiles reading(const Files& files) {
  return [&files](const std::string& path, std::size_t) -> Result<std::string> {
    const auto file = files.find(path);
    if (file == files.end()) return Error{Errc::not_found, path + " is not there"};
    return file->second;
  };
}

// The tile files of a log with these leaves, all levels.
inline void write_tiles(const std::vector<Digest>& leaves, Files& files) {
  std::vector<Digest> row = leaves;
  for (unsigned level = 0; !row.empty(); ++level) {
    std::vector<Digest> above;
    for (std::size_t low = 0; low < row.size(); low += 256) {
      const std::size_t high = std::min(low + 256, row.size());
      const std::vector<Digest> part(row.begin() + static_cast<std::ptrdiff_t>(low),
                                     row.begin() + static_cast<std::ptrdiff_t>(high));
      files[tile_path(level, low / 256, high - low)] = encode_tile(part);
      if (part.size() == 256) above.push_back(naive_root(part, 0, 256));
    }
    row = std::move(above);
  }
}

class TestLog {
 public:
  explicit TestLog(std::string seed = "log") : signer(vector_signer(seed, kOrigin, NoteKeyType::ed25519)) {}

  void add(const std::string& entry) {
    entries.push_back(entry);
    leaves.push_back(leaf_hash(as_bytes(entry)));
  }
  void add_some(std::size_t count, const std::string& what = "entry ") {
    for (std::size_t i = 0; i < count; ++i) add(what + std::to_string(entries.size()));
  }
  void add_epoch(std::uint64_t live_from, std::uint64_t policy, long long at, const std::string& fleet = "acme") {
    add(format_epoch(Epoch{fleet, kOrigin, live_from, policy, from_unix(at)}, signer));
  }
  Digest root() const { return naive_root(leaves, 0, leaves.size()); }

  // Writes all files of the log as it is now, beside those of earlier sizes, and returns the signed head.
  std::string publish(long long at = kNow) {
    write_tiles(leaves, files);
    for (std::size_t low = 0; low < entries.size(); low += 256) {
      const std::size_t high = std::min(low + 256, entries.size());
      files[bundle_path(low / 256, high - low)] = encode_bundle(
          {entries.begin() + static_cast<std::ptrdiff_t>(low), entries.begin() + static_cast<std::ptrdiff_t>(high)});
    }
    return note_of({kOrigin, entries.size(), root()}, at);
  }
  std::string note_of(const Checkpoint& checkpoint, long long at = kNow) const {
    const std::string text = format_checkpoint(checkpoint);
    return text + "\n" + signer.sign_line(text) + witness.sign_line(text, from_unix(at));
  }
  LogTrust trust() const {
    LogTrust trust;
    trust.log = signer.verifier();
    trust.witnesses = {witness.verifier()};
    return trust;
  }

  NoteSigner signer;
  NoteSigner witness = vector_signer("w1", "w1.example.org", NoteKeyType::cosignature);
  std::vector<std::string> entries;
  std::vector<Digest> leaves;
  Files files;
};

}  // namespace hallpass::testing
