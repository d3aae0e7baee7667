#include "hub/right_edge.h"

#include <filesystem>

#include "tests/unit/cmocka.h"
#include "tests/unit/hub/log_world.h"
#include "tests/unit/vectors.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

using Files = std::map<std::string, std::string>;

LogFiles reader_of(const Files& files) {
  return [&files](const std::string& path, std::size_t) -> Result<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return Error{Errc::not_found, path};
    return found->second;
  };
}

// Adds, and keeps what was made; no path twice.
int add(RightEdge& edge, Files& files, const std::vector<std::string>& entries) {
  int wrong = 0;
  for (RightEdge::File& file : edge.add(entries)) {
    wrong += wrong_if(files.count(file.path) != 0, ("made twice: " + file.path).c_str());
    files[file.path] = std::move(file.content);
  }
  return wrong;
}

std::vector<std::string> vector_entries() {
  const std::string root = HALLPASS_VECTORS "/tlog/log300/tile/entries/";
  std::vector<std::string> entries;
  for (const auto& [file, count] : {std::pair<const char*, std::size_t>{"000", 256}, {"001.p/44", 44}}) {
    const std::string bundle = read_whole_file(root + file);
    for (const std::string_view entry : must(decode_bundle(bundle, count))) entries.emplace_back(entry);
  }
  return entries;
}

// The published log of 300 entries, in one step and in many.
int wrong_vector() {
  const std::vector<std::string> entries = vector_entries();
  RightEdge at_once;
  Files files;
  int wrong = add(at_once, files, entries);
  wrong += wrong_if(files.size() != 5, "five files");
  for (const auto& [path, content] : files) {
    wrong += wrong_if(content != read_whole_file(HALLPASS_VECTORS "/tlog/log300/" + path), path.c_str());
  }
  RightEdge by_steps;
  Files more;
  for (std::size_t i = 0; i < entries.size(); i += 7) {
    const auto begin = entries.begin() + static_cast<std::ptrdiff_t>(i);
    wrong += add(by_steps, more, {begin, begin + static_cast<std::ptrdiff_t>(std::min<std::size_t>(7, 300 - i))});
  }
  for (const auto& [path, content] : files) wrong += wrong_if(more[path] != content, "by steps");
  return wrong + wrong_if(by_steps.frontier() != at_once.frontier(), "the same tree");
}

// Steps across every boundary that there is below 66000 entries; loaded again after each.
int wrong_steps() {
  RightEdge edge;
  Files files;
  int wrong = 0;
  std::uint64_t size = 0;
  for (const std::size_t step : {1U, 255U, 1U, 254U, 1U, 1U, 511U, 65536U - 1024U, 1U, 255U, 256U, 1U}) {
    wrong += add(edge, files, some_entries(step, std::to_string(size)));
    size += step;
    TileReader reader(reader_of(files), size);
    Result<RightEdge> loaded = RightEdge::load(reader, size);
    wrong += wrong_if(!loaded || loaded->frontier() != edge.frontier(), "loads");
    if (!loaded) return wrong + 1;
    Files of_one, of_other;
    RightEdge copy = edge;
    wrong += add(copy, of_one, {"next", "and next"}) + add(*loaded, of_other, {"next", "and next"});
    wrong += wrong_if(of_one != of_other, "and goes on as if it had never stopped");
  }
  wrong += wrong_if(files.count("tile/1/000") != 1 || files.count("tile/2/000.p/1") != 1, "three levels");
  return wrong + wrong_if(!edge.add({}).empty(), "nothing makes nothing");
}

int wrong_filled() {
  RightEdge edge;
  edge.add(some_entries(600));
  const auto filled = edge.take_filled();
  return wrong_if(filled.size() != 2 || filled[1].level != 0 || filled[1].index != 1, "two tiles") +
         wrong_if(!edge.take_filled().empty(), "once");
}

// What is damaged is named.
int wrong_damage() {
  RightEdge edge;
  Files files;
  int wrong = add(edge, files, some_entries(300));
  const auto message = [&](const std::string& path, bool remove) {
    Files damaged = files;
    if (remove) damaged.erase(path);
    if (!remove) damaged[path][40] = static_cast<char>(damaged[path][40] ^ 1);
    TileReader reader(reader_of(damaged), 300);
    const Result<RightEdge> loaded = RightEdge::load(reader, 300);
    return loaded ? std::string() : loaded.error().message;
  };
  const auto names = [](const std::string& text, const char* what) { return text.find(what) != std::string::npos; };
  wrong += wrong_if(!names(message("tile/entries/001.p/44", true), "tile/entries/001.p/44"), "no bundle");
  wrong += wrong_if(!names(message("tile/0/001.p/44", true), "tile/0/001.p/44"), "no tile");
  wrong += wrong_if(!names(message("tile/entries/001.p/44", false), "entry 259"), "another entry");
  return wrong + wrong_if(!names(message("tile/0/001.p/44", false), "entry 257"), "another hash");
}

#define TEST(name, function)         \
  void name(void**) {                \
    assert_int_equal(function(), 0); \
  }
TEST(test_vector, wrong_vector)
TEST(test_steps, wrong_steps)
TEST(test_filled, wrong_filled)
TEST(test_damage, wrong_damage)

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_vector), cmocka_unit_test(test_steps),
                              cmocka_unit_test(test_filled), cmocka_unit_test(test_damage)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
