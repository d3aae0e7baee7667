// A second sshd on loopback, with the configuration under trial, and logins to it. It is a unit of systemd, which gives
// its sessions control groups and audit ids of their own and ends it whatever becomes of the self-test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/program.h"
#include "agent/setup/self_test_world.h"
#include "agent/setup/sshd_settings.h"

namespace hallpass {

class TestSshd {
 public:
  // `settings`: sshd's own, for the account. Returns when it listens. Errors: unavailable (its own words).
  static Result<std::unique_ptr<TestSshd>> start(TestWorld& world, Mode mode, const SshdSettings& settings);
  ~TestSshd();
  TestSshd(const TestSshd&) = delete;
  TestSshd& operator=(const TestSshd&) = delete;

  // ssh(1) as a client of it, running `command` there, which should say kInMark.
  ProgramEnd login(const std::string& command, bool with_terminal = false);
  // What it has logged since the last login began.
  std::string log() const;
  // What of the site's configuration was left out so that the throw-away account may knock; empty: nothing.
  const std::vector<std::string>& set_aside() const { return set_aside_; }

 private:
  TestSshd(const TestWorld& world, int port) : world_(world), port_(port) {}
  Status run(Mode mode, const SshdSettings& settings);
  Status await();

  const TestWorld& world_;
  int port_;
  std::vector<std::string> set_aside_;
  std::size_t logged_ = 0;
  bool started_ = false;
};

// The type of key, for ssh-keygen, that this sshd accepts; empty: none that the self-test could make.
std::string acceptable_key_type(std::string_view accepted_algorithms);
// Whether /proc/net/tcp has a listening socket on 127.0.0.1:port.
bool has_listener(std::string_view proc_net_tcp, int port);

}  // namespace hallpass
