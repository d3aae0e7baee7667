// What is read of processes: agent/processes.h over files as the kernel writes them.
#include "agent/processes.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;

struct Case {
  const char* name;
  const char* stat;  // what follows the pid
  const char* comm;
  char state;
  int terminal;
  std::uint64_t start;
};

constexpr char kAfter[] = " 1 75 75 34817 -1 4227084 57 0 0 0 0 0 0 0 20 0 ";

const Case kCases[] = {
    {"sleeps", "(sleep) S", "sleep", 'S', 34817, 2880871},
    {"dead", "(sleep) Z", "sleep", 'Z', 34817, 2880871},
    {"a name like fields", "(a) Z 1 (b) S", "a) Z 1 (b", 'S', 34817, 2880871},
};

std::optional<Process> read_one(const std::string& stat) {
  char place[] = "/tmp/hallpass-processes-XXXXXX";
  const std::string proc = mkdtemp(place);
  std::filesystem::create_directory(proc + "/4711");
  std::ofstream(proc + "/4711/stat") << "4711 " << stat << "\n";
  std::ofstream(proc + "/4711/status") << "Name:\tx\nUid:\t1001\t0\t0\t0\n";
  std::ofstream(proc + "/4711/sessionid") << "7";
  std::ofstream(proc + "/4711/loginuid") << "1001";
  auto found = ProcessTable(proc, "/nonexistent").read(4711);
  std::filesystem::remove_all(proc);
  return found;
}

std::string line(const char* begin, int threads) {
  return begin + std::string(kAfter) + std::to_string(threads) + " 0 2880871 0 0";
}

void reads_what_the_kernel_writes(void**) {
  for (const Case& c : kCases) {
    bool fine = false;
    {
      const auto p = read_one(line(c.stat, 1));
      fine = p && p->name == c.comm && p->state == c.state && p->terminal == c.terminal && p->start == c.start &&
             p->parent == 1 && p->uid == 1001 && p->audit == 7 && p->login_uid == 1001;
    }
    if (!fine) print_error("%s\n", c.name);
    assert_true(fine);
  }
}

// pthread_exit in main: the kernel calls the process a zombie while its other threads run on.
void alive_while_a_thread_is(void**) {
  bool alive = false, dead = false, reaped = false;
  {
    const auto two = read_one(line("(x) Z", 2)), one = read_one(line("(x) Z", 1)), none = read_one(line("(x) Z", 0));
    alive = two && two->state != 'Z';
    dead = one && one->state == 'Z';
    reaped = none && none->state == 'Z';
  }
  assert_true(alive);
  assert_true(dead);
  assert_true(reaped);
}

void not_understood(void**) {
  bool none = true;
  for (const char* text : {"", "(x", "x) S 1", "(x) S", "(x) S 1 2 3"}) none = none && !read_one(text);
  assert_true(none);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_the_kernel_writes),
      cmocka_unit_test(alive_while_a_thread_is),
      cmocka_unit_test(not_understood),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
