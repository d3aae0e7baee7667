// A log and its mirror for the agent's tests, written with core/log's own encoders.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log/epoch.h"
#include "core/log/merkle.h"
#include "core/log/tiles.h"
#include "tests/unit/agent/fixture.h"

namespace hallpass::testing {

struct TestLog {
  std::string key_seed = "key", witness_seed = "witness";
  NoteSigner key() const { return NoteSigner::from_seed("acme.log", NoteKeyType::ed25519, sha256(key_seed).bytes); }
  NoteSigner witness() const {
    return NoteSigner::from_seed("acme.witness", NoteKeyType::cosignature, sha256(witness_seed).bytes);
  }
  std::vector<std::string> entries;

  LogTrust trust() const {
    LogTrust t;
    t.log = key().verifier();
    t.witnesses = {witness().verifier()};
    return t;
  }
  std::uint64_t add(std::string entry) {
    while (!entry.empty() && entry.back() == '\n') entry.pop_back();
    entries.push_back(std::move(entry));
    return entries.size() - 1;
  }
  std::uint64_t add_epoch(std::uint64_t live_from, long long at) {
    return add(format_epoch({"acme", key().verifier().name, live_from, 0, from_unix(at)}, key()));
  }
  Digest root() const {
    Frontier f;
    for (const std::string& e : entries) f.add(leaf_hash(as_bytes(e)));
    return f.root();
  }
  std::string checkpoint(long long at) const {
    const std::string text = format_checkpoint({key().verifier().name, entries.size(), root()});
    return text + "\n" + key().sign_line(text) + witness().sign_line(text, from_unix(at));
  }
  static void put(const std::string& path, std::string_view content) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_text(path, content);
  }
  // All files of the log as it is, the checkpoint last.
  void write(const std::string& dir, long long at) const {
    std::vector<Digest> row;
    for (const std::string& e : entries) row.push_back(leaf_hash(as_bytes(e)));
    for (std::uint64_t n = 0; n * kTileWidth < entries.size(); ++n) {
      const auto first = entries.begin() + static_cast<std::ptrdiff_t>(n * kTileWidth);
      const auto width = tile_width(0, n, entries.size());
      put(dir + "/" + bundle_path(n, width),
          encode_bundle(std::vector<std::string>(first, first + static_cast<std::ptrdiff_t>(width))));
    }
    for (unsigned level = 0; !row.empty(); ++level) {
      std::vector<Digest> above;
      for (std::size_t n = 0; n * kTileWidth < row.size(); ++n) {
        const auto first = row.begin() + static_cast<std::ptrdiff_t>(n * kTileWidth);
        const auto width = std::min<std::size_t>(kTileWidth, row.size() - n * kTileWidth);
        const std::vector<Digest> hashes(first, first + static_cast<std::ptrdiff_t>(width));
        put(dir + "/" + tile_path(level, n, width), encode_tile(hashes));
        if (width < kTileWidth) continue;
        Frontier f;
        for (const Digest& h : hashes) f.add(h);
        above.push_back(f.root());
      }
      row = above;
    }
    put(dir + "/checkpoint", checkpoint(at));
  }
};

}  // namespace hallpass::testing
