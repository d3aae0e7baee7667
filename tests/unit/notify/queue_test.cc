#include "notify/queue.h"

#include <signal.h>
#include <sys/resource.h>

#include <set>

#include "tests/unit/cmocka.h"
#include "tests/unit/notify/fixture.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

std::uint64_t from_1000() {
  return 1000;
}
std::uint64_t from_5000() {
  return 5000;
}

AlertQueue queue_of(const TempDir& dir) {
  return {dir.queue(), dir.counter(), from_1000};
}

bool put(AlertQueue& queue, const std::string& event) {
  return queue.put(alert_of(event)).has_value();
}

std::string id_of(const std::string& path) {
  const Result<DocumentHead> head = read_head(read_text(path));
  return head ? head->id : "";
}

int wrong_order() {
  const TempDir dir;
  AlertQueue queue = queue_of(dir);
  int wrong = wrong_if(queue.waiting() != 0U, "empty");
  for (int i = 0; i < 250; ++i) wrong += wrong_if(!put(queue, "e" + std::to_string(i)), "put");
  wrong += wrong_if(queue.waiting() != 250U, "all wait");
  std::set<std::string> ids;
  int i = 0;
  for (const std::string& name : names_in(dir.queue())) {
    const std::string path = dir.queue() + "/" + name;
    wrong += wrong_if(read_head(read_text(path))->event != "e" + std::to_string(i++), "in order");
    ids.insert(id_of(path));
    struct stat info {};
    must(stat(path.c_str(), &info) == 0);
    wrong += wrong_if((info.st_mode & 07777) != 0644, "its reader may read it");
  }
  return wrong + wrong_if(ids.size() != 250, "ids are distinct") +
         wrong_if(names_in(dir.queue()).front() != "0000000000001000.json", "the first number");
}

// Numbers of a later agent are above those of every earlier one, however little of them is left.
int wrong_counters() {
  const TempDir dir;
  std::string last;
  int wrong = 0;
  for (int agent = 0; agent < 5; ++agent) {
    AlertQueue queue = queue_of(dir);
    for (int i = 0; i < 3; ++i) must(put(queue, "e"));
    const auto names = names_in(dir.queue());
    wrong += wrong_if(names.size() != 3 || names.front() <= last, "numbers never come back");
    last = names.back();
    for (const std::string& name : names) unlink((dir.queue() + "/" + name).c_str());  // delivered
  }
  for (const char* damage : {"", "x\n", "-1\n", "12 34\n", "99999999999999999999999\n", "9999999999999999\n", "0\n"}) {
    write_text(dir.counter(), damage);
    AlertQueue queue(dir.queue(), dir.counter(), from_5000);
    must(put(queue, "e"));
    wrong += wrong_if(names_in(dir.queue()) != std::vector<std::string>{"0000000000005000.json"}, damage);
    unlink((dir.queue() + "/0000000000005000.json").c_str());
  }
  return wrong;
}

// A counter from a backup: what waits under its numbers stays, and the new one finds another.
int wrong_old_counter() {
  const TempDir dir;
  AlertQueue first = queue_of(dir);
  must(put(first, "old1") && put(first, "old2"));
  write_text(dir.counter(), "1000\n");
  AlertQueue second = queue_of(dir);
  const bool ok = put(second, "new");
  const auto names = names_in(dir.queue());
  return wrong_if(!ok || names.size() != 3, "all three wait") +
         wrong_if(read_head(read_text(dir.queue() + "/0000000000001000.json"))->event != "old1", "replaced") +
         wrong_if(read_head(read_text(dir.queue() + "/" + names.back()))->event != "new", "in order");
}

int wrong_limits() {
  const TempDir dir;
  AlertQueue queue(dir.queue(), dir.counter(), [] { return std::uint64_t{2} * kMaxQueued; });
  for (std::size_t i = 0; i < kMaxQueued - 1; ++i) write_text(dir.queue() + "/" + number_text(i) + ".json", "");
  int wrong = wrong_if(!put(queue, "last"), "the last that fits");
  const Status full = queue.put(alert_of("more"));
  wrong += wrong_if(full || full.error().code != Errc::too_large, "full");
  unlink((dir.queue() + "/0000000000000000.json").c_str());
  rename((dir.queue() + "/0000000000000001.json").c_str(),
         (dir.queue() + "/0000000000000001.webhook-done.json").c_str());
  wrong += wrong_if(!put(queue, "again"), "room again") + wrong_if(put(queue, "more"), "half delivered still counts");
  for (std::size_t i = 0; i < kMaxQueued; ++i) unlink((dir.queue() + "/" + number_text(i) + ".json").c_str());
  wrong += wrong_if(!put(queue, "again"), "empty again");
  for (std::size_t i = 0; i < kMaxQueued * 3; ++i) write_text(dir.queue() + "/junk" + std::to_string(i), "");
  return wrong + wrong_if(put(queue, "more"), "more names than are looked at");
}

int wrong_faults() {
  const TempDir dir;
  int wrong = 0;
  AlertQueue missing(dir.path() + "/none", dir.counter(), from_1000);
  const Status none = missing.put(alert_of("e"));
  wrong += wrong_if(none || none.error().code != Errc::not_found, "no queue on this host");
  wrong += wrong_if(missing.waiting().has_value(), "nothing to count");
  must(symlink(dir.queue().c_str(), (dir.path() + "/link").c_str()) == 0);
  AlertQueue linked(dir.path() + "/link", dir.counter(), from_1000);
  wrong += wrong_if(put(linked, "e"), "a link in the queue's place");
  must(mkfifo((dir.path() + "/fifo").c_str(), 0600) == 0);
  AlertQueue fifo(dir.path() + "/fifo", dir.counter(), from_1000);
  wrong += wrong_if(put(fifo, "e"), "a FIFO in the queue's place");
  AlertQueue mounted("/proc", dir.counter(), from_1000);
  const Status other = mounted.put(alert_of("e"));
  wrong += wrong_if(other || other.error().message.find("mount point") == std::string::npos, "another file system");
  AlertQueue uncounted(dir.queue(), dir.path() + "/none/counter", from_1000);
  const Status status = uncounted.put(alert_of("e"));
  wrong += wrong_if(status || status.error().code != Errc::unavailable, "no place for the counter");
  return wrong + wrong_if(!names_in(dir.queue()).empty(), "nothing was written");
}

// What an attacker who owns the directory can put under the names that come next.
int wrong_hostile() {
  const TempDir dir;
  AlertQueue queue = queue_of(dir);
  const auto at = [&](std::uint64_t n, const char* ending) { return dir.queue() + "/" + number_text(n) + ending; };
  const std::string victim = dir.path() + "/victim";
  write_text(victim, "whole");
  must(symlink(victim.c_str(), at(1000, ".new").c_str()) == 0);
  must(symlink(victim.c_str(), at(1001, ".json").c_str()) == 0);
  must(mkfifo(at(1002, ".new").c_str(), 0600) == 0);
  must(mkfifo(at(1003, ".json").c_str(), 0600) == 0);
  must(mkdir(at(1004, ".json").c_str(), 0700) == 0);
  must(link(victim.c_str(), at(1005, ".new").c_str()) == 0);
  must(symlink("nowhere", at(1006, ".json").c_str()) == 0);
  int wrong = wrong_if(!put(queue, "first"), "past all of them");
  wrong += wrong_if(read_text(victim) != "whole", "the file a link points to");
  wrong += wrong_if(id_of(at(1007, ".json")).empty(), "at the first free number");
  wrong += wrong_if(std::filesystem::exists(dir.path() + "/nowhere") || !std::filesystem::is_fifo(at(1003, ".json")),
                    "nothing replaced");
  for (std::uint64_t n = 1008; n < 1016; ++n) must(mkdir(at(n, ".json").c_str(), 0700) == 0);
  wrong += wrong_if(put(queue, "e"), "it does not search forever") + wrong_if(!put(queue, "e"), "but goes on");
  for (const std::string& name : names_in(dir.queue()))
    wrong += wrong_if(name == "0000000000001001.new" || name == "0000000000001008.new", "no .new of ours stays");
  write_text(dir.queue() + "/9999999999999999.json", "{}");
  return wrong + wrong_if(!put(queue, "e") || queue.waiting() > 20U, "a number of others' decides nothing");
}

int wrong_names() {
  struct Case {
    const char* name;
    bool alert;
  };
  const Case cases[] = {{"0000000000000042.json", true},
                        {"0000000000000042.webhook-done.json", true},
                        {"0000000000000042.new", false},
                        {"0000000000000042", false},
                        {"0000000000000042.jso", false},
                        {"000000000000042.json", false},
                        {"00000000000000042.json", false},
                        {"+000000000000042.json", false},
                        {"-000000000000042.json", false},
                        {"9999999999999999.json", false},
                        {".json", false},
                        {"", false},
                        {"rejected", false}};
  int wrong = 0;
  for (const Case& c : cases) wrong += wrong_if(is_document_name(c.name) != c.alert, c.name);
  return wrong + wrong_if(number_of_name("0000000000000042.json") != 42U, "its number");
}

// A disk that is full: nothing half written is left where a reader looks, and it goes on when there is room.
int wrong_full_disk() {
  const TempDir dir;
  AlertQueue queue = queue_of(dir);
  must(put(queue, "before"));
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit small { 100, before.rlim_max };
  setrlimit(RLIMIT_FSIZE, &small);
  const Status failed = queue.put(alert_of("full"));
  setrlimit(RLIMIT_FSIZE, &before);
  const bool refused = !failed && failed.error().code == Errc::unavailable;
  const bool clean = names_in(dir.queue()).size() == 1;
  return wrong_if(!refused, "told") + wrong_if(!clean, "nothing left") + wrong_if(!put(queue, "after"), "goes on") +
         wrong_if(deliver_all(dir.queue(), {"webhook"}, "webhook") != "before after", "in order");
}

void test_order(void**) {
  assert_int_equal(wrong_order(), 0);
}
void test_counters(void**) {
  assert_int_equal(wrong_counters() + wrong_old_counter(), 0);
}
void test_limits(void**) {
  assert_int_equal(wrong_limits(), 0);
}
void test_faults(void**) {
  assert_int_equal(wrong_faults(), 0);
}
void test_hostile(void**) {
  assert_int_equal(wrong_hostile(), 0);
}
void test_names(void**) {
  assert_int_equal(wrong_names(), 0);
}
void test_full_disk(void**) {
  assert_int_equal(wrong_full_disk(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_order),    cmocka_unit_test(test_counters),
                              cmocka_unit_test(test_limits),   cmocka_unit_test(test_faults),
                              cmocka_unit_test(test_hostile),  cmocka_unit_test(test_names),
                              cmocka_unit_test(test_full_disk)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
