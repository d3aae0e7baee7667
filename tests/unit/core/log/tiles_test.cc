#include "core/log/tiles.h"

#include <fstream>

#include "core/log/tile_reader.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/log/log_fixture.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::Digest;
using hallpass::Errc;
using hallpass::TileName;
using hallpass::TileReader;
using hallpass::testing::Files;
using hallpass::testing::reading;
using hallpass::testing::TestLog;

struct NameCase {
  const char* path;
  bool entries;
  unsigned level;
  std::uint64_t index, width;
};
constexpr NameCase kNames[] = {
    {"tile/0/000", false, 0, 0, 256},
    {"tile/0/001.p/44", false, 0, 1, 44},
    {"tile/1/999", false, 1, 999, 256},
    {"tile/63/x001/000.p/255", false, 63, 1000, 255},
    {"tile/entries/x001/x234/067", true, 0, 1234067, 256},
    {"tile/entries/273.p/1", true, 0, 273, 1},
    {"tile/0/x018/x446/x744/x073/x709/x551/615", false, 0, 18446744073709551615u, 256},
};
constexpr const char* kBadNames[] = {
    "",
    "tile",
    "tile/",
    "tile/0",
    "tile/0/",
    "tile/0/1",
    "tile/0/0001",
    "tile/0/x000/001",
    "tile/0/x001",
    "tile/0/001/002",
    "tile/0/x1/002",
    "tile/0/x001/x002",
    "tile/00/001",
    "tile/64/000",
    "tile/-1/000",
    "tile/+1/000",
    "tile/0/-01",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/044",
    "tile/0/000.p/",
    "tile/0/000.p/44/",
    "tile/0/000.p/4.p/4",
    "tile/0/000/",
    "tile/0/../000",
    "tile/entries/",
    "tile/entries/000.p",
    "Tile/0/000",
    "/tile/0/000",
    "tile/0/x018/x446/x744/x073/x709/x551/616",
    "tile/0/x118/x446/x744/x073/x709/x551/615",
};

int wrong_names() {
  int wrong = 0;
  for (const NameCase& c : kNames) {
    const auto name = hallpass::parse_tile_path(c.path);
    const std::string path =
        c.entries ? hallpass::bundle_path(c.index, c.width) : hallpass::tile_path(c.level, c.index, c.width);
    wrong += wrong_if(path != c.path, c.path);
    wrong += wrong_if(!name || name->entries != c.entries || name->level != c.level || name->index != c.index ||
                          name->width != c.width,
                      c.path);
  }
  for (const char* path : kBadNames) wrong += wrong_if(hallpass::parse_tile_path(path).has_value(), path);
  return wrong;
}
void test_names(void**) {
  assert_int_equal(wrong_names(), 0);
}

int wrong_widths() {
  using hallpass::tile_width;
  int wrong = 0;
  wrong += wrong_if(tile_width(0, 0, 0) != 0, "an empty log has no tile");
  wrong += wrong_if(tile_width(0, 0, 256) != 256 || tile_width(1, 0, 256) != 1 || tile_width(0, 1, 256) != 0, "256");
  wrong += wrong_if(tile_width(1, 0, 255) != 0, "a partial tile is not hashed into the level above");
  wrong += wrong_if(tile_width(0, 272, 70000) != 256 || tile_width(0, 273, 70000) != 112, "70000, level 0");
  wrong += wrong_if(tile_width(1, 0, 70000) != 256 || tile_width(1, 1, 70000) != 17, "70000, level 1");
  wrong += wrong_if(tile_width(2, 0, 70000) != 1 || tile_width(3, 0, 70000) != 0, "70000, level 2 and 3");
  wrong += wrong_if(tile_width(8, 0, UINT64_MAX) != 0 || tile_width(0, UINT64_MAX, UINT64_MAX) != 0, "far out");
  wrong += wrong_if(hallpass::top_level(0) != 0 || hallpass::top_level(255) != 0 || hallpass::top_level(256) != 1 ||
                        hallpass::top_level(70000) != 2,
                    "the top level");
  return wrong;
}
void test_widths(void**) {
  assert_int_equal(wrong_widths(), 0);
}

struct BundleCase {
  const char* name;
  std::string bundle;
  std::size_t count;
  bool good;
};

int wrong_bundles() {
  const std::vector<std::string> three = {"one", "", std::string(65535, 'x')};
  const std::string bundle = hallpass::encode_bundle(three);
  const std::string full = hallpass::encode_bundle(std::vector<std::string>(256, "e"));
  const BundleCase cases[] = {
      {"all three", bundle, 3, true},
      {"the first of three", bundle, 1, true},
      {"none", bundle, 0, true},
      {"one too many asked for", bundle, 4, false},
      {"a byte short", bundle.substr(0, bundle.size() - 1), 3, false},
      {"a byte short behind those that count", bundle.substr(0, bundle.size() - 1), 2, false},
      {"half a length at the end", bundle + '\0', 3, false},
      {"garbage at the end", bundle + "garbage", 3, false},
      {"empty and none asked for", "", 0, true},
      {"empty and one asked for", "", 1, false},
      {"256", full, 256, true},
      {"257", full + hallpass::encode_bundle({"e"}), 256, false},
  };
  int wrong = 0;
  for (const BundleCase& c : cases) {
    const auto entries = hallpass::decode_bundle(c.bundle, c.count);
    wrong += wrong_if(entries.has_value() != c.good || (c.good && entries->size() != c.count), c.name);
  }
  const auto entries = hallpass::decode_bundle(bundle, 3).value();
  wrong += wrong_if(std::vector<std::string>(entries.begin(), entries.end()) != three, "the same entries");
  return wrong;
}
void test_bundles(void**) {
  assert_int_equal(wrong_bundles(), 0);
}

int wrong_tiles() {
  std::vector<Digest> hashes(256);
  for (std::size_t i = 0; i < 256; ++i) hashes[i].bytes.fill(static_cast<std::uint8_t>(i));
  const std::string tile = hallpass::encode_tile(hashes);
  int wrong = wrong_if(hallpass::decode_tile(tile, 256).value() != hashes, "all");
  wrong += wrong_if(hallpass::decode_tile(tile, 44).value().back() != hashes[43], "the first 44");
  wrong += wrong_if(hallpass::decode_tile(tile.substr(1), 44).has_value(), "not a multiple of 32");
  wrong += wrong_if(hallpass::decode_tile(tile.substr(32), 256).has_value(), "too few");
  wrong += wrong_if(hallpass::decode_tile(tile + tile.substr(0, 32), 256).has_value(), "257");
  return wrong;
}
void test_tiles(void**) {
  assert_int_equal(wrong_tiles(), 0);
}

Files vector_files() {
  Files files;
  for (const char* path :
       {"checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"}) {
    files[path] = read_vector(std::string("tlog/log300/") + path);
  }
  return files;
}

std::string hex(const std::vector<Digest>& digests) {
  std::string text;
  for (const Digest& digest : digests) text += "\"" + hallpass::hex_encode(digest.bytes) + "\",";
  return text;
}
std::string without_space(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

int wrong_vector_log() {
  const Files files = vector_files();
  const std::string json = without_space(read_vector("tlog/log300.json"));
  TileReader reader(reading(files), 300);
  int wrong = wrong_if(hallpass::hex_encode(reader.root_at(300).value().bytes) !=
                           "2a7044f97f78970d4280d52b5fc9323697b1d4a7d9be180f0a17ebc3bdb3e1bd",
                       "the root of 300");
  wrong += wrong_if(hallpass::hex_encode(reader.root_at(250).value().bytes) !=
                        "73789e14ebd9b1d4928d53901c941c1d2683318b5336b4e421ab84109714329b",
                    "the root of 250");
  const std::string inclusion = hex(reader.inclusion_proof(299).value());
  const std::string consistency = hex(reader.consistency_proof(250).value());
  wrong += wrong_if(json.find(inclusion.substr(0, inclusion.size() - 1)) == std::string::npos, "inclusion of 299");
  wrong += wrong_if(json.find(consistency.substr(0, consistency.size() - 1)) == std::string::npos, "250 to 300");
  const auto bundle = reader.bundle(1).value();
  const auto entries = hallpass::decode_bundle(bundle.bytes, bundle.count).value();
  wrong += wrong_if(bundle.count != 44 || bundle.path != "tile/entries/001.p/44", "the bundle");
  wrong += wrong_if(entries[43] != R"({"seq":299,"event":"approve"})", "the last entry");
  const std::vector<std::string> copies(entries.begin(), entries.end());
  wrong += wrong_if(hallpass::encode_bundle(copies) != bundle.bytes, "the bundle's encoding");
  return wrong;
}
void test_vector_log(void**) {
  assert_int_equal(wrong_vector_log(), 0);
}

// A log that has grown past three levels: frontiers wherever, and the tile of then where only that of now is left.
int wrong_reader() {
  TestLog log;
  for (std::size_t i = 0; i < 66100; ++i)
    log.leaves.push_back(hallpass::leaf_hash(hallpass::as_bytes(std::to_string(i))));
  hallpass::testing::write_tiles(log.leaves, log.files);
  int wrong = 0;
  hallpass::Frontier frontier;
  TileReader reader(reading(log.files), 66100);
  for (std::size_t n = 0; n <= 66100; ++n) {
    const bool looked_at = n < 600 || n % 997 == 0 || n > 65530;
    if (looked_at) wrong += wrong_if(!(reader.frontier_at(n).value() == frontier), std::to_string(n).c_str());
    if (n < 66100) frontier.add(log.leaves[n]);
  }
  TileReader older(reading(log.files), 65000);
  const auto tile = older.tile(0, 65000 / 256);
  wrong += wrong_if(!tile || tile->size() != 65000 % 256, "the full tile instead of the partial one");
  wrong +=
      wrong_if(older.root_at(65000).value() != hallpass::testing::naive_root(log.leaves, 0, 65000), "an older root");
  wrong +=
      wrong_if(older.frontier_at(65001).has_value() || older.tile(0, 254).has_value() || older.tile(9, 0).has_value(),
               "beyond the log");
  return wrong;
}
void test_reader(void**) {
  assert_int_equal(wrong_reader(), 0);
}

struct FileCase {
  const char* name;
  const char* path;
  std::string bytes;
  Errc expected;
};

int wrong_files() {
  const Files good = vector_files();
  const std::string tile = good.at("tile/0/001.p/44"), bundle = good.at("tile/entries/001.p/44");
  const FileCase cases[] = {
      {"a tile with a hash too many", "tile/0/001.p/44", tile + tile.substr(0, 32), Errc::malformed},
      {"a tile with a hash too few", "tile/0/001.p/44", tile.substr(32), Errc::malformed},
      {"a tile with a byte too many", "tile/0/001.p/44", tile + "x", Errc::malformed},
      {"a tile over all limits", "tile/0/001.p/44", std::string(9000, 'x'), Errc::too_large},
      {"a bundle with an entry too many", "tile/entries/001.p/44", bundle + hallpass::encode_bundle({"x"}),
       Errc::malformed},
      {"a bundle with a byte too many", "tile/entries/001.p/44", bundle + "x", Errc::malformed},
      {"a bundle cut off", "tile/entries/001.p/44", bundle.substr(0, bundle.size() - 1), Errc::malformed},
  };
  int wrong = 0;
  for (const FileCase& c : cases) {
    Files files = good;
    files[c.path] = c.bytes;
    TileReader reader(reading(files), 300);
    const bool entries = std::string_view(c.path).find("entries") != std::string_view::npos;
    const auto error = entries ? reader.bundle(1) : hallpass::Result<TileReader::Bundle>(hallpass::Error{});
    const auto tile_error = entries ? hallpass::Result<std::vector<Digest>>(hallpass::Error{}) : reader.tile(0, 1);
    if (error.has_value() || tile_error.has_value()) {
      wrong += wrong_if(true, c.name);
      continue;
    }
    const hallpass::Error& found = entries ? error.error() : tile_error.error();
    wrong += wrong_if(found.code != c.expected || found.message.find(c.path) == std::string::npos, c.name);
  }
  Files files = good;
  files.erase("tile/0/001.p/44");
  const auto missing = TileReader(reading(files), 300).tile(0, 1);
  wrong += wrong_if(missing || missing.error().message != "tile/0/001.p/44 is not there, nor is tile/0/001", "missing");
  return wrong;
}
void test_files(void**) {
  assert_int_equal(wrong_files(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_names),      cmocka_unit_test(test_widths),
                              cmocka_unit_test(test_bundles),    cmocka_unit_test(test_tiles),
                              cmocka_unit_test(test_vector_log), cmocka_unit_test(test_reader),
                              cmocka_unit_test(test_files)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
