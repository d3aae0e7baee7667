// The end of a session, on a machine in memory.
#include "agent/session_ending.h"

#include <functional>

#include "tests/unit/agent/fake_host.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using hallpass::testing::FakeHost;

constexpr char kScope[] = "/user.slice/user-1000.slice/session-5.scope";

Session session() {
  Session s;
  s.audit = 5;
  s.logind = "5";
  s.control_group = kScope;
  return s;
}

struct Outcome {
  bool over = false;
  long long after_ms = 0;
  std::size_t killed = 0, left_alone = 0;
  std::string remains;
};

// Steps as the agent's loop would, for at most a minute.
Outcome end(FakeHost& host, const Session& s, Milliseconds patience = Milliseconds{60000}) {
  Outcome outcome;
  SessionEnding ending(s, host);
  const Milliseconds began = host.now;
  while (!(outcome.over = ending.step()) && host.now < began + patience) host.now = std::max(host.now, ending.next());
  outcome.after_ms = (host.now - began).count();
  outcome.killed = ending.killed();
  outcome.left_alone = ending.take_left_alone().size();
  outcome.remains = ending.remains();
  return outcome;
}

struct Case {
  const char* name;
  std::function<void(FakeHost&)> machine;
  bool over = true;
  long long within_ms = 30;
  std::size_t killed = 0, left_alone = 0;
  const char* remains = "";
};

const Case kCases[] = {
    {"nothing is left already", [](FakeHost&) {}},
    {"all obey", [](FakeHost& h) { h.add(1, 5, kScope), h.add(2, 5, kScope); }},
    {"one ignores TERM", [](FakeHost& h) { h.add(1, 5, kScope), h.deaf = {1}; }, true, 200},
    {"one is stopped", [](FakeHost& h) { h.add(1, 5, kScope).state = 'T'; }, true, 200},
    {"no cgroup.kill in this kernel", [](FakeHost& h) { h.add(1, 5, kScope), h.deaf = {1}, h.has_cgroup_kill = false; },
     true, 200},
    {"one has left for another control group",
     [](FakeHost& h) { h.add(1, 5, "/elsewhere"), h.add(2, 7, "/elsewhere"); }, true, 220, 1},
    {"one is in a scope of its own below system.slice", [](FakeHost& h) { h.add(1, 5, "/system.slice/run-r1.scope"); },
     true, 220, 1},
    {"one is in the root group", [](FakeHost& h) { h.add(1, 5, "/"), h.add(2, 6, "/"); }, true, 220, 1},
    {"one sits in a system service", [](FakeHost& h) { h.add(1, 5, "/system.slice/nginx.service"); }, true, 30, 0, 1},
    {"one sits below a slice in a system service",
     [](FakeHost& h) { h.add(1, 5, "/system.slice/system-x.slice/x@1.service/sub"); }, true, 30, 0, 1},
    {"a user's service is no system service",
     [](FakeHost& h) { h.add(1, 5, "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service"); }, true, 220,
     1},
    {"a zombie", [](FakeHost& h) { h.add(1, 5, "/elsewhere").state = 'Z'; }},
    {"one that cannot be killed", [](FakeHost& h) { h.add(77, 5, kScope).state = 'D'; }, false, 60000, 0, 0,
     "process 77 (sleep, waits for a disk)"},
    {"logind hangs", [](FakeHost& h) { h.add(1, 5, kScope), h.logind_works = false; }, false, 60000, 0, 0,
     "systemd-logind still lists session 5"},
    {"another session's processes", [](FakeHost& h) { h.add(1, 6, "/user.slice/user-1000.slice/session-6.scope"); }},
};

int wrong_cases() {
  int wrong = 0;
  for (const Case& c : kCases) {
    FakeHost host;
    c.machine(host);
    const Outcome o = end(host, session());
    const bool times = o.after_ms <= c.within_ms + 1000 * (c.over ? 0 : 1);
    const bool right = o.over == c.over && times && o.killed == c.killed && o.left_alone == c.left_alone &&
                       (c.over || o.remains.find(c.remains) != std::string::npos);
    if (!right) {
      print_error("wrong: %s: over %d after %lld ms, killed %zu, left %zu: %s\n", c.name, o.over, o.after_ms, o.killed,
                  o.left_alone, o.remains.c_str());
      ++wrong;
    }
    for (const Process& p : host.processes)
      wrong += c.over && p.audit == 5 && p.state != 'Z' && c.left_alone == 0 ? 1 : 0;
  }
  return wrong;
}

// Many that have left for a control group of their own: it is killed whole.
int wrong_forks() {
  FakeHost host;
  host.add(1, 5, "/escaped");
  pid_t next = 2;
  for (; next < 2000; ++next) host.add(next, 5, "/escaped");
  const Outcome o = end(host, session());
  int wrong = o.over && host.processes.empty() ? 0 : 1;
  wrong += host.did("kill_group /escaped") == 1 ? 0 : 1;
  // Mixed with others', one by one, and what was forked meanwhile in the next round.
  FakeHost mixed;
  mixed.add(1, 7, "/escaped");
  mixed.add(2, 5, "/escaped");
  int forks = 100;
  next = 3;
  mixed.on_kill = [&](const Process&) {
    if (forks-- > 0) mixed.add(next++, 5, "/escaped");
  };
  const Outcome m = end(mixed, session());
  return wrong + (m.over && mixed.processes.size() == 1 && mixed.has(1) && m.killed == 101 && m.after_ms < 400 ? 0 : 1);
}

// A session that its audit id does not tell from others is ended by its control group alone.
int wrong_without_audit() {
  FakeHost host;
  Session s = session();
  s.audit = kNoAudit;
  host.add(1, kNoAudit, kScope);
  host.add(2, kNoAudit, "/system.slice/cron.service");
  host.add(3, kNoAudit, "/elsewhere");
  const Outcome o = end(host, s);
  return o.over && !host.has(1) && host.has(2) && host.has(3) && o.killed == 0 ? 0 : 1;
}

// What it is asked first, and when.
int wrong_order() {
  FakeHost host;
  host.add(1, 5, kScope);
  host.deaf = {1};
  SessionEnding ending(session(), host);
  const Milliseconds began = host.now;
  int wrong = host.done.empty() && !ending.step() && host.done.empty() ? 0 : 1;  // the words on the terminals go first
  host.now = ending.next();
  wrong +=
      !ending.step() && host.now == began + Milliseconds{30} && host.done == std::vector<std::string>{"terminate 5"}
          ? 0
          : 1;
  while (!ending.step()) {
    wrong += host.now < began + Milliseconds{200} && host.did(std::string("kill_group ") + kScope) != 0 ? 1 : 0;
    wrong += ending.step() ? 1 : 0;  // not due yet: nothing happens
    host.now = ending.next();
  }
  return wrong + (host.now == began + Milliseconds{200} ? 0 : 1);
}

void test_cases(void**) {
  assert_int_equal(wrong_cases(), 0);
}
void test_forks(void**) {
  assert_int_equal(wrong_forks(), 0);
}
void test_without_audit(void**) {
  assert_int_equal(wrong_without_audit(), 0);
}
void test_order(void**) {
  assert_int_equal(wrong_order(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_forks),
                              cmocka_unit_test(test_without_audit), cmocka_unit_test(test_order)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
