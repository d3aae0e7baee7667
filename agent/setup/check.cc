#include "agent/setup/check.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "agent/setup/check_facts.h"

namespace hallpass {
namespace {

constexpr unsigned kMostAtOnce = 8;

class RealPrograms final : public Programs {
 public:
  ProgramEnd run(const Program& program) override { return run_program(program); }
  std::vector<ProgramEnd> run_all(const std::vector<Program>& programs) override {
    std::vector<ProgramEnd> ends(programs.size());
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < programs.size(); i = next++) ends[i] = run_program(programs[i]);
    };
    std::vector<std::thread> threads;
    const unsigned most = std::clamp(std::thread::hardware_concurrency(), 1U, kMostAtOnce);
    for (unsigned i = 1; i < most; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    return ends;
  }
};

void check_lookable(const HostFacts& facts, Findings& found) {
  if (!facts.accounts_fault.empty())
    found.warning("not_checked", "/etc/passwd", "the accounts cannot be read: " + facts.accounts_fault,
                  "put it right; nothing about accounts was checked");
  if (!facts.units_fault.empty())
    found.warning("not_checked", "systemctl", "what runs cannot be told: " + facts.units_fault,
                  "run this where systemd is PID 1");
}

}  // namespace

std::string_view to_string(Severity severity) {
  return severity == Severity::error ? "error" : severity == Severity::warning ? "warning" : "note";
}

CheckReport check_host(const Layout& layout, Programs& programs, const ClockReading& clock, uid_t owner) {
  HostFacts facts = gather_facts(layout, programs, clock);
  facts.owner = owner;
  Findings found;
  check_lookable(facts, found);
  check_activation(facts, found);
  check_exempt(facts, found);
  check_sshd(facts, found);
  check_pam(facts, found);
  check_other_doors(facts, found);
  check_sudo_conf(facts, found);
  check_sudoers(facts, found);
  check_jobs(facts, found);
  check_files(facts, found);
  check_agent(facts, found);
  check_policy(facts, found);
  check_runbooks(facts, found);
  return {facts.config ? facts.config->host.name : std::string(), facts.mode, found.take()};
}

CheckReport look_at_host(const Layout& layout) {
  RealPrograms programs;
  return check_host(layout, programs, read_clock());
}

std::vector<Finding> check_host(const Layout& layout) {
  return look_at_host(layout).findings;
}

}  // namespace hallpass
