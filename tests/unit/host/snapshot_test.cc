#include <sys/wait.h>

#include <csignal>
#include <cstdio>

#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

// Everything that a reader tells, as text: what two snapshots have in common is what their texts have.
std::string told(const SnapshotReader& r) {
  std::string out;
  for (const char* account : {"alice", "bob", "deploy", "nobody"}) {
    r.admissions(account, [&](const AdmissionView& a) {
      out += "A " + std::string(a.account) + " " + std::string(a.subject) + " " + std::string(a.id) + " " +
             std::string(a.runbook) + " " + std::string(a.reason) + " " + std::string(a.ticket) + " " +
             std::to_string(to_unix(a.start)) + " " + std::to_string(to_unix(a.end)) + " " +
             std::to_string(a.personal) + " " + std::to_string(a.grant.bytes[0]);
      for (const auto& by : a.approvers) out += " " + std::string(by);
      out += "\n";
      return true;
    });
    r.keys(account, [&](const KeyView& k) {
      out += "K " + std::string(k.account) + " " + std::string(k.fingerprint) + " " + std::string(k.subject) + " " +
             std::string(k.line) + " " + std::to_string(k.personal) + "\n";
      return true;
    });
  }
  return out;
}

int wrong_contents() {
  const Store store(content());
  const auto reader = store.open();
  if (!reader) return wrong_if(true, reader.error().message.c_str());
  int wrong =
      wrong_if(told(*reader) !=
                   "A alice alice k7m3-9x2d-q4fh restart-web 502s on checkout INC-2031 1000 2000 1 1 bob ana\n"
                   "K alice " +
                       std::string(kAlicePrint) + " alice " + kAliceKey +
                       " 1\n"
                       "A deploy alice k7m3-9x2d-q4fh restart-web 502s on checkout INC-2031 1000 2000 0 2 bob ana\n"
                       "A deploy bob k7m3-9x2d-q4fh restart-web 502s on checkout INC-2031 1000 1500 0 3 bob ana\n"
                       "K deploy " +
                       kBobPrint + " bob " + kBobKey +
                       " 0\n"
                       "K deploy " +
                       kAlicePrint + " alice " + kAliceKey + " 0\n",
               "what was written is what is read");
  const SnapshotMeta& m = reader->meta();
  wrong += wrong_if(m.fleet != "test" || m.host != "web-3" || m.policy_version != 7 || m.generation != 42 ||
                        m.strict_clock || !m.standing_sudo_denied,
                    "meta");
  wrong += wrong_if(!reader->waiting("deploy", "bob",
                                     [&](const WaitingView& w) {
                                       wrong += wrong_if(
                                           w.state != "ended" || w.at != from_unix(1500) || w.runbooks.size() != 2,
                                           "waiting");
                                     }),
                    "waiting is found");
  wrong += wrong_if(reader->waiting("deploy", "bo", [](const WaitingView&) {}), "a prefix of a name is another name");
  bool damaged = true;
  wrong += wrong_if(reader->key(
                        "alice", kBobPrint, [](const KeyView&) {}, &damaged) ||
                        damaged,
                    "a key of another account");
  wrong += wrong_if(reader->admissions("deplo", [](const AdmissionView&) { return true; }) != 0, "no account");
  return wrong;
}

struct Refusal {
  const char* name;
  void (*spoil)(const Store&);
  Errc code;
};

void truncate_to(const Store& s, long bytes) {
  const auto size = static_cast<long>(std::filesystem::file_size(s.path()));
  if (truncate(s.path().c_str(), bytes >= 0 ? bytes : size + bytes) != 0) std::abort();
}

const Refusal kRefusals[] = {
    {"missing", [](const Store& s) { std::filesystem::remove(s.path()); }, Errc::not_found},
    {"withdrawn", [](const Store& s) { write_text(s.where().withdrawn, ""); }, Errc::untrusted},
    {"group may write", [](const Store& s) { chmod(s.path().c_str(), 0620); }, Errc::untrusted},
    {"others may write", [](const Store& s) { chmod(s.path().c_str(), 0602); }, Errc::untrusted},
    {"a symbolic link",
     [](const Store& s) {
       std::filesystem::rename(s.path(), s.path() + ".real");
       std::filesystem::create_symlink(s.path() + ".real", s.path());
     },
     Errc::untrusted},
    {"a second name", [](const Store& s) { std::filesystem::create_hard_link(s.path(), s.path() + ".2"); },
     Errc::untrusted},
    {"a directory",
     [](const Store& s) {
       std::filesystem::remove(s.path());
       std::filesystem::create_directory(s.path());
     },
     Errc::untrusted},
    {"a FIFO",
     [](const Store& s) {
       std::filesystem::remove(s.path());
       if (mkfifo(s.path().c_str(), 0600) != 0) std::abort();
     },
     Errc::untrusted},
    {"another machine",
     [](const Store& s) {
       auto c = content();
       c.meta.machine_id[0] = 'f';
       s.write(c);
     },
     Errc::mismatch},
    {"no machine id", [](const Store& s) { write_text(s.dir() / "machine-id", "uninitialized\n"); }, Errc::unavailable},
    {"empty", [](const Store& s) { truncate_to(s, 0); }, Errc::malformed},
    {"one byte", [](const Store& s) { truncate_to(s, 1); }, Errc::malformed},
    {"cut in the header", [](const Store& s) { truncate_to(s, 4096 + 20); }, Errc::malformed},
    {"cut after the header", [](const Store& s) { truncate_to(s, 8192); }, Errc::malformed},
    {"a page short", [](const Store& s) { truncate_to(s, -4096); }, Errc::malformed},
    {"a byte short", [](const Store& s) { truncate_to(s, -1); }, Errc::malformed},
    {"text", [](const Store& s) { write_text(s.path(), std::string(40960, 'x')); }, Errc::malformed},
};

int wrong_refusals() {
  int wrong = 0;
  for (const auto& c : kRefusals) {
    const Store store(content());
    c.spoil(store);
    const auto reader = store.open();
    wrong += wrong_if(reader.has_value() || reader.error().code != c.code, c.name);
  }
  const Store store(content());
  auto where = store.where();
  where.owner += 1;
  const auto reader = SnapshotReader::open(where);
  return wrong + wrong_if(reader.has_value() || reader.error().code != Errc::untrusted, "another owner");
}

// Every byte of the records, and every byte of the tree's pages: no flip may tell anything that was not written. LMDB
// may fall over a damaged tree, so each is read in a process of its own, as a login's is.
constexpr int kTold = 0, kFewer = 1, kRefused = 2, kWrong = 3;
constexpr int kSkipped = 4, kCrashed = 5;

int read_in_child(const Store& store, const std::string& expected) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (freopen("/dev/null", "w", stderr) == nullptr) _exit(kWrong);
    for (const int s : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL})
      signal(s, SIG_DFL);  // CMocka's would go on with the tests
    const auto reader = store.open();
    if (!reader) _exit(kRefused);
    const std::string text = told(*reader);
    if (text == expected) _exit(kTold);
    for (std::size_t at = 0; at < text.size();) {
      const auto end = text.find('\n', at) + 1;
      if (expected.find(text.substr(at, end - at)) == std::string::npos) _exit(kWrong);
      at = end;
    }
    int skipped = 0;
    for (const char* account : {"alice", "deploy"}) {
      skipped += reader->admissions(account, [](const AdmissionView&) { return true; });
      skipped += reader->keys(account, [](const KeyView&) { return true; });
    }
    _exit(skipped > 0 ? kSkipped : kFewer);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kCrashed;
}

void overwrite(const std::string& path, std::size_t at, char byte) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0 || pwrite(fd, &byte, 1, static_cast<off_t>(at)) != 1) std::abort();
  close(fd);
}

int wrong_flips(bool* saw_skips) {
  const Store store(content());
  const std::string whole = read_bytes(store.path());
  const auto reader = store.open();
  if (!reader) return 1;
  const std::string expected = told(*reader);
  int wrong = 0, skips = 0, crashes = 0;
  unsigned bit = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    if (at > 200 && whole[at] == 0 && at % 64 != 0) continue;  // most of a page is empty: a sample of that
    const char flipped = static_cast<char>(whole[at] ^ (1 << (bit++ % 8)));
    overwrite(store.path(), at, flipped);
    const int outcome = read_in_child(store, expected);
    overwrite(store.path(), at, whole[at]);
    skips += outcome == kSkipped ? 1 : 0;
    crashes += outcome == kCrashed ? 1 : 0;
    if (outcome == kWrong) wrong += wrong_if(true, ("flip at " + std::to_string(at)).c_str());
  }
  *saw_skips = skips > 100;
  print_message("%d flips skipped a record, %d ended the reading process inside LMDB\n", skips, crashes);
  return wrong;
}

int wrong_writer() {
  auto twice = content();
  twice.admissions.push_back(twice.admissions[0]);
  const auto repeated = build_snapshot(twice);
  int wrong = wrong_if(repeated.has_value() || repeated.error().code != Errc::malformed, "the same record twice");
  auto large = content();
  large.admissions[0].reason.assign(2 << 20, 'x');
  const auto over = build_snapshot(large);
  wrong += wrong_if(over.has_value() || over.error().code != Errc::malformed, "a record over the limit");
  auto long_name = content();
  long_name.keys[0].account.assign(600, 'x');
  const auto key = build_snapshot(long_name);
  wrong += wrong_if(key.has_value() || key.error().code != Errc::malformed, "a key over LMDB's limit");
  auto big = content();
  for (int i = 0; i < 20000; ++i) {
    auto a = admission(("user" + std::to_string(i % 997)).c_str(), "someone", 1, 2);
    a.grant.bytes[0] = static_cast<std::uint8_t>(i);
    a.grant.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    a.reason.assign(static_cast<std::size_t>(i % 6000),
                    'r');  // some in overflow pages: the first estimate may fall short
    big.admissions.push_back(std::move(a));
  }
  const Store store(big);
  const auto reader = store.open();
  int seen = 0;
  if (reader) reader->admissions("user7", [&](const AdmissionView& a) { return seen += a.subject == "someone", true; });
  return wrong + wrong_if(seen != 21, "20 000 admissions");
}

// More admissions than one tree is meant for: every account still has its own, and no other.
int wrong_shards() {
  auto large = content();
  constexpr int kAccounts = 61000;
  for (int i = 0; i < kAccounts; ++i) {
    const std::string name = "user" + std::to_string(i);
    large.admissions.push_back(admission(name.c_str(), name.c_str(), 1, 2));
    large.keys.push_back({name, kAlicePrint, name, kAliceKey, true});
  }
  const Store store(large);
  int wrong = 0, seen = 0;
  for (int i = 0; i < kAccounts; i += 97) {
    const auto reader = store.open();
    if (!reader) return 1;
    const std::string name = "user" + std::to_string(i);
    reader->admissions(name, [&](const AdmissionView& a) {
      wrong += wrong_if(a.subject != name || a.keys.size() != 1 || !a.keys[0].starts_with(kAlicePrint), name.c_str());
      return ++seen > 0;
    });
  }
  wrong += wrong_if(seen != (kAccounts + 96) / 97, "each sampled account's one admission");
  const auto reader = store.open();
  int strangers = 0;
  if (reader) reader->admissions("user", [&](const AdmissionView&) { return ++strangers > 0; });
  return wrong + wrong_if(!reader || strangers != 0, "an account without one");
}

int wrong_publishing() {
  const Store store(content());
  int wrong = wrong_if(!reserve_snapshot_space(store.path(), 1 << 20), "reserving");
  wrong += wrong_if(std::filesystem::file_size(store.path() + ".reserve") != 1 << 20, "the reserve's size");
  auto next = content();
  next.admissions.clear();
  const auto image = build_snapshot(next);
  wrong += wrong_if(!image || !publish_snapshot(*image, store.path(), true), "publishing into the reserve");
  wrong += wrong_if(std::filesystem::exists(store.path() + ".reserve"), "the reserve is used up");
  const auto reader = store.open();
  wrong += wrong_if(!reader || told(*reader).find("A ") != std::string::npos, "the narrower one stands");
  wrong += wrong_if(publish_snapshot(*image, store.path(), true).has_value(), "without a reserve");
  write_text(store.path() + ".new", "left by a crash");
  wrong += wrong_if(!publish_snapshot(*image, store.path(), false), "over what a crash left");
  wrong += wrong_if(std::filesystem::exists(store.path() + ".new"), "nothing is left beside");
  wrong +=
      wrong_if(publish_snapshot(*image, store.dir() / "no/such/admissions.mdb", false).has_value(), "no directory");
  close(*image);
  return wrong;
}

// A reader that has the file open keeps reading it while the next one takes its name.
int wrong_replacement() {
  const Store store(content());
  const auto reader = store.open();
  if (!reader) return 1;
  const std::string before = told(*reader);
  auto next = content();
  next.keys.clear();
  store.write(next);
  const auto later = store.open();
  return wrong_if(told(*reader) != before, "the open one") + wrong_if(!later || told(*later) == before, "the next one");
}

void test_contents(void**) {
  assert_int_equal(wrong_contents(), 0);
}
void test_refusals(void**) {
  assert_int_equal(wrong_refusals(), 0);
}
void test_flips(void**) {
  bool saw_skips = false;
  assert_int_equal(wrong_flips(&saw_skips), 0);
  assert_true(saw_skips);
}
void test_writer(void**) {
  assert_int_equal(wrong_writer(), 0);
}
void test_shards(void**) {
  assert_int_equal(wrong_shards(), 0);
}
void test_publishing(void**) {
  assert_int_equal(wrong_publishing(), 0);
}
void test_replacement(void**) {
  assert_int_equal(wrong_replacement(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_contents),    cmocka_unit_test(test_refusals), cmocka_unit_test(test_flips),
      cmocka_unit_test(test_writer),      cmocka_unit_test(test_shards),   cmocka_unit_test(test_publishing),
      cmocka_unit_test(test_replacement),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
