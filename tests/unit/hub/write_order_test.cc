// A power cut loses what was not flushed, which killing a process does not show. So here every flush and every name is
// watched as it is made: nothing gets its name before its bytes are flushed, the commit comes after all that it
// promises is flushed with its names, the checkpoint after the commit, and an answer after that.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "tests/unit/cmocka.h"
#include "tests/unit/hub/sequencer_world.h"

namespace {

using namespace hallpass;                // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;           // NOLINT(google-build-using-namespace)
using namespace hallpass::hub::testing;  // NOLINT(google-build-using-namespace)

std::string path_of(int fd) {
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string();
}

// What would be lost now.
class Disk {
 public:
  void flushed(int fd) {
    const std::lock_guard<std::mutex> lock(mutex_);
    struct stat info {};
    must(fstat(fd, &info) == 0);
    ++flushes;
    if (S_ISDIR(info.st_mode)) {
      unflushed_.erase(path_of(fd));
    } else {
      contents_[info.st_ino] = read_text("/proc/self/fd/" + std::to_string(fd));
    }
  }
  void made(int dir) {
    const std::lock_guard<std::mutex> lock(mutex_);
    unflushed_.insert(path_of(dir));
  }
  void renaming(int dir, const std::string& from, const std::string& to) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::string folder = path_of(dir), path = folder + "/" + from;
    struct stat info {};
    must(stat(path.c_str(), &info) == 0);
    const auto known = contents_.find(info.st_ino);
    if (known == contents_.end() || known->second != read_text(path)) complain(to + " gets its name before its bytes");
    contents_.erase(info.st_ino);  // the number may come again
    if (to == "committed" || to == "checkpoint") expect_flushed(to);
    unflushed_.insert(folder);
    ++renames;
  }
  void answered() {
    const std::lock_guard<std::mutex> lock(mutex_);
    expect_flushed("the answer");
  }
  int wrong() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::string& fault : faults_) print_error("%s\n", fault.c_str());
    return static_cast<int>(faults_.size());
  }
  int flushes = 0, renames = 0;

 private:
  void complain(const std::string& fault) { faults_.insert(fault); }
  void expect_flushed(const std::string& what) {
    for (const std::string& dir : unflushed_) complain(what + " comes before the names in " + dir + " are flushed");
  }
  std::mutex mutex_;
  std::map<ino_t, std::string> contents_;  // as flushed
  std::set<std::string> unflushed_;        // directories with names that are not
  std::set<std::string> faults_;
};
Disk* disk = nullptr;

}  // namespace

// Before libc's.
extern "C" {
int fsync(int fd) {
  if (disk != nullptr) disk->flushed(fd);
  return static_cast<int>(syscall(SYS_fsync, fd));
}
int renameat(int from_dir, const char* from, int to_dir, const char* to) noexcept {
  if (disk != nullptr) disk->renaming(from_dir, from, to);
  return static_cast<int>(syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}
int mkdirat(int dir, const char* name, mode_t mode) noexcept {
  const int made = static_cast<int>(syscall(SYS_mkdirat, dir, name, mode));
  if (disk != nullptr && made == 0) disk->made(dir);
  return made;
}
}

namespace {

int wrong_order() {
  Disk watched;
  disk = &watched;
  int wrong = 0;
  {
    SequencerWorld w;
    for (const std::size_t sizes : {1U, 3U, 252U}) {
      w.start();  // anew each time: what an earlier process left is not known to be flushed
      const auto check = [&](const Result<std::uint64_t>& first) {
        watched.answered();
        w.answers.put(first);
      };
      const std::vector<std::vector<std::string>> batches{some_entries(sizes), {"one"}, some_entries(300), {"more"}};
      for (const auto& batch : batches) {
        w.log->append(batch, check);
        wrong += wrong_if(!w.answers.take(), "taken");
      }
      const PolicyFiles policy = policy_files(static_cast<std::int64_t>(sizes));
      w.log->append_policy(policy.toml, policy.sig, check);
      wrong += wrong_if(!w.answers.take(), "the policy");
      w.log.reset();
    }
  }
  disk = nullptr;
  wrong += wrong_if(watched.renames < 60 || watched.flushes < 100, "it was watched");
  return wrong + watched.wrong();
}

void test_order(void**) {
  assert_int_equal(wrong_order(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_order)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
