// The checks of sshd: what its configuration makes of each account that somebody can log in to. check_sshd.cc asks sshd
// and looks at where keys come from, check_sshd_methods.cc at what else lets somebody in.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/setup/check_facts.h"
#include "agent/setup/sshd_config.h"
#include "agent/setup/sshd_settings.h"

namespace hallpass {

inline constexpr char kSshdDropIn[] = "/etc/ssh/sshd_config.d/hallpass.conf";
inline constexpr char kSshdReload[] = "`sshd -t && systemctl reload ssh`";
inline constexpr std::chrono::milliseconds kAskSshdFor{1800};

struct ScopedLine {
  SshdLine line;
  std::string match;  // the Match line that it stands under; empty: none
};

struct Asked {
  const Account* account;
  SshdSettings settings;
};

class SshdCheck {
 public:
  SshdCheck(const HostFacts& facts, Findings& found) : facts_(facts), found_(found) {}
  void run();

 private:
  bool ask_all();
  void globals();
  void drop_in();
  void authentication_methods();
  void keys_commands();
  void passwords();
  void certificates();
  void root_login();
  void exempt_keys();
  void match_blocks();
  void drop_account();
  std::size_t ask_about(const std::vector<const Account*>& accounts, std::vector<Asked>& asked);
  std::vector<std::string> accounts_where(const std::function<bool(const SshdSettings&)>& wrong) const;
  std::string where_by(const char* (*keyword)(const SshdSettings&)) const;
  // Where the cure belongs: the line that has the keyword first; or first in a Match block, when it is wrong for some.
  std::string where(std::string_view keyword, bool for_all) const;
  bool in_force() const { return !dropped_in_; }

  const HostFacts& facts_;
  Findings& found_;
  std::vector<ScopedLine> lines_;
  SshdSettings globals_;
  std::vector<Asked> governed_, exempt_;
  const std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now() + kAskSshdFor;
  bool dropped_in_ = false;  // the drop-in is missing or not read: said once, not for each of its lines
};

}  // namespace hallpass
