#include "host/session.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "host/key_record.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

Session sample(std::uint32_t audit) {
  Session s;
  s.audit = audit;
  s.logind = std::to_string(audit);
  s.subject = "alice";
  s.account = "deploy";
  s.uid = 1000;
  s.grant_id = "k7m3-9x2d-q4fh";
  s.grant = digest_of(7);
  s.end = from_unix(2000);
  s.leader = getpid();
  s.leader_start = process_start(getpid());
  s.control_group = "/user.slice/user-1000.slice/session-5.scope";
  return s;
}

bool equal(const Session& a, const Session& b) {
  return a.audit == b.audit && a.logind == b.logind && a.subject == b.subject && a.account == b.account &&
         a.uid == b.uid && a.grant_id == b.grant_id && a.grant == b.grant && a.end == b.end && a.leader == b.leader &&
         a.leader_start == b.leader_start && a.control_group == b.control_group;
}

bool is_error(const Result<Session>& r, Errc code) {
  return !r && r.error().code == code;
}
bool is_error(const Status& r, Errc code) {
  return !r && r.error().code == code;
}

pid_t dead_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

std::vector<Digest> noted(const std::string& dir, int audit) {
  const auto registry = read_registry(dir);
  const auto found = registry ? registry->used.find(std::to_string(audit)) : decltype(registry->used.end())();
  return registry && found != registry->used.end() ? found->second : std::vector<Digest>();
}

int wrong_round_trip() {
  const ScratchDir scratch;
  const std::string dir = scratch / "run/sessions";
  int wrong = wrong_if(!is_error(read_session(dir, "5"), Errc::not_found), "no directory");
  wrong += wrong_if(!register_session(dir, sample(5)), "registering makes the directory");
  const auto back = read_session(dir, "5");
  wrong += wrong_if(!back || !equal(*back, sample(5)), "every field comes back");
  wrong += wrong_if(!is_error(read_session(dir, "6"), Errc::not_found), "another id");
  struct stat st {};
  wrong += wrong_if(stat(dir.c_str(), &st) != 0 || (st.st_mode & 0777) != 0700, "directory 0700");
  wrong += wrong_if(stat((dir + "/5").c_str(), &st) != 0 || (st.st_mode & 0777) != 0600, "record 0600");
  unregister_session(dir, "5");
  return wrong + wrong_if(!is_error(read_session(dir, "5"), Errc::not_found), "unregistered");
}

int wrong_damage() {
  const ScratchDir scratch;
  const std::string dir = scratch / "sessions", path = dir + "/5";
  if (!register_session(dir, sample(5))) return 1;
  const std::string good = read_bytes(path);
  const auto refused = [&](const std::string& bytes) {
    write_text(path, bytes);
    return is_error(read_session(dir, "5"), Errc::malformed);
  };
  int wrong = wrong_if(good.size() < 100, "a record is not empty");
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(static_cast<unsigned char>(bad[i]) ^ 1U << bit);
      wrong += wrong_if(!refused(bad), "a bit flipped");
    }
    wrong += wrong_if(!refused(good.substr(0, i)), "cut");
  }
  wrong += wrong_if(!refused(good + std::string(1, '\0')) || !refused(good + good), "extended");
  write_text(path, good);
  wrong += wrong_if(!read_session(dir, "5"), "the good one still reads");
  std::filesystem::copy_file(path, dir + "/6");
  chmod((dir + "/6").c_str(), 0600);
  wrong += wrong_if(!is_error(read_session(dir, "6"), Errc::malformed), "another session's record under this id");
  write_text(path, std::string(20000, 'x'));
  wrong += wrong_if(read_session(dir, "5").has_value(), "huge");
  return wrong +
         wrong_if(!is_error(register_session(dir, sample(5)), Errc::mismatch), "nothing replaces what says nothing");
}

int wrong_trust() {
  const ScratchDir scratch;
  const std::string dir = scratch / "sessions", path = dir + "/5";
  if (!register_session(dir, sample(5))) return 1;
  const auto untrusted = [&] { return is_error(read_session(dir, "5"), Errc::untrusted); };
  int wrong = 0;
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0666U}) {
    chmod(path.c_str(), mode);
    wrong += wrong_if(!untrusted(), "a record open to others");
  }
  chmod(path.c_str(), 0600);
  for (const mode_t mode : {0750U, 0705U, 0770U, 0701U, 01777U}) {
    chmod(dir.c_str(), mode);
    wrong += wrong_if(!untrusted() || !is_error(register_session(dir, sample(6)), Errc::untrusted) ||
                          note_grant_used(dir, 5, digest_of(1)).has_value() || !noted(dir, 5).empty(),
                      "a directory open to others");
  }
  chmod(dir.c_str(), 0700);
  if (geteuid() == 0) {
    wrong += wrong_if(chown(path.c_str(), 1, 0) != 0 || !untrusted(), "another's record");
    wrong += wrong_if(chown(path.c_str(), 0, 0) != 0 || chown(dir.c_str(), 1, 0) != 0 || !untrusted(),
                      "another's directory");
    wrong += wrong_if(chown(dir.c_str(), 0, 0) != 0, "back");
  }
  wrong += wrong_if(!read_session(dir, "5"), "all as it was");
  wrong += wrong_if(link(path.c_str(), (scratch / "second").c_str()) != 0 || !untrusted(), "a second name");
  unlink(path.c_str());
  wrong += wrong_if(symlink((scratch / "second").c_str(), path.c_str()) != 0 || read_session(dir, "5").has_value(),
                    "a link");
  unlink(path.c_str());
  wrong += wrong_if(mkfifo(path.c_str(), 0600) != 0 || !untrusted(), "a FIFO, without waiting");
  wrong += wrong_if(symlink(dir.c_str(), (scratch / "alias").c_str()) != 0 ||
                        !is_error(read_session(scratch / "alias", "5"), Errc::untrusted),
                    "a link to the directory");
  return wrong;
}

int wrong_replacing() {
  const ScratchDir scratch;
  const std::string dir = scratch / "sessions";
  Session dead = sample(5);
  dead.leader = dead_process();
  int wrong = wrong_if(!register_session(dir, dead) || !note_grant_used(dir, 5, digest_of(1)), "registered");
  Session later = sample(5);
  later.subject = "bob";
  wrong += wrong_if(!is_error(register_session(dir, later), Errc::mismatch),
                    "nothing takes a record's place, for what the dead leader's session left must be ended under it");
  const auto kept = read_session(dir, "5");
  wrong += wrong_if(!kept || kept->subject != "alice" || noted(dir, 5).size() != 1, "and keeps its record and notes");
  return wrong;
}

// A session without an audit id of its own.
int wrong_without_audit() {
  const ScratchDir scratch;
  const std::string dir = scratch / "sessions";
  Session s = sample(5);
  s.audit = kNoAuditSession;
  s.logind = "c7";
  s.observed = true;
  int wrong = wrong_if(session_name(s) != "logind-c7" || !register_session(dir, s), "registered");
  const auto back = read_session(dir, "logind-c7");
  wrong += wrong_if(!back || back->audit != kNoAuditSession || !back->observed, "read");
  wrong += wrong_if(read_session(dir, std::to_string(kNoAuditSession)).has_value(), "not under the unset id");
  wrong += wrong_if(!register_session(dir, sample(5)) || !note_grant_used(dir, 5, digest_of(1)), "another");
  write_text(dir + "/9.new", "left by a crash");
  const auto registry = read_registry(dir);
  wrong += wrong_if(!registry || registry->names != std::vector<std::string>{"5", "logind-c7"}, "all names");
  wrong += wrong_if(rename((dir + "/logind-c7").c_str(), (dir + "/logind-c8").c_str()) != 0 ||
                        !is_error(read_session(dir, "logind-c8"), Errc::malformed),
                    "under another's name");
  return wrong;
}

int wrong_notes() {
  const ScratchDir scratch;
  const std::string dir = scratch / "sessions";
  int wrong = wrong_if(!is_error(note_grant_used(dir, 5, digest_of(1)), Errc::unavailable), "no directory");
  if (!register_session(dir, sample(5)) || !register_session(dir, sample(55))) return 1;
  wrong += wrong_if(!is_error(note_grant_used(dir, 6, digest_of(1)), Errc::unavailable), "no session");
  wrong += wrong_if(!noted(dir, 5).empty(), "none");
  for (int i = 0; i < 3; ++i) wrong += wrong_if(!note_grant_used(dir, 5, digest_of(1)), "again and again");
  wrong += wrong_if(noted(dir, 5) != std::vector<Digest>{digest_of(1)}, "is one");
  wrong += wrong_if(!noted(dir, 55).empty(), "and no other session's");
  write_text(dir + "/5.00", "");
  write_text(dir + "/5.new", "");
  std::vector<std::thread> writers;
  std::array<int, 8> failed{};
  for (std::size_t t = 0; t < failed.size(); ++t) {
    writers.emplace_back([&, t] {
      for (std::uint8_t g = 1; g <= 50; ++g) failed[t] += note_grant_used(dir, 5, digest_of(g)) ? 0 : 1;
    });
  }
  for (auto& w : writers) w.join();
  wrong += wrong_if(failed != decltype(failed){} || noted(dir, 5).size() != 50, "eight at once");
  unregister_session(dir, "5");
  return wrong + wrong_if(!noted(dir, 5).empty() || !read_session(dir, "55"), "gone with the session, and alone");
}

// In a child with an audit session of its own, where the kernel lets us: as root, and not in a container that may not.
int wrong_in_session(int (*test)()) {
  const pid_t child = fork();
  if (child == 0) {
    write_text("/proc/self/loginuid", std::to_string(geteuid()));
    if (!audit_session(0)) print_message("no audit session can be had here: only the refusal was tested\n");
    _exit(test());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return wrong_if(status != 0, "in a child");
}

int wrong_as_caller() {
  const ScratchDir scratch;
  const std::string dir = scratch / "sessions";
  int wrong = wrong_if(control_group(0).empty() || control_group(0)[0] != '/', "a control group");
  wrong += wrong_if(control_group(0) != control_group(getpid()), "the same by pid");
  wrong += wrong_if(audit_session(0) != audit_session(getpid()), "the same session by pid");
  wrong += wrong_if(audit_session(dead_process()).has_value() || !control_group(dead_process()).empty(), "nobody's");
  const auto audit = audit_session(0);
  if (!audit) return wrong + wrong_if(!is_error(session_of_caller(dir, "deploy", 1000), Errc::not_found), "no login");
  Session own = sample(*audit);
  own.control_group = control_group(0);
  const auto refused = [&](const Session& s, const char* account, uid_t uid, Errc why) {
    unregister_session(dir, std::to_string(*audit));
    return register_session(dir, s) && is_error(session_of_caller(dir, account, uid), why);
  };
  wrong += wrong_if(!is_error(session_of_caller(dir, "deploy", 1000), Errc::not_found), "not registered");
  wrong += wrong_if(!register_session(dir, own) || !session_of_caller(dir, "deploy", 1000), "its own");
  wrong += wrong_if(!refused(own, "alice", 1000, Errc::mismatch), "another account");
  wrong += wrong_if(!refused(own, "deploy", 1001, Errc::mismatch), "another uid");
  Session over = own;
  over.leader_start = "1";
  wrong += wrong_if(!refused(over, "deploy", 1000, Errc::mismatch), "its leader is gone");
  Session elsewhere = own;
  elsewhere.control_group += "x";
  wrong += wrong_if(!refused(elsewhere, "deploy", 1000, Errc::mismatch), "another control group");
  elsewhere.control_group = "";
  wrong += wrong_if(!refused(elsewhere, "deploy", 1000, Errc::mismatch), "no control group");
  return wrong;
}

int wrong_caller() {
  return wrong_in_session(wrong_as_caller);
}

int wrong_dead_leader() {
  const ScratchDir scratch;
  Session s = sample(5);
  int wrong = wrong_if(!leader_lives(s), "this process lives");
  s.leader_start = "1";
  wrong += wrong_if(leader_lives(s), "another start");
  s.leader_start = "";
  wrong += wrong_if(leader_lives(s), "no start");
  s.leader = dead_process();
  return wrong + wrong_if(leader_lives(s), "no process, no start");
}

#define TEST(name)                       \
  void test_##name(void**) {             \
    assert_int_equal(wrong_##name(), 0); \
  }
TEST(round_trip)
TEST(damage)
TEST(trust)
TEST(replacing)
TEST(without_audit)
TEST(notes)
TEST(caller)
TEST(dead_leader)

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_damage),
                              cmocka_unit_test(test_trust),         cmocka_unit_test(test_replacing),
                              cmocka_unit_test(test_without_audit), cmocka_unit_test(test_notes),
                              cmocka_unit_test(test_caller),        cmocka_unit_test(test_dead_leader)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
