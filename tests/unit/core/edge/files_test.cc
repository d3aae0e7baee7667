#include "core/edge/files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "hallpass-files-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string at(const std::string& name) const { return path_ + "/" + name; }
  std::size_t entries() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), {})); }

 private:
  std::string path_;
};

void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string got(const Result<std::string>& r) {
  return r ? *r : "error " + std::to_string(static_cast<int>(r.error().code));
}
std::string error_of(Errc code) {
  return "error " + std::to_string(static_cast<int>(code));
}

int wrong_reads() {
  const Folder dir;
  put(dir.at("empty"), "");
  put(dir.at("ten"), "0123456789");
  put(dir.at("big"), std::string(100000, 'x'));
  fs::create_symlink("ten", dir.at("link"));
  fs::create_symlink("none", dir.at("dangling"));
  fs::create_directory(dir.at("dir"));
  if (mkfifo(dir.at("fifo").c_str(), 0600) != 0) std::abort();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, dir.at("socket").c_str(), sizeof address.sun_path - 1);
  const int s = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();

  const auto read = [&](const char* name, std::size_t limit = 100, bool follow = false) {
    return got(read_file(AT_FDCWD, dir.at(name), limit, follow));
  };
  int wrong = 0;
  wrong += wrong_if(read("empty") != "", "empty");
  wrong += wrong_if(read("empty", 0) != "", "empty at a limit of nothing");
  wrong += wrong_if(read("ten", 10) != "0123456789", "exactly the limit");
  wrong += wrong_if(read("ten", 9) != error_of(Errc::too_large), "one over the limit");
  wrong += wrong_if(read("big", 100000) != std::string(100000, 'x'), "longer than one read");
  wrong += wrong_if(read("link") != error_of(Errc::malformed), "a link");
  wrong += wrong_if(read("link", 100, true) != "0123456789", "a link, followed");
  wrong += wrong_if(read("dangling") != error_of(Errc::malformed), "a dangling link");
  wrong += wrong_if(read("dangling", 100, true) != error_of(Errc::not_found), "a dangling link, followed");
  wrong += wrong_if(read("dir") != error_of(Errc::malformed), "a directory");
  wrong += wrong_if(read("fifo") != error_of(Errc::malformed), "a FIFO without a writer is not waited on");
  wrong += wrong_if(read("fifo", 100, true) != error_of(Errc::malformed), "a FIFO, following");
  wrong += wrong_if(read("socket") != error_of(Errc::malformed), "a socket");
  wrong += wrong_if(read("none") != error_of(Errc::not_found), "nothing there");
  wrong += wrong_if(read("ten/x") != error_of(Errc::unavailable), "a file as directory");
  wrong += wrong_if(got(read_file(AT_FDCWD, "/dev/null", 100)) != error_of(Errc::malformed), "a device");
  // /proc says size 0: the limit must hold by what is read.
  wrong += wrong_if(got(read_file(AT_FDCWD, "/proc/self/status", 10)) != error_of(Errc::too_large),
                    "a file that lies about its size");
  const int fd = open(dir.at("").c_str(), O_RDONLY | O_DIRECTORY);
  wrong += wrong_if(got(read_file(fd, "ten", 10)) != "0123456789", "relative to a directory");
  close(fd);
  close(s);
  return wrong;
}

void test_reads(void**) {
  assert_int_equal(wrong_reads(), 0);
}

std::string status(const Status& s) {
  return s ? "ok" : error_of(s.error().code);
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

int wrong_writes() {
  const Folder dir;
  const std::string path = dir.at("file");
  const auto content = [&] { return got(read_file(AT_FDCWD, path, 1 << 20)); };
  int wrong = 0;
  const mode_t old_mask = umask(077);
  wrong += wrong_if(status(write_file_durably(path, "one", 0644)) != "ok" || content() != "one", "a new file");
  wrong += wrong_if(mode_of(path) != 0644, "mode, whatever the umask");
  umask(old_mask);
  wrong += wrong_if(status(write_file_durably(path, "two", 0600)) != "ok" || content() != "two", "replaced");
  wrong += wrong_if(mode_of(path) != 0600, "the new file's mode");
  wrong += wrong_if(status(create_file_durably(path, "three", 0644)) != error_of(Errc::mismatch) || content() != "two",
                    "create keeps what is there");
  wrong += wrong_if(dir.entries() != 1, "no temporary stays");
  wrong += wrong_if(status(create_file_durably(dir.at("new"), "three", 0640)) != "ok" || mode_of(dir.at("new")) != 0640,
                    "create");
  fs::create_symlink("elsewhere", dir.at("link"));
  wrong += wrong_if(status(create_file_durably(dir.at("link"), "x", 0600)) != error_of(Errc::mismatch),
                    "create over a dangling link");
  wrong += wrong_if(status(write_file_durably(dir.at("link"), "x", 0600)) != "ok" || fs::is_symlink(dir.at("link")),
                    "a link is replaced, not followed");
  wrong += wrong_if(fs::exists(dir.at("elsewhere")), "nothing is written through a link");
  fs::create_directory(dir.at("dir"));
  wrong += wrong_if(status(write_file_durably(dir.at("dir"), "x", 0600)) != error_of(Errc::unavailable),
                    "a directory is in the way");
  wrong += wrong_if(status(write_file_durably(dir.at("none/file"), "x", 0600)) != error_of(Errc::unavailable),
                    "no such directory");
  wrong += wrong_if(status(write_file_durably(dir.at(""), "x", 0600)) != error_of(Errc::unavailable), "no name");
  wrong += wrong_if(dir.entries() != 4, "no temporary stays after failures");
  const std::string big(300000, 'y');
  wrong += wrong_if(status(write_file_durably(path, big, 0600)) != "ok" || content() != big, "300 kB");
  return wrong;
}

void test_writes(void**) {
  assert_int_equal(wrong_writes(), 0);
}

// A write that fails half way (here: the size limit, as a full disk would) leaves the old file whole and no temporary.
int wrong_full() {
  const Folder dir;
  const std::string path = dir.at("file");
  if (!write_file_durably(path, "old", 0600)) std::abort();
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  const Status done = write_file_durably(path, std::string(5000, 'x'), 0600);
  const Status made = create_file_durably(dir.at("other"), std::string(5000, 'x'), 0600);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  int wrong = 0;
  wrong += wrong_if(status(done) != error_of(Errc::unavailable) ||
                        done.error().message.find("file: File too large") == std::string::npos,
                    "says what failed");
  wrong += wrong_if(status(made) != error_of(Errc::unavailable), "create says so too");
  wrong += wrong_if(got(read_file(AT_FDCWD, path, 100)) != "old", "the old file is whole");
  wrong += wrong_if(dir.entries() != 1, "no temporary stays");
  return wrong;
}

void test_full(void**) {
  assert_int_equal(wrong_full(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_reads), cmocka_unit_test(test_writes), cmocka_unit_test(test_full)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
