#include "agent/intake.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

// Takes lines that begin with "good", waits for a policy with "later", cannot keep "full".
class Sink final : public InputSink {
 public:
  Status statement(std::string_view line) override {
    if (line.substr(0, 5) == "later" && !policy) return Error{Errc::unknown_key, "nobody's key"};
    if (line.substr(0, 4) == "full" && !room) return Error{Errc::unavailable, "no room"};
    if (line.substr(0, 3) == "bad") return Error{Errc::malformed, "no envelope"};
    taken.emplace_back(line);
    return Unit{};
  }
  void policy_files_changed() override { ++policies; }
  void log_head_changed() override { ++heads; }
  Status proof(std::string_view text) override { return statement(text); }
  int count(std::string_view line) const { return static_cast<int>(std::count(taken.begin(), taken.end(), line)); }
  std::vector<std::string> taken;
  int policies = 0, heads = 0;
  bool policy = false, room = false;
};

struct Bench {
  TempDir dir;
  Sink sink;
  FakeJournal journal;
  Intake intake{{InputDirectory{dir.path()}}, sink, journal};
  void scan() {
    intake.begin_scan(from_unix(kStart));
    while (intake.work(1000)) continue;
  }
  void notice() {
    intake.read_notifications();
    while (intake.work(1000)) continue;
  }
  void put(const std::string& name, std::string_view text) { write_text(dir.path() + "/" + name, text); }
};

int wrong_kinds() {
  const std::pair<const char*, InputKind> cases[] = {{"a.grant", InputKind::grants},
                                                     {".a.grant", InputKind::none},
                                                     {"grant", InputKind::none},
                                                     {"a.grant.tmp", InputKind::none},
                                                     {"policy.toml", InputKind::policy},
                                                     {"policy.toml.sig", InputKind::policy},
                                                     {"policy-7.toml", InputKind::policy},
                                                     {"policy-7.toml.sig", InputKind::policy},
                                                     {"policy-.toml", InputKind::none},
                                                     {"policy-x.toml", InputKind::none},
                                                     {"hosts.toml", InputKind::none},
                                                     {".grant", InputKind::none},
                                                     {"policy-7.toml.sig.sig", InputKind::none},
                                                     {"", InputKind::none}};
  int wrong = 0;
  for (const auto& [name, kind] : cases) wrong += wrong_if(input_kind(name) != kind, name);
  return wrong;
}

int wrong_bad_files() {
  Bench b;
  const std::string& d = b.dir.path();
  b.put("1.grant", "good one\n");
  b.put("big.grant", std::string(10 << 20, 'x'));
  demand(mkfifo((d + "/fifo.grant").c_str(), 0600) == 0);
  demand(symlink("/etc/hostname", (d + "/link.grant").c_str()) == 0);
  demand(symlink("1.grant", (d + "/inside.grant").c_str()) == 0);
  demand(symlink("/dev/zero", (d + "/zero.grant").c_str()) == 0);
  demand(mkdir((d + "/dir.grant").c_str(), 0700) == 0);
  b.put("bad.grant", "bad\ngood two\nbad again\n");
  b.put("empty.grant", "");
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket.grant", d.c_str());
  demand(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  close(fd);
  b.put("z.grant", "good three\n");
  b.scan();
  int wrong = wrong_if(b.sink.taken.size() != 3 || b.sink.count("good one") != 1 || b.sink.count("good two") != 1 ||
                           b.sink.count("good three") != 1,
                       "good lines beside count, each once");
  for (const char* name : {"big", "fifo", "link", "inside", "zero", "dir", "bad", "socket"}) {
    wrong += wrong_if(!b.journal.says(Event::statement_refused, d + "/" + name + ".grant"), name);
  }
  wrong += wrong_if(!b.journal.says(Event::statement_refused, "line 1: no envelope; line 3"), "lines are named");
  wrong += wrong_if(b.journal.count(Event::statement_refused) != 8, "and nothing else");
  b.scan();
  wrong += wrong_if(b.journal.count(Event::statement_refused) != 8 || b.sink.taken.size() != 3,
                    "what has not changed is not read again");
  b.put("bad.grant", "bad\ngood two\nbad again\n");
  b.scan();
  wrong += wrong_if(b.journal.count(Event::statement_refused) != 8 || b.sink.count("good two") != 2,
                    "the same words are not said again");
  b.put("bad.grant", "bad bad\nbad\n");
  b.scan();
  return wrong + wrong_if(b.journal.count(Event::statement_refused) != 9, "other ones are");
}

int wrong_many() {
  Bench b;
  for (int i = 0; i < 350; ++i) b.put(std::to_string(i) + ".grant", "bad " + std::to_string(i) + "\n");
  b.put("good.grant", "good\n");
  b.scan();
  int wrong = wrong_if(b.journal.count(Event::statement_refused) != 100, "a hundred are named");
  wrong += wrong_if(!b.journal.says(Event::inputs_suppressed, "250 more"), "the others are counted");
  for (int i = 400; i < 450; ++i) b.put(std::to_string(i) + ".grant", "bad " + std::to_string(i) + "\n");
  b.notice();
  wrong += wrong_if(b.journal.count(Event::statement_refused) != 100, "nor do later ones get names in the same hour");
  return wrong + wrong_if(b.sink.count("good") != 1, "the good one counts");
}

int wrong_told() {
  Bench b;
  b.scan();
  b.put("new.grant", "good new\n");
  b.notice();
  int wrong = wrong_if(b.sink.count("good new") != 1, "a new file by rename");
  std::ofstream(b.dir.path() + "/slow.grant") << "good slow\n";
  b.notice();
  wrong += wrong_if(b.sink.count("good slow") != 1, "a new file written in place");
  b.put("policy-3.toml", "x");
  b.notice();
  wrong += wrong_if(b.sink.policies != 1, "a policy");
  unlink((b.dir.path() + "/new.grant").c_str());
  b.notice();
  b.scan();
  b.put("new.grant", "good new\n");
  b.notice();
  return wrong + wrong_if(b.sink.count("good new") != 2, "gone and back");
}

int wrong_waits() {
  Bench b;
  b.put("later.grant", "later\n");
  b.put("full.grant", "full\n");
  b.scan();
  b.scan();
  int wrong = wrong_if(!b.sink.taken.empty(), "nothing yet");
  wrong += wrong_if(b.journal.count(Event::statement_refused) != 1,
                    "the unknown key is told once, the full disk by who failed");
  b.sink.room = true;
  b.scan();
  wrong += wrong_if(b.sink.count("full") != 1 || b.sink.count("later") != 0, "tried again when there is room");
  b.sink.policy = true;
  b.scan();
  wrong += wrong_if(b.sink.count("later") != 0, "not without a new policy");
  b.intake.forget_waiting();
  b.scan();
  return wrong + wrong_if(b.sink.count("later") != 1 || b.sink.count("full") != 1, "and with one, that alone");
}

int wrong_missing() {
  const TempDir parent;
  Sink sink;
  FakeJournal journal;
  const std::string path = parent.path() + "/inbox";
  Intake intake({InputDirectory{path}}, sink, journal);
  const auto scan = [&] {
    intake.begin_scan(from_unix(kStart));
    while (intake.work(1000)) continue;
  };
  scan();
  scan();
  int wrong = wrong_if(journal.count(Event::directory_unreadable) != 1, "missing: told once");
  demand(mkdir(path.c_str(), 0700) == 0);
  write_text(path + "/a.grant", "good\n");
  scan();
  wrong += wrong_if(sink.count("good") != 1 || journal.count(Event::directory_readable) != 1, "there now");
  demand(rename(path.c_str(), (path + ".old").c_str()) == 0 && mkdir(path.c_str(), 0700) == 0);
  write_text(path + "/b.grant", "good b\n");
  scan();
  return wrong + wrong_if(sink.count("good b") != 1, "another directory at its place");
}

// A drop directory is emptied, once what it held is durable; nobody puts policies there.
int wrong_drop() {
  const TempDir dir;
  Sink sink;
  FakeJournal journal;
  Intake intake({InputDirectory{dir.path(), InputRole::drop}}, sink, journal);
  const auto at = [&](const char* name) { return dir.path() + "/" + name; };
  const auto scan = [&] {
    intake.begin_scan(from_unix(kStart));
    while (intake.work(1000)) continue;
  };
  write_text(at("good.grant"), "good\n");
  write_text(at("bad.grant"), "bad\n");
  write_text(at("later.grant"), "later\n");
  write_text(at("full.grant"), "full\n");
  write_text(at("one.tlog-proof"), "good proof");
  write_text(at("policy.toml"), "x");
  write_text(at("checkpoint"), "x");
  demand(symlink("/etc/passwd", at("link.grant").c_str()) == 0);
  scan();
  int wrong = wrong_if(sink.taken.size() != 2 || sink.policies != 0 || sink.heads != 0, "only what is carried counts");
  wrong += wrong_if(access(at("good.grant").c_str(), F_OK) != 0, "kept until it is durable");
  intake.remove_taken();
  for (const char* gone : {"good.grant", "bad.grant", "one.tlog-proof", "link.grant"})
    wrong += wrong_if(faccessat(AT_FDCWD, at(gone).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0, gone);
  for (const char* kept : {"later.grant", "full.grant", "policy.toml", "checkpoint"})
    wrong += wrong_if(access(at(kept).c_str(), F_OK) != 0, kept);
  wrong += wrong_if(access("/etc/passwd", F_OK) != 0, "the link, not what it names");
  sink.room = true;
  scan();
  intake.forget_all();  // it was not kept after all
  intake.remove_taken();
  return wrong + wrong_if(access(at("full.grant").c_str(), F_OK) != 0, "nothing goes that was not kept");
}

void test_drop(void**) {
  assert_int_equal(wrong_drop(), 0);
}
void test_kinds(void**) {
  assert_int_equal(wrong_kinds(), 0);
}
void test_bad_files(void**) {
  assert_int_equal(wrong_bad_files(), 0);
}
void test_many(void**) {
  assert_int_equal(wrong_many(), 0);
}
void test_told(void**) {
  assert_int_equal(wrong_told(), 0);
}
void test_waits(void**) {
  assert_int_equal(wrong_waits(), 0);
}
void test_missing(void**) {
  assert_int_equal(wrong_missing(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_drop),      cmocka_unit_test(test_kinds),
                              cmocka_unit_test(test_bad_files), cmocka_unit_test(test_many),
                              cmocka_unit_test(test_told),      cmocka_unit_test(test_waits),
                              cmocka_unit_test(test_missing)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
