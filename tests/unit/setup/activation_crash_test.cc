// Switching on and off with the process killed at each call that changes the disk, and with a disk that is full from
// each such call on. A death after a call is one before the next.
#include <sys/wait.h>

#include <algorithm>
#include <functional>

#include "agent/setup/activation.h"
#include "agent/setup/targets.h"
#include "tests/unit/setup/activation_world.h"
#include "tests/unit/setup/disk_calls.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

// A world ready for the step, and where recovering from a death in it leads.
struct Path {
  const char* name;
  std::function<Status(const Layout&)> before, step, recover;
  bool to_off;              // recovering ends with the files as before hallpass; else as before the step
  bool by_observe = false;  // off by way of what was confirmed
};

const Path kPaths[] = {
    {"enforce", [](const Layout&) { return Status(Unit{}); }, [](const Layout& l) { return switch_to(l, kEnforce); },
     back, false},
    {"enforce after observe", [](const Layout& l) { return switch_and_confirm(l, kObserve); },
     [](const Layout& l) { return switch_to(l, kEnforce); }, back, false},
    {"observe after enforce", [](const Layout& l) { return switch_and_confirm(l, kEnforce); },
     [](const Layout& l) {
       return switch_to(l, {Mode::observe, true});
     },
     back, false},
    {"off, although it was interrupted", [](const Layout& l) { return switch_and_confirm(l, kObserve); },
     [](const Layout& l) { return switch_to(l, kEnforce); }, off, true},
    {"the way back", [](const Layout& l) { return switch_to(l, kEnforce); }, back, back, true},
    {"confirm, then off", [](const Layout& l) { return switch_to(l, kEnforce); }, confirm_activation, off, true},
    {"off", [](const Layout& l) { return switch_and_confirm(l, kEnforce); }, off, off, true},
    {"off while a change waits",
     [](const Layout& l) {
       const Status first = switch_and_confirm(l, kObserve);
       return first ? switch_to(l, kEnforce) : first;
     },
     off, off, true, true},
};

// Runs the step in a process of its own with this disk. The exit status; -1: killed.
int run_with(const DiskCalls& calls, const Layout& layout, const std::function<Status(const Layout&)>& step) {
  const pid_t child = fork();
  if (child == 0) {
    disk_calls = calls;
    const Status done = step(layout);
    _exit(done ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Without mode and time.
std::string bytes_at(const Tree& tree, const std::string& path) {
  const auto found = tree.find(path);
  if (found == tree.end()) return "";
  const auto mode = found->second.find(' ');
  return found->second.substr(found->second.find(' ', mode + 1));
}

// Sshd, PAM and sudo must be able to work with what stands there: each file is one of the two, and whoever comes in by
// a key of the policy meets PAM's lines.
int wrong_between(const Layout& layout, const std::vector<Tree>& allowed, const std::string& name) {
  int wrong = 0;
  const Tree now = tree_of(layout, false);
  for (const std::string& path : target_paths()) {
    const bool known = std::any_of(allowed.begin(), allowed.end(),
                                   [&](const Tree& tree) { return bytes_at(tree, path) == bytes_at(now, path); });
    wrong += wrong_if(!known, (name + ": " + path).c_str());
  }
  const bool keys_of_policy = now.count(std::string(targets::kSshd)) != 0;
  const bool guarded = read_all(layout.at(targets::kPam)).find("pam_hallpass.so\n") != std::string::npos;
  return wrong +
         wrong_if(keys_of_policy && !guarded, (name + ": keys of the policy, and nobody asks for a grant").c_str());
}

int wrong_kills(const Path& path, long& kills) {
  int wrong = 0;
  std::vector<Tree> allowed;
  {
    World world;
    if (!path.before(world.layout)) return wrong_if(true, path.name);
    allowed.push_back(tree_of(world.layout, false));
    if (!path.step(world.layout)) return wrong_if(true, path.name);
    allowed.push_back(tree_of(world.layout, false));
    if (path.by_observe) {
      World other;
      if (!switch_and_confirm(other.layout, kObserve)) return wrong_if(true, path.name);
      allowed.push_back(tree_of(other.layout, false));
    }
  }
  for (long n = 1; wrong == 0; ++n) {
    World world;
    const std::string name = std::string(path.name) + ", killed at call " + std::to_string(n);
    if (!path.before(world.layout)) return wrong_if(true, path.name);
    const Tree old = tree_of(world.layout);
    DiskCalls calls;
    calls.die_at = n;
    const int ended = run_with(calls, world.layout, path.step);
    if (ended == 0) return wrong;
    ++kills;
    wrong += wrong_if(ended != -1, (name + ": failed instead").c_str());
    wrong += wrong_between(world.layout, allowed, name);
    wrong += wrong_if(!path.recover(world.layout), (name + ": does not recover").c_str());
    wrong += differs(world.layout, path.to_off ? world.before : old, name);
    // And then it works as if nothing had been.
    wrong += wrong_if(!switch_and_confirm(world.layout, kEnforce) && !path.to_off, (name + ": never again").c_str());
    wrong += wrong_if(!off(world.layout), name.c_str()) + differs(world.layout, world.before, name + ", then off");
  }
  return wrong;
}

int wrong_all_kills() {
  int wrong = 0;
  for (const Path& path : kPaths) {
    long kills = 0;
    wrong += wrong_kills(path, kills);
    print_message("%s: %ld kills\n", path.name, kills);
    wrong += wrong_if(kills < 20, "the calls are counted");
  }
  return wrong;
}

// From each call on the disk is full. Switching on fails and leaves nothing, or was done; going back and switching off
// need no space at all.
int wrong_full(const Path& path, bool must_work) {
  int wrong = 0;
  for (long n = 1; wrong == 0; ++n) {
    World world;
    const std::string name = std::string(path.name) + ", full from call " + std::to_string(n);
    if (!path.before(world.layout)) return wrong_if(true, path.name);
    const Tree old = tree_of(world.layout);
    DiskCalls calls;
    calls.fail_at = n;
    const int ended = run_with(calls, world.layout, path.step);
    if (must_work) {
      wrong += wrong_if(ended != 0, name.c_str()) + differs(world.layout, world.before, name);
      if (n > 60) return wrong;
      continue;
    }
    if (ended == 0) return wrong;
    const Result<ActivationState> state = read_activation(world.layout);
    wrong += wrong_if(ended != 1 || !state, (name + ": does not say so").c_str());
    // All was in force already and only that could not be noted: the caller goes back.
    if (state && state->pending) wrong += wrong_if(run_with(calls, world.layout, back) != 0, (name + ": back").c_str());
    wrong += differs(world.layout, old, name);
  }
  return wrong;
}

int wrong_all_full() {
  int wrong = 0;
  for (std::size_t i = 0; i < 3; ++i) wrong += wrong_full(kPaths[i], false);
  wrong += wrong_full(kPaths[4], true) + wrong_full(kPaths[6], true);
  return wrong + wrong_full(kPaths[7], true);
}

void test_kills(void**) {
  assert_int_equal(wrong_all_kills(), 0);
}
void test_full_disk(void**) {
  assert_int_equal(wrong_all_full(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_kills), cmocka_unit_test(test_full_disk)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
