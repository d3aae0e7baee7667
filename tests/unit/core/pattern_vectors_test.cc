// Every row of tests/vectors/argpat/examples.json, its fixture made as real files, and the <path:...> rows walked with
// openat2.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "core/json.h"
#include "core/values/pattern.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::Json;

constexpr std::string_view kVectorRoot = "/run/argpat-fixture";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_at(int directory, const std::string& path, std::uint64_t flags, std::uint64_t resolve) {
  open_how how = {};
  how.flags = flags | O_PATH | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how));
}

// What docs/formats.md demands of a <path:...> argument. Whoever runs the tests stands in for root.
class Walk : public hallpass::PathCheck {
 public:
  bool allows(std::string_view prefix, std::string_view tail) const override {
    Descriptor at(open_at(AT_FDCWD, std::string(prefix), O_DIRECTORY, 0));
    while (at.get() >= 0) {
      struct stat status = {};
      if (fstat(at.get(), &status) != 0) return false;
      if ((status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & 0022) != 0) return false;
      const std::size_t slash = tail.find('/');
      const bool last = slash == std::string_view::npos;
      at = Descriptor(open_at(at.get(), std::string(tail.substr(0, slash)), last ? 0 : O_DIRECTORY, RESOLVE_BENEATH));
      if (last)
        return at.get() >= 0 && fstat(at.get(), &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
      tail.remove_prefix(slash + 1);
    }
    return false;
  }
};

// The vectors' tree in a directory of our own, so that the test needs neither root nor /run.
class Fixture {
 public:
  Fixture() : root_(std::filesystem::temp_directory_path() / "hallpass-argpat-XXXXXX") {
    if (mkdtemp(root_.data()) == nullptr) std::abort();
    namespace fs = std::filesystem;
    fs::create_directories(root_ + "/data/sub");
    fs::create_directories(root_ + "/data/w");
    for (const char* file : {"/data/a", "/data/sub/b", "/data/w/c", "/secret"}) std::ofstream(root_ + file).put('x');
    fs::create_symlink("../secret", root_ + "/data/l");
    fs::create_symlink("sub", root_ + "/data/ld");
    for (const char* directory : {"", "/data", "/data/sub"}) fs::permissions(root_ + directory, fs::perms(0755));
    fs::permissions(root_ + "/data/w", fs::perms(0777));
  }
  ~Fixture() { std::filesystem::remove_all(root_); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  // A vector's word with the vectors' root replaced by ours.
  std::string here(std::string word) const {
    const std::size_t at = word.find(kVectorRoot);
    return at == std::string::npos ? word : word.replace(at, kVectorRoot.size(), root_);
  }

 private:
  std::string root_;
};

std::vector<std::string> words(const Json* list, const Fixture& fixture) {
  std::vector<std::string> out;
  for (const Json& word : *list->as_array()) out.push_back(fixture.here(*word.as_string()));
  return out;
}

struct Counts {
  int matches = 0;
  int refused = 0;
  int parse_errors = 0;
  int wrong = 0;
};

Counts run_examples() {
  const Fixture fixture;
  const auto json = hallpass::parse_json(read_vector("argpat/examples.json"));
  Counts counts;
  if (!json) return counts;
  for (const Json& row : *json.value().find("examples")->as_array()) {
    const std::vector<std::string> tokens = words(row.find("tokens"), fixture);
    const std::string name = hallpass::to_json(*row.find("tokens"));
    const auto pattern = hallpass::parse_arguments(tokens);
    if (row.find("parse_error") != nullptr) {
      ++counts.parse_errors;
      counts.wrong += wrong_if(pattern.has_value(), name.c_str());
      continue;
    }
    const std::vector<std::string> arguments = words(row.find("argv"), fixture);
    const std::vector<std::string_view> views(arguments.begin(), arguments.end());
    const bool expected = *row.find("expect")->as_bool();
    ++(expected ? counts.matches : counts.refused);
    counts.wrong +=
        wrong_if(!pattern || hallpass::match_arguments(pattern.value(), views, Walk()) != expected, name.c_str());
  }
  return counts;
}

void test_examples(void**) {
  const Counts counts = run_examples();
  assert_int_equal(counts.wrong, 0);
  assert_int_equal(counts.matches + counts.refused, 44);
  assert_int_equal(counts.parse_errors, 20);
  assert_true(counts.matches > 10);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_examples)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
