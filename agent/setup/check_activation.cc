// What is switched on, the way back, the exempt group, and the files that systemd and polkit have for it.
#include "agent/setup/check_facts.h"

namespace hallpass {
namespace {

constexpr std::size_t kManyExempt = 10;

void check_mode(const HostFacts& facts, Findings& found) {
  if (!facts.activation_fault.empty())
    found.error("activation_damaged", facts.layout.activation(), facts.activation_fault,
                "`hallpass host disable`, then `hallpass host enable`");
  if (activation_interrupted(facts.layout))
    found.error("activation_interrupted", facts.layout.activation(),
                "an `enable`, `disable` or way back was killed half-way: some files are as before, some as after",
                "`hallpass host way-back` finishes going back");
  else if (facts.activation.pending)
    found.warning("activation_pending", "hallpass",
                  "goes back to what was before at " + format_time(facts.activation.deadline),
                  "`hallpass host confirm`, from a new login");
  if (facts.mode == Mode::off)
    found.note("mode_off", "hallpass", "is off: logins and sudo on this host go by what the host had before",
               "`hallpass host enable --observe`");
  if (facts.mode == Mode::observe)
    found.note("mode_observe", "hallpass", "only observes: nobody is refused",
               "look at `hallpass host observed`; then `hallpass host enable`");
}

void check_way_back(const HostFacts& facts, Findings& found) {
  if (!facts.activated || facts.units.empty()) return;
  const UnitState& unit = facts.unit("hallpass-way-back.service");
  const bool masked = unit.enabled.starts_with("masked");
  if (unit.exists && !masked) return;
  found.warning("way_back_missing", "hallpass-way-back.service",
                std::string(masked ? "is masked" : "is not there") +
                    ": a host that reboots before `confirm` does not go back by itself",
                masked ? "`systemctl unmask hallpass-way-back.service`" : "install the package again");
}

void check_systems_files(const HostFacts& facts, Findings& found) {
  if (!facts.enforcing()) return;
  const std::string drop_in = "system/session-.scope.d/50-hallpass.conf";
  if (!facts.exists("/etc/systemd/" + drop_in) && !facts.exists("/usr/lib/systemd/" + drop_in) &&
      !facts.exists("/lib/systemd/" + drop_in))
    found.warning("scope_dropin_missing", "/etc/systemd/" + drop_in,
                  "is not there: a process that ignores signals outlives its session by up to 90 s",
                  "`install -D -m 0644 /usr/share/hallpass/systemd/50-hallpass.conf /etc/systemd/" + drop_in +
                      " && systemctl daemon-reload`");
  const std::string rules = "/etc/polkit-1/rules.d";
  if (facts.exists(rules) && !facts.exists(rules + "/49-hallpass-linger.rules"))
    found.note("linger_open", rules + "/49-hallpass-linger.rules",
               "is not there: whoever has a grant may have his services run on after it",
               "`install -m 0644 /usr/share/hallpass/polkit/49-hallpass-linger.rules " + rules + "`");
}

}  // namespace

void check_activation(const HostFacts& facts, Findings& found) {
  check_mode(facts, found);
  check_way_back(facts, found);
  check_systems_files(facts, found);
}

void check_exempt(const HostFacts& facts, Findings& found) {
  if (!facts.on() || !facts.accounts_fault.empty()) return;
  const std::string add = "`usermod -aG " + facts.exempt_group + " YOUR-BREAK-GLASS-ACCOUNT`";
  if (!facts.exempt) {
    found.error("exempt_group_missing", facts.exempt_group,
                "is not a group of this host: when hallpass fails, nobody gets in by ssh",
                "`groupadd --system " + facts.exempt_group + "`, then " + add);
    return;
  }
  std::size_t members = 0;
  for (const std::string& name : *facts.exempt) {
    const Account* account = facts.account(name);
    if (name != paths::kDropAccount && account != nullptr && account->can_log_in) ++members;
  }
  if (members == 0)
    found.warning("exempt_group_empty", facts.exempt_group,
                  "has no member who can log in: when hallpass fails, nobody gets in by ssh", add);
  else if (members > kManyExempt)
    found.warning("exempt_group_large", facts.exempt_group,
                  "has " + std::to_string(members) + " members, who need no grant",
                  "keep those whom you need when nothing works: `gpasswd -d NAME " + facts.exempt_group + "`");
}

}  // namespace hallpass
