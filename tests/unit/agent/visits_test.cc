// What came to a personal account during a visit ends with its last grant; what stood before goes on.
#include "agent/visits.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/agent/visit_world.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

constexpr char kWaiting[] = "a0000301c8a063", kAnother[] = "a0000401c8a063", kRunning[] = "=0000501c8a063",
               kRunningBefore[] = "=0000701c8a063";

constexpr char kRanLongAgo[] = "a0000600000001";  // was due in 1970

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// --- nothing, or nothing but what comes with every login

int wrong_nothing() {
  VisitWorld w;
  w.login();
  int wrong = wrong_if(!std::filesystem::exists(w.record()), "kept in a file at once");
  wrong += wrong_if(w.end() != 250, "over when two looks found nothing");
  wrong += wrong_if(w.open() || std::filesystem::exists(w.record()), "closed");
  wrong += wrong_if(!w.journal.told.empty() || !w.host.done.empty(), "and not a word");
  VisitWorld m;
  m.login();
  m.manager();
  m.add(manager_group(m.uid) + "/session.slice/dbus.service", kManagerAudit, "dbus-daemon");
  wrong += wrong_if(m.end() < 0 || !m.host.processes.empty(), "the user manager goes");
  return wrong + wrong_if(!m.journal.told.empty(), "which is nothing to tell");
}

// --- the user manager

int wrong_manager() {
  VisitWorld w;
  w.login();
  w.manager();
  w.unit("run-r1.service");
  w.linger();
  int wrong = wrong_if(w.end() < 0 || !w.host.processes.empty(), "all of it goes");
  wrong += wrong_if(w.lingers(), "lingering is off");
  wrong += wrong_if(w.why(Event::visit_cleaned) != "lingering, user manager with sleep", "told");
  return wrong + wrong_if(w.journal.told.size() != 1, "once");
}

int wrong_stubborn_manager() {
  VisitWorld w;
  w.host.manager_obeys = false;
  w.login();
  const pid_t manager = w.manager(), unit = w.unit("run-r1.service");
  w.visits->end("alice", VisitWorld::kNow);
  int wrong = wrong_if(!w.host.has(unit) || !contains(w.host.done, "terminate-user"), "asked first");
  w.host.now += Milliseconds(300);
  w.visits->end("alice", VisitWorld::kNow);
  wrong += wrong_if(w.host.has(unit) || !w.host.has(manager), "then what it runs");
  w.host.now += Milliseconds(1700);
  w.visits->end("alice", VisitWorld::kNow);
  wrong += wrong_if(w.host.has(manager), "then itself");
  wrong += wrong_if(w.end() < 0, "over");
  VisitWorld hybrid;
  hybrid.host.manager_obeys = hybrid.host.has_cgroup_kill = false;
  hybrid.login();
  hybrid.manager();
  hybrid.unit("run-r1.service");
  return wrong + wrong_if(hybrid.end() < 0 || !hybrid.host.processes.empty(), "without cgroup.kill one by one");
}

int wrong_lingered() {
  VisitWorld w;
  w.linger();
  const pid_t manager = w.manager(), old = w.unit("web.service", "nginx");
  w.pass();
  w.login();
  const pid_t restarted = w.unit("web.service/worker", "nginx"), fresh = w.unit("run-r1.scope", "miner");
  const pid_t in_slice = w.add(manager_group(w.uid) + "/app.slice", kManagerAudit, "hider");
  const pid_t own_group = w.add(manager_group(w.uid) + "/mine/deeper", kManagerAudit, "hider");
  std::string deep = manager_group(w.uid) + "/app.slice/deep.service";
  for (int i = 0; i < 20; ++i) deep += "/d";
  const pid_t hidden = w.add(deep, kManagerAudit, "hider");
  int wrong = wrong_if(w.end() < 0 || w.host.has(hidden), "over");
  wrong += wrong_if(!w.host.has(manager) || !w.host.has(old) || !w.host.has(restarted), "what stood before");
  wrong += wrong_if(w.host.has(fresh) || w.host.has(in_slice) || w.host.has(own_group), "what came");
  for (const std::string& group : w.host.groups_killed) {
    wrong +=
        wrong_if(group.find("web.service") != std::string::npos || is_below(manager_group(w.uid) + "/app.slice", group),
                 "no group that others are in");
  }
  wrong += wrong_if(!w.lingers() || !w.host.done.empty(), "logind is asked for nothing");
  return wrong + wrong_if(w.why(Event::visit_cleaned) != "user manager with hider, miner", "told");
}

int wrong_restarting() {
  VisitWorld w;
  w.linger();
  w.manager();
  w.pass();
  w.login();
  w.unit("evil.service", "evil");
  w.host.on_death = [&](const Process& p) {
    if (p.name == "evil") w.unit("evil.service", "evil");
  };
  int wrong = wrong_if(w.end(4900) >= 0 || w.journal.count(Event::visit_not_cleaned) != 0, "five seconds in silence");
  wrong += wrong_if(w.end(58'000) >= 0 || w.journal.count(Event::visit_not_cleaned) != 1, "told");
  wrong += wrong_if(w.why(Event::visit_not_cleaned).find("evil (") == std::string::npos, "by name");
  wrong += wrong_if(w.end(60'000) >= 0 || w.journal.count(Event::visit_not_cleaned) != 2, "again each minute");
  w.host.on_death = nullptr;
  wrong += wrong_if(w.end() < 0 || w.journal.count(Event::visit_cleaned) != 1, "until it is gone");
  return wrong;
}

int wrong_silent_logind() {
  VisitWorld w;
  w.host.logind_works = false;
  w.login();
  w.linger();
  int wrong = wrong_if(w.end(6000) >= 0 || w.why(Event::visit_not_cleaned) != "lingering", "not over, and told");
  wrong += wrong_if(w.host.done.size() < 5 || w.host.done.size() > 7, "asked again each second");
  w.host.logind_works = true;
  return wrong + wrong_if(w.end() < 0 || w.lingers(), "until it is off");
}

// --- other sessions

int wrong_door() {
  VisitWorld w;
  w.login();
  w.manager();
  const pid_t unit = w.unit("run-r1.service");
  w.host.sessions["3"] = "login";
  int wrong = wrong_if(w.end(200'000) >= 0 || !w.host.has(unit) || !w.host.done.empty(), "left while it stands open");
  wrong += wrong_if(w.journal.count(Event::visit_not_cleaned) != 1, "told once, not each minute");
  wrong += wrong_if(w.why(Event::visit_not_cleaned).find("session 3 (login)") == std::string::npos, "which");
  wrong += wrong_if(w.visits->again("alice") != Visits::kAgainAtDoor, "without haste");
  w.host.sessions.clear();
  return wrong + wrong_if(w.end() < 0 || w.host.has(unit), "ended when it is shut");
}

struct SuCase {
  const char* name;
  const char* service;
  bool of_login;  // its processes descend from a login of the account
  bool before;    // it stood before
  bool ends;
};
const SuCase kSuCases[] = {
    {"su from an at job", "su-l", true, false, true},
    {"sudo -i from one", "sudo-i", true, false, true},
    {"su by a service of root's", "su", false, false, false},
    {"su that stood before", "su", true, true, false},
    {"what cron runs where it has a session", "crond", true, false, false},
};

int wrong_su() {
  int wrong = 0;
  for (const SuCase& c : kSuCases) {
    VisitWorld w;
    pid_t in_it = 0;
    const auto begin = [&] {
      in_it = w.add(session_group(w.uid, "70"), c.of_login ? kAtAudit : kNoAudit);
      w.host.sessions["70"] = c.service;
    };
    if (c.before) begin();
    w.pass();
    w.login();
    if (!c.before) begin();
    const pid_t manager = w.manager();
    wrong += wrong_if(w.end() < 0 || w.host.has(in_it) == c.ends, c.name);
    wrong += wrong_if(w.host.has(manager), "none is a door");
    wrong += wrong_if(contains(w.host.done, "terminate-user") && !c.ends, "which would end what is not ours");
  }
  return wrong;
}

// --- at

int wrong_at() {
  VisitWorld w;
  w.job(kWaiting);
  w.job(kRunningBefore);
  const pid_t daemon = w.add("/system.slice/atd.service", kNoAudit, "atd");
  w.process(daemon).uid = w.uid + 1;
  const pid_t old_background = w.of_at(60);
  w.pass();
  w.login();
  w.job(kAnother);
  w.job(kRunning);
  const pid_t shell = w.of_at(), background = w.of_at();
  const pid_t own_atd = w.of_at(kAtAudit, "atd");
  w.process(own_atd).uid = w.uid + 1;
  const pid_t without_login = w.of_at(kNoAudit);
  const pid_t child_of_old = w.of_at(60), of_cron = w.add("/system.slice/cron.service", 61);
  int wrong = wrong_if(w.end() < 0, "over");
  wrong += wrong_if(w.has_job(kAnother) || w.has_job(kRunning), "jobs that came are gone");
  wrong += wrong_if(!w.has_job(kWaiting) || !w.has_job(kRunningBefore), "those before wait and run");
  wrong += wrong_if(w.host.has(shell) || w.host.has(background) || w.host.has(own_atd) || w.host.has(without_login),
                    "what they run is gone");
  wrong += wrong_if(!w.host.has(daemon), "at's daemon lives");
  wrong += wrong_if(!w.host.has(old_background) || !w.host.has(child_of_old), "and what a job before runs");
  wrong += wrong_if(!w.host.has(of_cron), "and what cron runs");
  wrong += wrong_if(w.why(Event::visit_cleaned) != "2 at jobs, 4 processes of at jobs", "told");
  return wrong + wrong_if(w.journal.count(Event::visit_not_cleaned) != 0, "nothing in doubt");
}

int wrong_at_that_multiplies() {
  VisitWorld w;
  w.login();
  w.of_at(kAtAudit, "forker");
  int left = 30;
  w.host.on_death = [&](const Process&) {
    if (left-- > 0) w.of_at(kAtAudit, "forker");
  };
  return wrong_if(w.end() < 0 || !w.host.processes.empty(), "a job that forks as it is killed");
}

std::string hex_minutes(std::int64_t minutes) {
  char digits[16];
  demand(std::snprintf(digits, sizeof digits, "%08llx", static_cast<unsigned long long>(minutes)) == 8);
  return digits;
}

// A job that stood before has run, so that what came since may be its.
int wrong_doubt() {
  VisitWorld w;
  const std::string old = w.job(kRanLongAgo);
  w.pass();
  w.login();
  std::filesystem::remove(old);
  w.job(kAnother);
  const pid_t successor = w.of_at(70);
  // Made before that one was due, for all that is known: not its.
  const std::string running = w.job(kRunning);
  const struct timespec long_ago[2] = {{30, 0}, {30, 0}};
  ::utimensat(AT_FDCWD, running.c_str(), long_ago, 0);
  const pid_t shell = w.of_at(72), child = w.of_at(72);
  w.host.files[shell] = {"/dev/null",
                         "/var/spool/cron/atspool/" + std::string(kRunning).replace(0, 1, "a") + " (deleted)"};
  int wrong = wrong_if(w.end() < 0, "over");
  wrong += wrong_if(!w.has_job(kAnother) || !w.host.has(successor), "left alone");
  wrong += wrong_if(w.has_job(kRunning) || w.host.has(shell) || w.host.has(child), "what is surely new is not");
  const std::string why = w.why(Event::visit_not_cleaned);
  wrong += wrong_if(why.find("at job 4") == std::string::npos || why.find("sh (") == std::string::npos, "told");
  wrong += wrong_if(w.journal.count(Event::visit_not_cleaned) != 1, "once");
  // A job not due for long says nothing about what runs now.
  VisitWorld later;
  const std::string removed = later.job("a00006" + hex_minutes(wall_clock() / 60'000'000'000 + 1440));
  later.pass();
  later.login();
  std::filesystem::remove(removed);
  later.job(kAnother);
  const pid_t at = later.of_at();
  wrong += wrong_if(later.end() < 0 || later.has_job(kAnother) || later.host.has(at), "not due: not its");
  wrong += wrong_if(later.journal.count(Event::visit_not_cleaned) != 0, "no doubt");
  // One that ran at the login has ended, and may have made its successor; what it left running is known.
  VisitWorld ended;
  const std::string before = ended.job(kRunningBefore);
  const pid_t of_it = ended.of_at(60);
  ended.pass();
  ended.login();
  std::filesystem::remove(before);
  ended.job(kAnother);
  const pid_t fresh = ended.of_at();
  wrong += wrong_if(ended.end() < 0 || !ended.has_job(kAnother) || !ended.host.has(of_it), "a successor");
  return wrong + wrong_if(ended.host.has(fresh), "but no process");
}

int wrong_unremovable() {
  if (::geteuid() == 0) return 0;  // nothing refuses root; the system test has a read-only one
  VisitWorld w;
  w.login();
  w.job(kAnother);
  ::chmod(w.places.at_spools[0].c_str(), 0500);
  int wrong =
      wrong_if(w.end(6000) >= 0 || w.why(Event::visit_not_cleaned).find("at job 4") == std::string::npos, "told");
  ::chmod(w.places.at_spools[0].c_str(), 0700);
  return wrong + wrong_if(w.end() < 0, "over");
}

// What at's daemon is itself: root's, of no login, and younger than the visit when it was restarted.
int wrong_at_of_root() {
  VisitWorld w;
  Session root = w.session();
  root.account = "root";
  root.uid = 0;
  w.began(root, true);
  const pid_t daemon = w.of_at(kNoAudit, "atd"), job = w.of_at(kAtAudit, "sh");
  w.process(daemon).uid = w.process(job).uid = w.process(job).login_uid = 0;
  bool over = false;
  for (int i = 0; i < 4 && !over; ++i) over = w.visits->end("root", VisitWorld::kNow);
  return wrong_if(!over || !w.host.has(daemon) || w.host.has(job), "lives, though a job of root's does not");
}

#define TEST(name)                       \
  void test_##name(void**) {             \
    assert_int_equal(wrong_##name(), 0); \
  }
TEST(nothing)
TEST(manager)
TEST(stubborn_manager)
TEST(lingered)
TEST(restarting)
TEST(silent_logind)
TEST(door)
TEST(su)
TEST(at)
TEST(at_that_multiplies)
TEST(doubt)
TEST(unremovable)
TEST(at_of_root)
#undef TEST

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_manager),
      cmocka_unit_test(test_stubborn_manager),
      cmocka_unit_test(test_lingered),
      cmocka_unit_test(test_restarting),
      cmocka_unit_test(test_silent_logind),
      cmocka_unit_test(test_door),
      cmocka_unit_test(test_su),
      cmocka_unit_test(test_at),
      cmocka_unit_test(test_at_that_multiplies),
      cmocka_unit_test(test_doubt),
      cmocka_unit_test(test_unremovable),
      cmocka_unit_test(test_at_of_root),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
