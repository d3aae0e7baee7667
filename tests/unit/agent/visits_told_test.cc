// The record of a visit: when it is made, what it survives; and what is only told: crontabs, shared accounts.
#include "agent/visits.h"
#include "tests/unit/agent/visit_world.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

constexpr char kWaiting[] = "a0000301c8a063", kAnother[] = "a0000401c8a063";

// --- crontabs

struct CronCase {
  const char* name;
  const char* before;
  const char* after;
  const char* told;  // nullptr: nothing
};
const CronCase kCronCases[] = {
    {"nothing changed", "1 2 * * * a\n", "1 2 * * * a\n", nullptr},
    {"comments and space", "1 2 * * * a\n", "# hello\n\n  1 2 * * * a", nullptr},
    {"a line came", "1 2 * * * a\n", "1 2 * * * a\n* * * * * b\n", "* * * * * b"},
    {"a line twice", "1 2 * * * a\n", "1 2 * * * a\n1 2 * * * a\n", "1 2 * * * a"},
    {"a crontab came", nullptr, "SHELL=/x\n* * * * * b\n", "SHELL=/x; * * * * * b"},
    {"lines moved", "SHELL=/x\n1 2 * * * a\n", "1 2 * * * a\nSHELL=/x\n", "lines were removed or moved"},
    {"many", nullptr, "@daily a\n@daily b\n@daily c\n@daily d\n@daily e\n@daily f\n",
     "@daily a; @daily b; @daily c; @daily d; @daily e; and 1 lines more"},
    {"no control characters", nullptr, "@daily a\x1b[2J\n", "@daily a\\x1b[2J"},
};

int wrong_crontabs() {
  int wrong = 0;
  for (const bool personal : {true, false}) {
    for (const CronCase& c : kCronCases) {
      VisitWorld w;
      if (c.before != nullptr) w.crontab(c.before);
      w.pass();
      w.login(personal);
      w.crontab(c.after);
      wrong += wrong_if(w.end() < 0, c.name);
      wrong += wrong_if(w.journal.count(Event::crontab_changed) != (c.told != nullptr ? 1 : 0), c.name);
      wrong += wrong_if(c.told != nullptr && w.why(Event::crontab_changed) != c.told, c.name);
    }
  }
  return wrong;
}

// --- when the record is made

// The agent was away at the login, and the session had its time.
int wrong_late_agent() {
  VisitWorld w;
  w.job(kWaiting);
  w.pass();
  const Session s = w.session();
  w.pass();
  w.linger();
  w.manager();
  w.job(kAnother);
  w.crontab("@daily a\n");
  w.pass();
  w.began(s, true);
  int wrong = wrong_if(w.end() < 0 || w.lingers() || w.has_job(kAnother) || !w.host.processes.empty(), "all new");
  wrong += wrong_if(!w.has_job(kWaiting), "this stood before");
  wrong += wrong_if(w.why(Event::crontab_changed) != "@daily a", "and the crontab");
  VisitWorld lingering;
  lingering.linger();
  const pid_t old = lingering.unit("web.service");
  lingering.pass();
  const Session since = lingering.session();
  lingering.pass();
  const pid_t fresh = lingering.unit("miner.service"), worker = lingering.unit("web.service");
  lingering.began(since, true);
  wrong += wrong_if(lingering.end() < 0 || lingering.host.has(fresh), "a new unit beside old ones");
  return wrong + wrong_if(!lingering.host.has(old) || !lingering.host.has(worker), "which live");
}

// Two sessions are found at once, the later first.
int wrong_later_first() {
  VisitWorld w;
  w.linger();
  w.manager();
  w.unit("web.service");
  w.pass();
  const Session first = w.session(5);
  w.pass();
  const pid_t evil = w.unit("evil.service");
  const pid_t at = w.of_at();
  w.job(kAnother);
  w.crontab("@daily a\n");
  w.pass();
  w.began(w.session(6), true);
  w.began(first, true);
  int wrong = wrong_if(w.end() < 0 || w.host.has(evil) || w.host.has(at) || w.has_job(kAnother), "the first counts");
  wrong += wrong_if(!w.lingers() || w.host.processes.size() != 2, "what stood before both");
  return wrong + wrong_if(w.why(Event::crontab_changed) != "@daily a", "and the crontab");
}

int wrong_restart() {
  VisitWorld w;
  w.linger();
  w.job(kWaiting);
  w.crontab("@daily a\n");
  const pid_t old = w.unit("web.service");
  w.pass();
  w.login();
  w.start_agent();
  int wrong = wrong_if(!w.open(), "known after a restart of the agent");
  // The machine was started anew: lingering services run again, processes count from zero.
  w.places.boot = "boot-2";
  w.host.processes.clear();
  w.host.now = Milliseconds(5000);
  const pid_t again = w.unit("web.service"), fresh = w.unit("miner.service"), at = w.of_at();
  w.job(kAnother);
  w.start_agent();
  wrong += wrong_if(w.end() < 0 || !w.host.has(again) || w.host.has(fresh) || w.host.has(at), "after a reboot");
  wrong += wrong_if(!w.lingers() || !w.has_job(kWaiting) || w.has_job(kAnother), "files too");
  return wrong + wrong_if(old == again || w.journal.count(Event::crontab_changed) != 0, "and the crontab");
}

int wrong_relogin() {
  VisitWorld w;
  w.host.manager_obeys = false;
  w.login();
  w.manager();
  w.job(kWaiting);
  w.visits->end("alice", VisitWorld::kNow);
  w.pass();
  w.began(w.session(9), true);
  int wrong = wrong_if(w.journal.count(Event::visit_cleaned) != 1, "what was ended so far is told");
  w.job(kAnother);
  w.host.now += Milliseconds(3'600'000);
  return wrong + wrong_if(w.end() < 0 || w.has_job(kAnother) || !w.host.processes.empty(), "the visit goes on");
}

// --- damage and full disks

const char* const kDamage[] = {"", "{", "[]", "{\"format\":\"visit/2\"}"};

int wrong_damage() {
  int wrong = 0;
  for (const char* text : kDamage) {
    VisitWorld w;
    w.login();
    write_text(w.record(), text);
    w.start_agent();
    wrong += wrong_if(w.journal.count(Event::visit_damaged) != 1, "told");
    wrong += wrong_if(!std::filesystem::exists(w.record() + ".damaged"), "set aside");
    w.start_agent();
    wrong += wrong_if(w.journal.count(Event::visit_damaged) != 1 || !w.open(), "and remembered");
    w.began(w.session(), true);
    const pid_t unit = w.unit("run-r1.service");
    w.linger();
    w.job(kAnother);
    wrong += wrong_if(w.end() != 0 || !w.host.has(unit) || !w.lingers() || !w.has_job(kAnother), "nothing is ended");
    const std::string why = w.why(Event::visit_not_cleaned);
    wrong += wrong_if(why.find("lingering, at job 4, the user manager with sleep (") == std::string::npos, "but told");
  }
  return wrong;
}

int wrong_disk() {
  VisitWorld w;
  w.places.visits = w.dir.path() + "/missing/visits";
  w.start_agent();
  w.login();
  w.linger();
  int wrong = wrong_if(w.journal.count(Event::storage_failed) != 1, "told");
  std::filesystem::create_directory(w.dir.path() + "/missing");
  w.host.logind_works = false;
  w.end(2000);
  wrong += wrong_if(!std::filesystem::exists(w.record()), "written when it can be");
  wrong += wrong_if(w.journal.count(Event::storage_recovered) != 1, "told too");
  w.host.logind_works = true;
  return wrong + wrong_if(w.end() < 0 || w.lingers(), "kept in memory meanwhile");
}

int wrong_names() {
  int wrong = 0;
  for (const char* name : {"", ".", "..", "a/b", "../../etc/cron.d/x", ".hidden"}) {
    VisitWorld w;
    Session s = w.session();
    s.account = name;
    w.began(s, true);
    wrong += wrong_if(w.open() || std::filesystem::exists(w.places.visits), name);
  }
  return wrong;
}

// --- shared accounts

int wrong_shared() {
  VisitWorld w;
  w.job(kWaiting);
  w.unit("old.service");
  w.of_at(60);
  w.pass();
  w.login(false);
  w.host.sessions["70"] = "su-l";  // made from within, of what at runs
  w.manager();
  w.add(session_group(w.uid, "6"), 6);                                       // another session that lives
  w.add("/system.slice/web.service", kNoAudit, "daemon");                    // a service of the account
  w.process(w.add("/system.slice/ssh.service", 8, "sshd")).uid = w.uid + 1;  // a login in progress
  w.host.sessions["9"] = "sshd";                                             // one not seen yet
  w.add(session_group(w.uid, "9"), 9);
  w.add("/system.slice/cron.service", 61);
  const pid_t left = w.unit("run-r1.service"), at = w.of_at();
  w.linger();
  w.job(kAnother);
  w.visits->session_over(w.session(), false, {6});
  int wrong = wrong_if(w.journal.count(Event::account_left_running) != 1, "told");
  wrong += wrong_if(w.why(Event::account_left_running) != "lingering, at job 4", "what");
  const std::string names = "sleep (" + std::to_string(left) + "), sh (" + std::to_string(at) + ")";
  wrong += wrong_if(!w.journal.says(Event::account_left_running, names), "and which processes, no others");
  w.visits->session_over(w.session(6), false, {6});
  wrong += wrong_if(w.journal.told.size() != 1, "once");
  w.of_at(kAtAudit, "more");
  w.visits->session_over(w.session(6), false, {6});
  wrong += wrong_if(w.journal.told.size() != 1, "not for each of many sessions");
  w.host.now += Milliseconds(1000);
  w.visits->session_over(w.session(6), false, {6});
  wrong +=
      wrong_if(w.journal.told.size() != 2 || !w.journal.says(Event::account_left_running, "more ("), "what is more");
  const std::size_t processes = w.host.processes.size();
  w.host.end_those([](const Process& p) { return p.audit == 6; });
  wrong += wrong_if(w.end() != 0 || w.host.processes.size() != processes - 1 || !w.lingers() || !w.has_job(kAnother),
                    "nothing is ended");
  return wrong + wrong_if(w.journal.told.size() != 2 || w.open() || !w.host.done.empty(), "and no more is said");
}

int wrong_both() {
  VisitWorld w;
  w.login(true);
  w.began(w.session(6), false);
  w.start_agent();
  w.linger();
  return wrong_if(w.end() != 0 || !w.lingers() || w.journal.count(Event::account_left_running) != 1,
                  "one visitor who is not the owner makes it shared");
}

#define TEST(name)                       \
  void test_##name(void**) {             \
    assert_int_equal(wrong_##name(), 0); \
  }
TEST(crontabs)
TEST(late_agent)
TEST(later_first)
TEST(restart)
TEST(relogin)
TEST(damage)
TEST(disk)
TEST(names)
TEST(shared)
TEST(both)
#undef TEST

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_crontabs), cmocka_unit_test(test_late_agent), cmocka_unit_test(test_later_first),
      cmocka_unit_test(test_restart),  cmocka_unit_test(test_relogin),    cmocka_unit_test(test_damage),
      cmocka_unit_test(test_disk),     cmocka_unit_test(test_names),      cmocka_unit_test(test_shared),
      cmocka_unit_test(test_both),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
