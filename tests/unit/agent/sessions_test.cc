// The sessions of a host in memory: real records in a registry of their own, ends by a machine that does as it is told.
#include "agent/sessions.h"

#include "host/key_record.h"
#include "tests/unit/agent/fake_host.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using namespace hallpass::testing;

Digest digest(std::uint8_t n) {
  Digest d;
  d.bytes[0] = n;
  return d;
}

Command run(const std::string& program) {
  Command c;
  c.as_user = "root";
  c.executables = {program};
  return c;
}

struct World {
  World() {
    places.visits = dir.path() + "/visits";
    places.linger = dir.path() + "/linger";
    places.at_spools = {dir.path() + "/at"};
    places.crontabs = {dir.path() + "/cron"};
    visits = std::make_unique<Visits>(places, host, journal);
    visits->load();
    restart();
  }
  // Another agent process.
  void restart() {
    Sessions::Seams s;
    s.host = &host;
    s.journal = &journal;
    s.visits = visits.get();
    s.registry = registry;
    s.host_name = "web-3";
    s.now = [this] { return from_unix(now); };
    s.powers = [this](const std::string& account, const std::string& subject) {
      return account == "deploy" && subject == "alice" ? powers : std::vector<Power>();
    };
    s.anyone_admitted = [this](const std::string&) { return !powers.empty(); };
    s.personal = [](const std::string&, const std::string&) { return false; };
    s.how_over = [this](const Digest&) { return over; };
    s.runbook = [](const Digest&) { return std::string("restart-web"); };
    sessions = std::make_unique<Sessions>(std::move(s), std::vector<Seconds>{Seconds{60}, Seconds{300}});
    sessions->start();
  }
  // A login: its record, and a process with a terminal.
  void login(std::uint32_t audit = 5, bool observed = false, bool alive = true) {
    Session s;
    s.audit = audit;
    s.logind = std::to_string(audit);
    s.subject = "alice";
    s.account = "deploy";
    s.uid = 1000;
    s.grant_id = "k7m3-9x2d-q4fh";
    s.grant = digest(1);
    s.leader = getpid();
    s.leader_start = alive ? process_start(getpid()) : "1";
    s.control_group = group(audit);
    s.observed = observed;
    demand(static_cast<bool>(register_session(registry, s)));
    host.add(static_cast<pid_t>(audit) * 100, audit, group(audit)).terminal = 136 << 8;
  }
  static std::string group(std::uint32_t audit) {
    return "/user.slice/user-1000.slice/session-" + std::to_string(audit) + ".scope";
  }
  void grant(std::uint8_t n, long long end, const std::vector<Command>* commands = nullptr) {
    powers.push_back({digest(n), from_unix(0), from_unix(end), commands != nullptr ? commands : &none});
  }
  // Time passes, with the looks that the agent's loop would take.
  void pass(long long seconds) {
    for (const Milliseconds until = host.now + Seconds{seconds}; host.now < until;) {
      const auto step = sessions->next_step();
      Milliseconds next = std::min(until, host.now - host.now % 1000 + Milliseconds{1000});
      if (step) next = std::min(next, std::max(*step, host.now));
      host.now = next;
      now = started + (host.now - Milliseconds{1'000'000}).count() / 1000;
      std::erase_if(powers, [&](const Power& p) { return p.end <= from_unix(now); });
      if (step || sessions->next_due() <= from_unix(now)) sessions->look();
    }
  }
  bool registered(const char* name = "5") const { return read_session(registry, name).has_value(); }
  std::string field(Event event, const std::string& name) const {
    for (const Told& t : journal.told) {
      if (t.event != event) continue;
      for (const auto& [n, value] : t.fields) {
        if (n == name) return value;
      }
    }
    return {};
  }
  const std::string& terminal() { return host.terminals[136 << 8]; }

  TempDir dir;
  std::string registry = dir.path() + "/run/sessions";
  FakeHost host;
  FakeJournal journal;
  Visits::Places places;
  std::unique_ptr<Visits> visits;
  std::unique_ptr<Sessions> sessions;
  static constexpr long long started = 1'000'000;
  long long now = started;
  std::vector<Command> none;
  std::vector<Power> powers;
  GrantOver over{"grant k7m3-9x2d-q4fh ended", std::nullopt};
};

int check(bool condition, const char* what) {
  if (!condition) print_error("wrong: %s\n", what);
  return condition ? 0 : 1;
}

int at_its_end() {
  World w;
  w.grant(1, World::started + 100);
  w.over.at = from_unix(World::started + 100);
  w.login();
  w.sessions->look();
  int wrong = check(w.sessions->next_due() == from_unix(World::started + 40), "the next is the warning at one minute");
  wrong += check(w.host.limits["5"] == Seconds{102}, "PID 1 is told two seconds more");
  w.pass(99);
  wrong += check(w.host.has(500) && w.registered(), "it lives in the last second");
  wrong += check(w.terminal().find("ends in 1m") != std::string::npos, "warned");
  wrong +=
      check(w.terminal().find("hallpass request restart-web --target host=web-3") != std::string::npos, "how to stay");
  wrong += check(w.terminal().find("ends in 5m") == std::string::npos, "not of what was over when it began");
  w.pass(2);
  wrong += check(!w.host.has(500) && !w.registered() && w.host.limits.empty(), "over at its end");
  wrong += check(w.terminal().find("is over (grant k7m3-9x2d-q4fh ended)") != std::string::npos, "told why");
  wrong += check(w.field(Event::session_ended, "DELAY") == "30", "on time");
  wrong += check(w.journal.count(Event::session_end_late) == 0, "no alert");
  return wrong;
}

int revoked() {
  World w;
  w.grant(1, World::started + 1000);
  w.login();
  w.sessions->look();
  w.pass(10);
  w.powers.clear();
  w.over = {"grant k7m3-9x2d-q4fh is revoked: revoked by ana: laptop stolen", std::nullopt};
  w.host.deaf = {500};
  w.sessions->look();
  int wrong = check(w.host.has(500), "it may obey for 200 ms");
  w.pass(1);
  wrong += check(!w.host.has(500), "then it is killed");
  return wrong + check(w.field(Event::session_ended, "WHY").find("laptop stolen") != std::string::npos, "why");
}

// A login that registers while its admission goes: the agent publishes first and reads the registry second.
int registered_too_late() {
  World w;
  w.login();
  w.sessions->look();
  w.pass(1);
  return check(!w.host.has(500) && w.journal.count(Event::session_ended) == 1, "ended");
}

int extended() {
  World w;
  w.grant(1, World::started + 100);
  w.login();
  w.sessions->look();
  w.pass(70);
  int wrong = check(w.terminal().find("ends in 1m") != std::string::npos, "warned");
  w.grant(2, World::started + 1000);
  w.sessions->look();
  wrong += check(w.journal.count(Event::session_extended) == 1, "extended");
  wrong += check(w.host.limits["5"] == Seconds{932}, "PID 1 is told");
  w.pass(100);
  wrong += check(w.host.has(500), "lives on");
  w.pass(600);
  wrong += check(w.terminal().find("ends in 5m") != std::string::npos, "warned anew");
  w.pass(300);
  return wrong + check(!w.host.has(500), "until the new end");
}

int used(bool covered) {
  const std::vector<Command> commands = {run("/bin/restart")}, other = {run("/bin/logs")};
  World w;
  w.grant(1, World::started + 100, &commands);
  w.grant(2, World::started + 1000, covered ? &commands : &other);
  w.login();
  demand(static_cast<bool>(note_grant_used(w.registry, 5, digest(1))));
  w.sessions->look();
  w.pass(101);
  int wrong =
      check(w.host.has(500) == covered, covered ? "what was used is covered" : "a lesser grant does not hold it");
  if (!covered)
    wrong += check(w.field(Event::session_ended, "WHY").find("whose sudo was used") != std::string::npos, "why");
  return wrong;
}

int observed() {
  World w;
  w.grant(1, World::started + 10);
  w.login(5, true);
  w.sessions->look();
  w.pass(60);
  w.sessions->look();
  int wrong = check(w.host.has(500) && w.terminal().empty(), "neither ended nor warned");
  wrong += check(w.sessions->next_due() == UnixTime::max(), "nothing is due");
  return wrong + check(w.journal.count(Event::session_would_end) == 1, "told once");
}

int logged_out() {
  World w;
  w.grant(1, World::started + 100);
  w.login(5, false, false);
  w.sessions->look();
  int wrong = check(w.registered() && w.sessions->all()[0].state == Sessions::State::left_behind, "something runs on");
  w.host.processes.clear();
  w.sessions->look();
  wrong += check(!w.registered() && w.journal.count(Event::session_closed) == 1, "closed");
  w.login(6, false, false);
  w.sessions->look();
  w.pass(101);
  return wrong +
         check(!w.host.has(600) && w.journal.count(Event::session_ended) == 1, "what runs on ends with the grant");
}

// Its person asked logind to give the session up: PID 1 no longer looks at the limit of its scope.
int abandoned() {
  World w;
  w.grant(1, World::started + 100);
  w.login();
  w.sessions->look();
  int wrong = check(w.host.left_limits.empty(), "PID 1 looks at the limit of its scope");
  w.host.abandoned = {"5"};
  w.sessions->look();
  w.pass(2);
  wrong += check(w.host.left_limits.count("5") == 1, "PID 1 has another");
  wrong += check(w.sessions->all()[0].state == Sessions::State::live, "it goes on");
  w.host.left_limits.clear();
  w.pass(2);
  wrong += check(w.host.left_limits.empty(), "told once");
  w.grant(2, World::started + 200);
  w.sessions->look();
  w.pass(2);
  wrong += check(w.host.left_limits.count("5") == 1, "moved with the end");
  w.pass(200);
  return wrong + check(!w.host.has(500) && w.host.left_limits.empty(), "ended");
}

int cannot_be_killed() {
  World w;
  w.grant(1, World::started + 10);
  w.over.at = from_unix(World::started + 10);
  w.login();
  w.host.processes[0].state = 'D';
  w.sessions->look();
  w.pass(14);
  int wrong = check(w.journal.count(Event::session_not_ended) == 0, "not yet");
  w.pass(3);
  wrong += check(w.journal.count(Event::session_not_ended) == 1 && w.sessions->not_ended() == 1, "an alert");
  wrong +=
      check(w.field(Event::session_not_ended, "WHY").find("waits for a disk") != std::string::npos, "what is left");
  w.pass(130);
  wrong += check(w.journal.count(Event::session_not_ended) == 3, "again every minute");
  w.host.processes.clear();
  w.pass(2);
  wrong += check(w.journal.count(Event::session_not_ended_cleared) == 1 && w.sessions->not_ended() == 0, "cleared");
  return wrong + check(w.journal.count(Event::session_end_late) == 1 && !w.registered(), "late, and over");
}

// The agent was away for an hour.
int restarted() {
  World w;
  w.grant(1, World::started + 10);
  w.grant(2, World::started + 10000);
  w.login(5);
  w.login(6);
  w.host.now += Seconds{3600};
  w.now += 3600;
  w.over.at = from_unix(World::started + 10);
  w.powers.clear();
  w.restart();
  int wrong = check(w.journal.count(Event::sessions_at_restart) == 1, "told that sessions were live");
  w.pass(1);
  wrong += check(w.host.processes.empty() && w.journal.count(Event::session_ended) == 2, "all overdue end at once");
  wrong += check(w.journal.count(Event::session_end_late) == 2, "each with its alert");
  return wrong + check(std::stoll(w.field(Event::session_end_late, "DELAY")) >= 3590'000, "how late");
}

int by_operator() {
  World w;
  w.grant(1, World::started + 100);
  w.login();
  w.sessions->look();
  int wrong = check(!w.sessions->end("6", "").has_value(), "there is no such session");
  wrong += check(w.sessions->end("5", "incident over").has_value(), "ended");
  w.pass(1);
  wrong += check(!w.host.has(500) && w.journal.count(Event::session_end_requested) == 1, "gone");
  return wrong + check(w.field(Event::session_ended, "WHY") == "ended by an operator: incident over", "why");
}

int records() {
  World w;
  w.grant(1, World::started + 1000);
  w.login();
  w.sessions->look();
  write_text(w.registry + "/77", "not a record");
  chmod((w.registry + "/77").c_str(), 0600);
  w.sessions->look();
  w.sessions->look();
  int wrong = check(w.journal.count(Event::session_record_damaged) == 1, "a damaged record is told once");
  unlink((w.registry + "/77").c_str());
  // Taken away by root: the session is known all the same.
  unlink((w.registry + "/5").c_str());
  w.sessions->look();
  w.sessions->minute();
  w.sessions->minute();
  wrong += check(w.journal.count(Event::session_record_damaged) == 2, "one that was taken away, too");
  w.powers.clear();
  w.sessions->look();
  w.pass(1);
  return wrong + check(!w.host.has(500), "and it ends");
}

int slept() {
  World w;
  w.grant(1, World::started + 1000);
  w.login();
  w.sessions->look();
  w.host.asleep = Seconds{300};
  w.host.now += Seconds{300};
  w.now += 300;
  w.sessions->minute();
  int wrong = check(w.journal.count(Event::clock_suspended) == 1, "told");
  return wrong + check(w.host.limits["5"] == Seconds{702}, "PID 1's limit is corrected");
}

#define TEST(name, call)         \
  void test_##name(void**) {     \
    assert_int_equal((call), 0); \
  }
TEST(at_its_end, at_its_end())
TEST(revoked, revoked())
TEST(registered_too_late, registered_too_late())
TEST(extended, extended())
TEST(used_and_covered, used(true))
TEST(used_and_not_covered, used(false))
TEST(observed, observed())
TEST(logged_out, logged_out())
TEST(abandoned, abandoned())
TEST(cannot_be_killed, cannot_be_killed())
TEST(restarted, restarted())
TEST(by_operator, by_operator())
TEST(records, records())
TEST(slept, slept())

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_at_its_end),
                              cmocka_unit_test(test_revoked),
                              cmocka_unit_test(test_registered_too_late),
                              cmocka_unit_test(test_extended),
                              cmocka_unit_test(test_used_and_covered),
                              cmocka_unit_test(test_used_and_not_covered),
                              cmocka_unit_test(test_observed),
                              cmocka_unit_test(test_logged_out),
                              cmocka_unit_test(test_abandoned),
                              cmocka_unit_test(test_cannot_be_killed),
                              cmocka_unit_test(test_restarted),
                              cmocka_unit_test(test_by_operator),
                              cmocka_unit_test(test_records),
                              cmocka_unit_test(test_slept)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
