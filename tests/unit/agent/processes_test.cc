// What /proc and the control groups' files say: against this machine's own /proc and a tree of files.
#include "agent/processes.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "host/key_record.h"
#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using namespace hallpass::testing;

int check(bool condition, const char* what) {
  if (!condition) print_error("wrong: %s\n", what);
  return condition ? 0 : 1;
}

// A child that stands still under this name.
pid_t child_named(const char* name) {
  int ready[2];
  demand(pipe(ready) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NAME, name);
    demand(write(ready[1], "x", 1) == 1);
    while (true) pause();
  }
  char byte = 0;
  demand(read(ready[0], &byte, 1) == 1);
  close(ready[0]);
  close(ready[1]);
  return pid;
}

bool ends_within_a_second(pid_t pid) {
  for (int i = 0; i < 100; ++i) {
    if (waitpid(pid, nullptr, WNOHANG) == pid) return true;
    usleep(10'000);
  }
  return false;
}

int wrong_process() {
  const ProcessTable table;
  int wrong = 0;
  // A name can hold what the fields around it are made of.
  for (const char* name : {"plain", "a) S 1 (b", "(((", ")))", "tab\tnewline\n"}) {
    const pid_t pid = child_named(name);
    const auto p = table.read(pid);
    wrong += check(p.has_value() && p->pid == pid && p->parent == getpid(), name);
    wrong += check(p && std::to_string(p->start) == process_start(pid) && p->uid == getuid(), name);
    wrong += check(p && (p->state == 'S' || p->state == 'R') && p->terminal == table.read(getpid())->terminal, name);
    wrong += check(p && p->name.find('\n') == std::string::npos, "control characters are gone");
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    wrong += check(!table.read(pid).has_value() && table.number(pid, "sessionid") == kNoAudit, "gone");
  }
  std::vector<pid_t> pids;
  table.each([&](pid_t pid) { pids.push_back(pid); });
  return wrong + check(std::count(pids.begin(), pids.end(), getpid()) == 1, "this process is among all");
}

int wrong_kill() {
  const ProcessTable table;
  const pid_t pid = child_named("victim");
  Process p = table.read(pid).value();
  ++p.start;
  kill_exactly(table, p);
  int wrong = check(!ends_within_a_second(pid), "another process by the same number is spared");
  --p.start;
  kill_exactly(table, p);
  return wrong + check(ends_within_a_second(pid), "this one is killed");
}

int wrong_open_files() {
  const ProcessTable table;
  const TempDir dir;
  const std::string path = dir.path() + "/kept open";
  std::ofstream file(path);
  const auto names = table.open_files(table.read(getpid()).value());
  return check(std::count(names.begin(), names.end(), path) == 1, "what is open is named");
}

int wrong_groups() {
  const TempDir dir;
  const auto make = [&](const std::string& group, const std::string& events, const std::string& procs) {
    std::filesystem::create_directories(dir.path() + group);
    write_text(dir.path() + group + "/cgroup.events", events);
    write_text(dir.path() + group + "/cgroup.procs", procs);
    write_text(dir.path() + group + "/cgroup.kill", "");
  };
  write_text(dir.path() + "/cgroup.controllers", "");
  make("/a.slice", "populated 1\nfrozen 0\n", "");
  make("/a.slice/one.scope", "populated 1\n", "10\n11\n");
  make("/a.slice/one.scope/sub", "populated 1\n", "12\n0\n");
  make("/a.slice/two.scope", "populated 0\n", "");
  const ProcessTable table("/proc", dir.path());
  int wrong =
      check(table.in_group("/a.slice/one.scope").size() == 3, "those below are in it; 0 is of another namespace");
  wrong += check(!table.group_empty("/a.slice/one.scope") && table.group_empty("/a.slice/two.scope"), "empty or not");
  wrong += check(table.group_empty("/a.slice/three.scope"), "one that is gone is empty");
  wrong += check(table.kill_group("/a.slice/one.scope"), "killed");
  for (const char* never : {"", "/", "a.slice", "/a.slice/../a.slice/one.scope", "/a.slice/.."}) {
    wrong += check(!table.kill_group(never) && table.in_group(never).empty(), never);
  }
  wrong += check(!table.kill_group("/a.slice/three.scope"), "what is gone cannot be killed");
  // The old hierarchy: no events, no way to kill.
  const TempDir old;
  std::filesystem::create_directories(old.path() + "/systemd/x.scope");
  write_text(old.path() + "/systemd/cgroup.procs", "1\n");
  write_text(old.path() + "/systemd/x.scope/cgroup.procs", "7\n");
  const ProcessTable before("/proc", old.path());
  wrong += check(!before.group_empty("/x.scope") && !before.kill_group("/x.scope"), "the old hierarchy");
  write_text(old.path() + "/systemd/x.scope/cgroup.procs", "");
  return wrong + check(before.group_empty("/x.scope"), "empty in the old hierarchy");
}

void test_process(void**) {
  assert_int_equal(wrong_process(), 0);
}
void test_kill(void**) {
  assert_int_equal(wrong_kill(), 0);
}
void test_open_files(void**) {
  assert_int_equal(wrong_open_files(), 0);
}
void test_groups(void**) {
  assert_int_equal(wrong_groups(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_process), cmocka_unit_test(test_kill),
                              cmocka_unit_test(test_open_files), cmocka_unit_test(test_groups)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
