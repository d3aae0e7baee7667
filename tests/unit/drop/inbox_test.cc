// The directory and its quota, and clients that neither end nor read.
#include "agent/drop/inbox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/hash.h"
#include "core/values/bytes.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::drop;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
namespace fs = std::filesystem;

class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/hallpass-test-XXXXXX";
    if (mkdtemp(name) == nullptr) abort();
    path = name;
  }
  ~Scratch() { fs::remove_all(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void put(const std::string& name, const std::string& text) const { std::ofstream(path + "/" + name) << text; }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(path)) out.insert(entry.path().filename());
    return out;
  }
  std::string path;
};

Clock::time_point in(int ms) {
  return Clock::now() + milliseconds{ms};
}

int wrong_store() {
  const Scratch dir;
  auto inbox = Inbox::open(dir.path);
  if (!inbox) return 1;
  const Documents documents{{"{1}", "{2}"}, {"p1\n", "p2\n", "p1\n"}};
  const auto names = inbox->store(documents, in(5000));
  const std::string grant = hex_encode(sha256("{1}\n{2}\n").bytes) + ".grant";
  const std::string proof = hex_encode(sha256("p1\n").bytes) + ".tlog-proof";
  int wrong = wrong_if(!names || names->size() != 3, "the same proof twice is one");
  wrong += wrong_if(dir.names().count(grant) != 1 || dir.names().count(proof) != 1 || dir.names().size() != 3, "names");
  struct stat info {};
  wrong += wrong_if(stat((dir.path + "/" + grant).c_str(), &info) != 0 || (info.st_mode & 07777) != 0600, "mode");
  wrong += wrong_if(info.st_size != 8, "content");
  const auto again = inbox->store(documents, in(5000));
  return wrong + wrong_if(!again || dir.names().size() != 3, "handed in twice");
}
void test_store(void**) {
  assert_int_equal(wrong_store(), 0);
}

int wrong_quota() {
  const Scratch dir;
  dir.put("a.grant", std::string(60, 'x'));
  dir.put(".left.0123", std::string(1000, 'x'));
  auto small = Inbox::open(dir.path, {10, 70});
  auto few = Inbox::open(dir.path, {2, 1000});
  if (!small || !few) return 1;
  const Documents one{{"{1}"}, {}}, large{{"{12345678}"}, {}}, two{{"{1}"}, {"p\n"}};
  int wrong = 0;
  const auto refused = [&](Inbox& inbox, const Documents& documents) {
    const auto before = dir.names();
    const auto stored = inbox.store(documents, in(5000));
    return !stored && stored.error().code == Errc::too_large &&
           stored.error().message.find("is hallpass-agent running?") != std::string::npos &&
           dir.names().size() <= before.size();
  };
  wrong += wrong_if(!refused(*small, large), "71 bytes of 70");
  wrong += wrong_if(dir.names().count(".left.0123") != 0, "what a run that was cut short left is gone");
  wrong += wrong_if(!refused(*few, two), "three files of two");
  wrong += wrong_if(dir.names() != std::set<std::string>{"a.grant"}, "nothing of it stays");
  wrong += wrong_if(!small->store(one, in(5000)).has_value(), "64 bytes of 70");
  wrong += wrong_if(!few->store(one, in(5000)).has_value(), "the same once more, when it is full");
  return wrong;
}
void test_quota(void**) {
  assert_int_equal(wrong_quota(), 0);
}

// The second of two files cannot be written: a directory has its name.
int wrong_half() {
  const Scratch dir;
  auto inbox = Inbox::open(dir.path);
  if (!inbox) return 1;
  const Documents documents{{}, {"p1\n", "p2\n"}};
  std::set<std::string> names;
  for (const std::string& p : documents.proofs) names.insert(hex_encode(sha256(p).bytes) + ".tlog-proof");
  fs::create_directory(dir.path + "/" + *names.rbegin());
  const auto stored = inbox->store(documents, in(5000));
  return wrong_if(stored || stored.error().code != Errc::unavailable, "refused") +
         wrong_if(dir.names() != std::set<std::string>{*names.rbegin()}, "nothing half-written stays");
}
void test_half(void**) {
  assert_int_equal(wrong_half(), 0);
}

int wrong_lock() {
  const Scratch dir;
  auto inbox = Inbox::open(dir.path);
  auto other = Inbox::open(dir.path);
  if (!inbox || !other) return 1;
  const int holder = open(dir.path.c_str(), O_RDONLY | O_DIRECTORY);
  flock(holder, LOCK_EX);
  const auto late = inbox->store({{"{1}"}, {}}, in(50));
  flock(holder, LOCK_UN);
  close(holder);
  return wrong_if(late || late.error().message.find("others") == std::string::npos, "somebody else is writing") +
         wrong_if(!other->store({{"{1}"}, {}}, in(5000)).has_value(), "and then no more");
}
void test_lock(void**) {
  assert_int_equal(wrong_lock(), 0);
}

int wrong_taken() {
  const Scratch dir;
  auto inbox = Inbox::open(dir.path);
  if (!inbox) return 1;
  const auto names = inbox->store({{"{1}"}, {"p\n"}}, in(5000));
  if (!names) return 1;
  int wrong = wrong_if(inbox->await_taken(*names, in(30)) != 2, "nobody takes them");
  fs::remove(dir.path + "/" + names->front());
  wrong += wrong_if(inbox->await_taken(*names, in(30)) != 1, "one is taken");
  const auto started = Clock::now();
  std::thread agent([&] { fs::remove(dir.path + "/" + names->back()); });
  wrong += wrong_if(inbox->await_taken(*names, in(20'000)) != 0, "the other too");
  agent.join();
  return wrong + wrong_if(Clock::now() - started > milliseconds{10'000}, "without waiting for the end of the time");
}
void test_taken(void**) {
  assert_int_equal(wrong_taken(), 0);
}

int wrong_clients() {
  signal(SIGPIPE, SIG_IGN);
  int silent[2], drip[2], deaf[2];
  if (pipe(silent) != 0 || pipe(drip) != 0 || pipe(deaf) != 0) return 1;
  int wrong = wrong_if(read_to_end(silent[0], 100, in(30)).has_value(), "one that sends nothing");
  bool stop = false;
  std::thread sender([&] {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && write(drip[1], "{", 1) == 1) std::this_thread::yield();
  });
  const auto dripped = read_to_end(drip[0], std::size_t{1} << 40, in(100));
  wrong += wrong_if(dripped || dripped.error().message.find("in time") == std::string::npos, "one that never ends");
  __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
  close(drip[0]);  // whoever is in write(2) leaves it
  sender.join();
  const auto started = Clock::now();
  say(deaf[1], std::string(10'000'000, 'x'), in(50));
  wrong += wrong_if(Clock::now() - started > milliseconds{10'000}, "one that never reads");
  if (write(silent[1], "0123456789", 10) != 10) return 1;
  close(silent[1]);
  const auto large = read_to_end(silent[0], 9, in(5000));
  return wrong + wrong_if(large || large.error().code != Errc::too_large, "one that sends too much");
}
void test_clients(void**) {
  assert_int_equal(wrong_clients(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_store), cmocka_unit_test(test_quota),
                              cmocka_unit_test(test_half),  cmocka_unit_test(test_lock),
                              cmocka_unit_test(test_taken), cmocka_unit_test(test_clients)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
