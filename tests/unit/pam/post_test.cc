#include "pam/post.h"

#include <cstring>

#include "host/key_record.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

// Process 77 in session 5 of uid 1000, as logind 252 writes it.
constexpr char kFile[] =
    "# This is private data. Do not parse.\nUID=1000\nUSER=deploy\nACTIVE=1\nIS_DISPLAY=0\nSTATE=active\nREMOTE=1\n"
    "TYPE=tty\nCLASS=user\nSCOPE=session-5.scope\nFIFO=/run/systemd/sessions/5.ref\nREMOTE_HOST=127.0.0.1\n"
    "SERVICE=sshd\nPOS=0\nLEADER=77\nAUDIT=5\nREALTIME=1\n";
constexpr char kGroup[] = "/user.slice/user-1000.slice/session-5.scope";
constexpr std::optional<std::uint32_t> kUnset;

struct Case {
  const char* name;
  std::string file;
  const char* logind = "5";
  std::optional<std::uint32_t> audit = 5, of_sshd = kUnset, of_init = kUnset;
  uid_t uid = 1000;
  const char* group = kGroup;
  const char* why;  // empty: confirmed and registered
  bool confirmed = false;
  mode_t mode = 0644;
};

std::string with(const char* from, const char* to) {
  std::string file = kFile;
  return file.replace(file.find(from), strlen(from), to);
}

std::vector<Case> cases() {
  const char *other = "logind_session_of_another", *none = "no_logind_session";
  return {
      {.name = "as it should be", .file = kFile, .why = "", .confirmed = true},
      {.name = "sshd and PID 1 of other sessions",
       .file = kFile,
       .of_sshd = 1,
       .of_init = 2,
       .why = "",
       .confirmed = true},
      {.name = "pam_systemd made none", .file = kFile, .logind = "", .why = none},
      {.name = "a path for a name", .file = kFile, .logind = "../5", .why = none},
      {.name = "a path for a name, with a dot", .file = kFile, .logind = "./5", .why = none},
      {.name = "a session that logind does not know", .file = kFile, .logind = "6", .why = other},
      {.name = "no leader", .file = with("LEADER=77\n", ""), .why = other},
      {.name = "another leader", .file = with("LEADER=77", "LEADER=78"), .why = other},
      {.name = "a leader that begins alike", .file = with("LEADER=77", "LEADER=770"), .why = other},
      {.name = "two leaders", .file = with("LEADER=77", "LEADER=77\nLEADER=78"), .why = other},
      {.name = "two leaders, the other way", .file = with("LEADER=77", "LEADER=78\nLEADER=77"), .why = other},
      {.name = "leader in another value", .file = with("LEADER=77", "X_LEADER=77"), .why = other},
      {.name = "cut before the line's end",
       .file = std::string(kFile).substr(0, std::string_view(kFile).find("\nAUDIT")),
       .why = other},
      {.name = "another user", .file = kFile, .uid = 1001, .why = other},
      {.name = "nobody's uid", .file = kFile, .uid = static_cast<uid_t>(-1), .why = other},
      {.name = "empty", .file = "", .why = other},
      {.name = "a file that others may write", .file = kFile, .why = other, .mode = 0646},
      {.name = "another audit id", .file = with("AUDIT=5", "AUDIT=6"), .why = "logind_audit_id_differs"},
      {.name = "two audit ids", .file = with("AUDIT=5", "AUDIT=5\nAUDIT=6"), .why = "logind_audit_id_differs"},
      {.name = "logind looks at no audit ids", .file = with("AUDIT=5\n", ""), .why = "", .confirmed = true},
      {.name = "in sshd's own control group",
       .file = kFile,
       .group = "/system.slice/ssh.service",
       .why = "not_in_session_scope"},
      {.name = "in another session's", .file = kFile, .group = "/x/session-55.scope", .why = "not_in_session_scope"},
      {.name = "in one that ends alike",
       .file = kFile,
       .group = "/x/my-session-5.scope",
       .why = "not_in_session_scope"},
      {.name = "control group unknown", .file = kFile, .group = "", .why = "not_in_session_scope"},
      {.name = "audit id unset",
       .file = with("AUDIT=5\n", ""),
       .audit = kUnset,
       .why = "audit_id_unset",
       .confirmed = true},
      {.name = "sshd's own", .file = with("AUDIT=5\n", ""), .of_sshd = 5, .why = "audit_id_of_sshd", .confirmed = true},
      {.name = "PID 1's", .file = kFile, .of_init = 5, .why = "audit_id_of_pid_1", .confirmed = true},
      {.name = "unset, and not confirmed either", .file = "", .audit = kUnset, .why = other},
  };
}

Verdict alice() {
  Verdict v;
  v.decision = Verdict::Decision::admit;
  v.subject = "alice";
  v.grant = "k7m3-9x2d-q4fh";
  v.request = digest_of(9);
  v.end = from_unix(2000);
  return v;
}

PostPlaces places_in(const ScratchDir& dir) {
  PostPlaces places;
  places.sessions = dir / "sessions";
  places.logind = dir / "logind";
  places.scopes = dir / "scopes";
  std::filesystem::create_directory(places.scopes);
  write_text(places.scopes + "/session-5.scope", "[Scope]\nTasksMax=infinity\nRuntimeMaxSec=10min 2s\n");
  std::filesystem::create_directory(places.logind);
  return places;
}

int wrong_case(const Case& c) {
  const ScratchDir dir;
  const PostPlaces places = places_in(dir);
  write_text(places.logind + "/5", c.file);
  chmod((places.logind + "/5").c_str(), c.mode);
  const LoginProcess process{77, "12345", c.group, c.audit, c.of_sshd, c.of_init};
  const Registration r = register_login(places, process, alice(), "deploy", c.uid, c.logind, false);
  const std::string name = !c.confirmed ? "" : *c.why == 0 ? "5" : "logind-5";
  int wrong = wrong_if(r.why != c.why || r.name != name, c.name);
  const auto record = read_session(places.sessions, name.empty() ? "5" : name);
  if (name.empty()) return wrong + wrong_if(record.has_value(), c.name);
  if (!record) return wrong + wrong_if(true, c.name);
  return wrong + wrong_if(record->audit != (name == "5" ? 5 : kNoAuditSession) || record->observed ||
                              record->logind != "5" || record->subject != "alice" || record->account != "deploy" ||
                              record->uid != 1000 || record->leader != 77 || record->leader_start != "12345" ||
                              record->control_group != kGroup || record->grant_id != "k7m3-9x2d-q4fh" ||
                              !(record->grant == digest_of(9)) || record->end != from_unix(2000),
                          c.name);
}

int wrong_cases() {
  int wrong = 0;
  for (const auto& c : cases()) wrong += wrong_case(c);
  return wrong;
}

// An id that a living leader holds is not taken from him; one that cannot be written does not stop the login.
int wrong_conflicts() {
  const ScratchDir dir;
  const PostPlaces places = places_in(dir);
  write_text(places.logind + "/5", with("LEADER=77", ("LEADER=" + std::to_string(getpid())).c_str()));
  const LoginProcess process{getpid(), process_start(getpid()), kGroup, 5, kUnset, kUnset};
  const auto enter = [&] { return register_login(places, process, alice(), "deploy", 1000, "5", false); };
  int wrong = wrong_if(enter().name != "5", "the first");
  const Registration second = enter();
  wrong += wrong_if(second.name != "logind-5" || second.why != "audit_id_in_use", "the second");
  const Registration third = enter();
  wrong += wrong_if(!third.name.empty() || third.why.empty(), "the third");
  chmod(places.sessions.c_str(), 0755);
  const Registration fourth = enter();
  return wrong + wrong_if(!fourth.name.empty() || fourth.why.empty(), "a directory open to others");
}

// PID 1 silently takes what it cannot read for "no limit".
int wrong_limits() {
  struct Row {
    const char* scope;
    bool good;
  };
  const Row rows[] = {
      {"[Scope]\nRuntimeMaxSec=10min\n", true},
      {"[Scope]\nRuntimeMaxSec=1s\n", true},
      {"[Scope]\nTasksMax=infinity\n", false},
      {"[Scope]\nRuntimeMaxSec=infinity\n", false},
      {"[Scope]\nRuntimeMaxSec=0\n", false},
      {"[Scope]\nRuntimeMaxSec=", false},
      {"[Scope]\nXRuntimeMaxSec=10min\n", false},
      {"[Scope]\nRuntimeMaxSec=10min\nRuntimeMaxSec=infinity\n", false},
      {"", false},
  };
  int wrong = 0;
  for (const Row& row : rows) {
    const ScratchDir dir;
    const PostPlaces places = places_in(dir);
    write_text(places.logind + "/5", kFile);
    write_text(places.scopes + "/session-5.scope", row.scope);
    const LoginProcess process{77, "12345", kGroup, 5, kUnset, kUnset};
    const Registration r = register_login(places, process, alice(), "deploy", 1000, "5", false);
    wrong += wrong_if(r.name.empty() == row.good || (!row.good && r.why != "no_time_limit"), row.scope);
    const Registration observed = register_login(places, process, alice(), "deploy", 1000, "5", true);
    wrong += wrong_if(observed.name.empty(), "watching only, no limit is needed");
  }
  return wrong;
}

int wrong_words() {
  const Verdict v = without_logind(alice(), "no_logind_session");
  int wrong = wrong_if(v.decision != Verdict::Decision::deny || v.why != "no_logind_session" ||
                           v.words.find("systemctl status systemd-logind") == std::string::npos,
                       "refused, with what to do");
  const auto has = [](const EventRecord& r, const char* line) {
    return r.datagram().find(std::string("\n") + line + "\n") != std::string::npos;
  };
  const EventRecord yes = registration_event("deploy", alice(), {"5", ""});
  wrong += wrong_if(!has(yes, "HALLPASS_EVENT=session_registered") || !has(yes, "HALLPASS_SESSION=5") ||
                        !has(yes, "HALLPASS_SUBJECT=alice") || !has(yes, "HALLPASS_ACCOUNT=deploy") ||
                        !has(yes, "HALLPASS_GRANT=k7m3-9x2d-q4fh"),
                    "registered");
  const EventRecord no = registration_event("deploy", alice(), {"logind-5", "audit_id_unset"});
  return wrong + wrong_if(!has(no, "HALLPASS_EVENT=session_not_registered") ||
                              !has(no, "HALLPASS_WHY=audit_id_unset") || !has(no, "HALLPASS_SESSION=logind-5"),
                          "not registered");
}

int wrong_process() {
  const LoginProcess p = this_process();
  return wrong_if(p.pid != getpid() || p.start != process_start(getpid()) || p.control_group != control_group(0) ||
                      p.audit != audit_session(0) || p.of_sshd != audit_session(getppid()) ||
                      p.of_init != audit_session(1),
                  "this process");
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_conflicts(void**) {
  assert_int_equal(wrong_conflicts(), 0);
}
void test_limits(void**) {
  assert_int_equal(wrong_limits(), 0);
}
void test_words(void**) {
  assert_int_equal(wrong_words(), 0);
}
void test_process(void**) {
  assert_int_equal(wrong_process(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_conflicts),
                              cmocka_unit_test(test_limits), cmocka_unit_test(test_words),
                              cmocka_unit_test(test_process)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
