// What the checks of `hallpass host check` look at, gathered once, and where they put what they find. Each
// check_*.cc holds small functions over these; nothing in them runs a program or asks the clock but through here.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "agent/layout.h"
#include "agent/program.h"
#include "agent/setup/accounts.h"
#include "agent/setup/activation.h"
#include "agent/setup/check.h"
#include "agent/setup/check_pam_stack.h"
#include "agent/setup/config_lines.h"
#include "core/json.h"
#include "core/policy.h"
#include "core/policy_trust.h"
#include "host/clock.h"

namespace hallpass {

// A seam: the host's programs, so that unit tests say what they print.
class Programs {
 public:
  virtual ~Programs() = default;
  virtual ProgramEnd run(const Program& program) = 0;
  // What each left, in their order; they may run at the same time.
  virtual std::vector<ProgramEnd> run_all(const std::vector<Program>& programs);
};

class Findings {
 public:
  // what: one line, without the place. cure: commands in `backquotes`, to be typed as they stand.
  void error(std::string code, std::string where, std::string what, std::string cure);
  void warning(std::string code, std::string where, std::string what, std::string cure);
  void note(std::string code, std::string where, std::string what, std::string cure);
  // Sorted, and made safe to print.
  std::vector<Finding> take();

 private:
  void add(Severity severity, std::string code, std::string where, std::string what, std::string cure);
  std::vector<Finding> found_;
};

struct UnitState {
  bool exists = false, active = false;
  std::string enabled;  // "enabled", "disabled", "static", ...; empty: unknown
  std::map<std::string, std::string> properties;
};

struct HostFacts {
  HostFacts(const Layout& at, Programs& with, const ClockReading& reading)
      : layout(at), programs(with), clock(reading) {}

  const Layout& layout;
  Programs& programs;
  ClockReading clock;
  uid_t owner = 0;  // whose hallpass's files must be: root's but in tests

  Mode mode = Mode::off;      // what is meant to be in force
  bool sudo_wrapped = false;  // sudo.conf names hallpass
  bool activated = false;     // `hallpass host enable` keeps a record here
  ActivationState activation;
  std::string activation_fault;  // the record cannot be read

  std::vector<PamLine> pam;  // sshd's stack, includes in their places
  std::vector<Account> accounts;
  std::string accounts_fault;
  std::string exempt_group = "hallpass-exempt";
  std::optional<std::set<std::string>> exempt;  // nullopt: no such group

  std::optional<HostConfig> config;
  std::vector<Diagnostic> config_faults;
  std::optional<Trust> trust;
  std::vector<Diagnostic> trust_faults;
  std::shared_ptr<const Policy> policy;
  std::string policy_fault;
  Json status;  // the agent's; null: none that can be read
  std::map<std::string, UnitState> units;
  std::string units_fault;

  bool enforcing() const { return mode == Mode::enforce; }
  bool on() const { return mode != Mode::off; }
  const UnitState& unit(const std::string& name) const;
  bool exists(const std::string& path) const;  // follows links
  bool is_exempt(const std::string& account) const { return exempt && exempt->count(account) != 0; }
  // Accounts that somebody can log in to and that need a grant.
  std::vector<const Account*> governed() const;
  const Account* account(std::string_view name) const;
  // Runbooks that some rule gives on this host, each with the people who may ask for it.
  std::map<const Runbook*, std::set<std::string>> runbooks_here() const;
  // Accounts that those runbooks open, people's own included.
  std::set<std::string> opened_accounts() const;
};

// All of them. Throws nothing but std::bad_alloc.
// owner: whose hallpass's files must be.
CheckReport check_host(const Layout& layout, Programs& programs, const ClockReading& clock, uid_t owner = 0);

// Units of services that have PAM rules of their own and may admit people.
std::vector<std::string> units_of_services(const Layout& layout);

HostFacts gather_facts(const Layout& layout, Programs& programs, const ClockReading& clock);

// "alice, bob and 3 more"
std::string listed(const std::vector<std::string>& words, std::size_t most = 4);
std::vector<std::string_view> lines_of(std::string_view text);
std::vector<std::string> names_in(const std::string& directory);  // sorted, without those that begin with a dot

// The checks.
void check_activation(const HostFacts& facts, Findings& found);  // mode, way back, systemd's and polkit's files
void check_exempt(const HostFacts& facts, Findings& found);
void check_sshd(const HostFacts& facts, Findings& found);
void check_pam(const HostFacts& facts, Findings& found);
void check_other_doors(const HostFacts& facts, Findings& found);  // other services, other ssh daemons, stray keys
void check_sudo_conf(const HostFacts& facts, Findings& found);
void check_sudoers(const HostFacts& facts, Findings& found);
void check_jobs(const HostFacts& facts, Findings& found);  // what runs on without anybody: cron, at, lingering
void check_files(const HostFacts& facts, Findings& found);
void check_agent(const HostFacts& facts, Findings& found);  // agent, fetcher, alerts, clock, journal
void check_policy(const HostFacts& facts, Findings& found);
void check_runbooks(const HostFacts& facts, Findings& found);

}  // namespace hallpass
