// The trials of the self-test, one after the other, in the namespace made for them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/setup/self_test.h"
#include "agent/setup/self_test_sshd.h"
#include "agent/setup/self_test_words.h"
#include "agent/setup/self_test_world.h"

namespace hallpass {

class Trials {
 public:
  // root_sudo: what `sudo -n true` of root answers on the host as it is. `told` is called as each ends.
  Trials(TestWorld& world, const Wanted& wanted, ProgramEnd root_sudo, std::function<void(const Trial&)> told)
      : world_(world), wanted_(wanted), root_sudo_(std::move(root_sudo)), told_(std::move(told)) {}

  void run();

 private:
  // Empty: it passed. Else why not, and what to do.
  using Attempt = std::function<std::string()>;
  struct Chain {
    std::string broken_by;  // the first trial of it that failed: what depends on that is not tried
  };
  void attempt(const char* name, std::vector<Chain*> chains, const Attempt& attempt);
  void skip(const char* name, const std::string& why);

  // self_test_trials_ssh.cc
  void ssh_settings();
  void pam_stack();
  void second_sshd();
  void enforced_logins();
  void observed_logins();
  std::string settings_of_account(bool exempt);
  std::string accepts_configuration();
  std::string refused_in_words();
  std::string must_be_in(const std::string& what_failed);
  std::string must_be_out(LoginOutcome wanted, const std::string& what_failed);
  std::string told(const ProgramEnd& login, const std::string& what) const;

  // self_test_trials_sudo.cc
  void sudo_of_root();
  void sudo_under_grant();
  ProgramEnd in_session(const std::string& command);

  TestWorld& world_;
  Wanted wanted_;
  ProgramEnd root_sudo_;
  std::function<void(const Trial&)> told_;
  Chain ssh_, sudo_;
  SshdSettings settings_;
  std::unique_ptr<TestSshd> sshd_;
  std::string note_;  // of the trial that runs, should it pass
  bool needs_terminal_ = false;
};

}  // namespace hallpass
