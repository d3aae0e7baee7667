#include "agent/setup/self_test_trials.h"

#include <chrono>

#include "agent/setup/self_test_words.h"

namespace hallpass {

void Trials::run() {
  if (wanted_.mode != Mode::off) {
    ssh_settings();
    pam_stack();
    second_sshd();
    if (wanted_.mode == Mode::enforce) enforced_logins();
    if (wanted_.mode == Mode::observe) observed_logins();
  }
  if (wanted_.sudo) {
    sudo_of_root();
    if (wanted_.mode != Mode::off) sudo_under_grant();
  }
  sshd_.reset();
}

// The first of `chains` is the one that a failure breaks.
void Trials::attempt(const char* name, std::vector<Chain*> chains, const Attempt& attempt) {
  for (const Chain* chain : chains) {
    if (!chain->broken_by.empty()) return skip(name, "not tried, for this failed: " + chain->broken_by);
  }
  const auto began = std::chrono::steady_clock::now();
  note_.clear();
  Trial trial;
  trial.name = name;
  trial.detail = attempt();
  trial.passed = trial.detail.empty();
  if (trial.passed) trial.detail = note_;
  trial.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!trial.passed) chains.front()->broken_by = name;
  told_(trial);
}

void Trials::skip(const char* name, const std::string& why) {
  Trial trial;
  trial.name = name;
  trial.skipped = true;
  trial.detail = why;
  told_(trial);
}

}  // namespace hallpass
