#include "hub/durable.h"

#include <sys/stat.h>

#include <filesystem>

#include "tests/unit/cmocka.h"
#include "tests/unit/hub/log_world.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

int wrong_put() {
  const TempDir dir;
  DurableTree tree = must(DurableTree::open(dir.path()));
  const mode_t before = umask(077);
  must(tree.put("a/b/one", "1", 0444));
  must(tree.put("a/b/two", "2", 0644));
  must(tree.put("three", "3", 0600));
  umask(before);
  int wrong = wrong_if(tree.fsyncs() != 3, "each file is flushed");
  must(tree.sync());
  wrong += wrong_if(tree.fsyncs() != 6, "each directory once: the root, a, b");
  must(tree.put_now("a/b/one", "new", 0444));
  wrong += wrong_if(tree.fsyncs() != 8, "known directories are not flushed again");
  wrong += wrong_if(read_text(dir.path() + "/a/b/one") != "new", "replaced, though read-only");
  wrong += wrong_if(mode_of(dir.path() + "/a/b") != 0755 || mode_of(dir.path() + "/a/b/two") != 0644 ||
                        mode_of(dir.path() + "/three") != 0600,
                    "modes, whatever the umask");
  const std::map<std::string, std::string> all{{"a/b/one", "new"}, {"a/b/two", "2"}, {"three", "3"}};
  return wrong + wrong_if(tree_of(dir.path()) != all, "no temporaries");
}

// An earlier process was killed: its directories may never have been flushed, its temporary is in the way.
int wrong_leftovers() {
  const TempDir dir;
  must(mkdir((dir.path() + "/a").c_str(), 0755) == 0);
  write_text(dir.path() + "/a/.one.new", "half");
  must(chmod((dir.path() + "/a/.one.new").c_str(), 0444) == 0);
  DurableTree tree = must(DurableTree::open(dir.path()));
  must(tree.put_now("a/one", "whole", 0444));
  const std::map<std::string, std::string> all{{"a/one", "whole"}};
  return wrong_if(tree_of(dir.path()) != all, "replaced") +
         wrong_if(tree.fsyncs() != 3, "the parent of a directory that was there is flushed too");
}

int wrong_errors() {
  const TempDir dir;
  write_text(dir.path() + "/file", "x");
  must(symlink("/tmp", (dir.path() + "/link").c_str()) == 0);
  int wrong = 0;
  for (const char* name : {"file/below", "link/below"}) {
    DurableTree tree = must(DurableTree::open(dir.path()));
    const Status failed = tree.put(name, "y", 0644);
    wrong += wrong_if(failed || failed.error().message.find(dir.path()) == std::string::npos, "named");
    wrong += wrong_if(tree.put("good", "y", 0644).has_value() || tree.sync().has_value(), "the first error is final");
  }
  wrong += wrong_if(DurableTree::open(dir.path() + "/none").has_value(), "no directory");
  return wrong + wrong_if(std::filesystem::exists(dir.path() + "/good"), "nothing is written after it");
}

int wrong_discard() {
  const TempDir dir;
  DurableTree tree = must(DurableTree::open(dir.path()));
  must(tree.put_now("a.p/1", "x", 0444));
  must(tree.put_now("b", "x", 0444));
  tree.discard("a.p");
  tree.discard("none.p");
  tree.discard("b");
  const std::map<std::string, std::string> left{{"b", "x"}};
  int wrong = wrong_if(tree_of(dir.path()) != left || std::filesystem::exists(dir.path() + "/a.p"), "only that one");
  const std::uint64_t before = tree.fsyncs();
  must(tree.put_now("a.p/2", "y", 0444));
  return wrong + wrong_if(tree.fsyncs() != before + 3, "a directory made again is flushed again");
}

int wrong_directories() {
  const TempDir dir;
  const std::string path = dir.path() + "/x/y/z";
  must(make_directory_durably(path, 0700));
  must(make_directory_durably(path, 0755));
  write_text(dir.path() + "/file", "");
  return wrong_if(mode_of(path) != 0700 || mode_of(dir.path() + "/x") != 0755, "modes") +
         wrong_if(make_directory_durably(dir.path() + "/file/below", 0755).has_value(), "not below a file");
}

#define TEST(name, function)         \
  void name(void**) {                \
    assert_int_equal(function(), 0); \
  }
TEST(test_put, wrong_put)
TEST(test_leftovers, wrong_leftovers)
TEST(test_errors, wrong_errors)
TEST(test_discard, wrong_discard)
TEST(test_directories, wrong_directories)

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_put), cmocka_unit_test(test_leftovers),
                              cmocka_unit_test(test_errors), cmocka_unit_test(test_discard),
                              cmocka_unit_test(test_directories)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
