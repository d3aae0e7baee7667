#include "agent/ctl/preconditions.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "agent/ctl/status_view.h"
#include "agent/program.h"
#include "agent/setup/accounts.h"
#include "agent/setup/impact.h"
#include "core/edge/files.h"
#include "core/edge/tzdb.h"
#include "core/json.h"
#include "core/values/text.h"
#include "host/clock.h"
#include "host/paths.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;

std::string no_exempt_people(const Layout& layout) {
  const std::string cure = std::string(": put the account of your emergencies in (`groupadd --system ") + kExemptGroup +
                           "`, `usermod -aG " + kExemptGroup +
                           " ACCOUNT`), give it a key of its own and try it. Or say --no-exempt";
  const Result<std::vector<Account>> accounts = read_accounts(layout);
  if (!accounts) return accounts.error().message;
  const Result<std::vector<std::string>> members = group_members(layout, kExemptGroup, *accounts);
  if (!members && members.error().code != Errc::not_found) return members.error().message;
  if (!members) return std::string("there is no group ") + kExemptGroup + " on this host" + cure;
  const bool somebody = std::any_of(members->begin(), members->end(), [&](const std::string& name) {
    return name != paths::kDropAccount && std::any_of(accounts->begin(), accounts->end(), [&](const Account& account) {
             return account.name == name && account.can_log_in;
           });
  });
  return somebody ? "" : std::string("nobody who can log in is in the group ") + kExemptGroup + cure;
}

std::string configuration_fault(const Layout& layout) {
  const ProgramEnd end =
      run_program({{layout.at("/usr/sbin/hallpass-agent"), "--check-config"}, {}}, std::chrono::seconds{20});
  if (end.exited && end.status == 0) return "";
  const std::string said = end.exited ? end.output + end.errors : end.fault;
  return "the configuration is not right. hallpass-agent --check-config says:\n" + printable(said, 2000);
}

std::string agent_fault(const Layout& layout) {
  const Result<std::string> text = read_file(AT_FDCWD, layout.status(), kMaxStatusBytes);
  if (!text)
    return "hallpass-agent has written no status: `systemctl enable --now hallpass-agent`, `systemctl status "
           "hallpass-agent`";
  const Result<Json> status = parse_json(*text);
  if (!status) return layout.status() + " cannot be read: " + status.error().message;
  const StatusView view = view_status(*status, Json(), read_clock(), local_zone());
  if (!view.stale.empty()) return view.stale;
  if (access(layout.at(paths::kWithdrawn).c_str(), F_OK) == 0)
    return "hallpass-agent has withdrawn its snapshot: `hallpass host status` says why";
  if (access(layout.snapshot().c_str(), F_OK) != 0)
    return layout.snapshot() + " is not there: hallpass-agent has published nothing yet, `hallpass host status`";
  return "";
}

}  // namespace

std::shared_ptr<const Policy> policy_in_force(const Layout& layout) {
  const Result<std::string> text = read_file(AT_FDCWD, layout.policy_in_force(), kMaxPolicyBytes);
  std::vector<Diagnostic> faults;
  return text ? parse_policy(*text, faults) : nullptr;
}

std::vector<std::string> obstacles(const Layout& layout, const Wanted& wanted, bool no_exempt) {
  std::vector<std::string> found;
  const auto add = [&](std::string fault) {
    if (!fault.empty()) found.push_back(std::move(fault));
  };
  if (!no_exempt) add(no_exempt_people(layout));
  if (!layout.root.empty()) return found;
  add(configuration_fault(layout));
  add(agent_fault(layout));
  if (wanted.mode == Mode::enforce && !policy_in_force(layout))
    add("no policy is in force here, so nobody could get a grant: `hallpass host status` names the directories that "
        "are "
        "read, and `hallpass policy check` tells what is wrong with one");
  return found;
}

}  // namespace hallpass
