// What must run for grants to arrive and to end, and for people to hear of it.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "agent/setup/check_facts.h"
#include "core/edge/files.h"
#include "core/values/text.h"
#include "notify/queue.h"

namespace hallpass {
namespace {

// The agent writes its status at least once a minute; the fetcher its own whenever it has asked.
constexpr std::int64_t kStatusStaleAfter_s = 150;
constexpr Seconds kMirrorStaleAfter{15 * 60};
constexpr std::size_t kManyAlerts = 50;
constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;
constexpr std::int64_t kUnlimitedBurst = 100000;

std::int64_t number_of(const Json& object, std::string_view name, std::int64_t otherwise) {
  const Json* found = object.find(name);
  return found != nullptr && found->as_int() != nullptr ? *found->as_int() : otherwise;
}

bool check_running(const HostFacts& facts, Findings& found) {
  const UnitState& unit = facts.unit("hallpass-agent.service");
  if (facts.units.empty()) return true;
  if (!unit.active) {
    found.error("agent_down", "hallpass-agent.service", "does not run: no grant and no revocation reaches this host",
                "`systemctl start hallpass-agent`; why it does not: `journalctl -u hallpass-agent`");
    return false;
  }
  if (unit.enabled != "enabled" && unit.enabled != "static")
    found.warning("agent_not_enabled", "hallpass-agent.service", "runs, but will not after the next boot",
                  "`systemctl enable hallpass-agent`");
  return true;
}

bool check_status(const HostFacts& facts, Findings& found) {
  const std::int64_t written = number_of(facts.status, "uptime", -1);
  const std::int64_t age = facts.clock.boottime.count() - written;
  if (written >= 0 && age <= kStatusStaleAfter_s) return true;
  found.error("agent_stale", paths::kStatus,
              written < 0 ? std::string("the agent runs, but its status cannot be read")
                          : "the agent runs, but has written nothing for " + format_duration(Seconds{age}),
              "`systemctl restart hallpass-agent`");
  return false;
}

// The agent's own words, but for what is said in others here.
void check_problems(const HostFacts& facts, Findings& found) {
  const Json* problems = facts.status.find("problems");
  if (problems == nullptr || problems->as_array() == nullptr) return;
  for (const Json& problem : *problems->as_array()) {
    const std::string text = problem.as_string() == nullptr ? "?" : *problem.as_string();
    const auto is = [&](std::string_view start) { return text.starts_with(start); };
    if (is("no policy is in force") || is("the policy ")) continue;
    if (is("the log is "))
      found.error("log_stale", "hallpass-agent", text,
                  "see that the hub answers and `systemctl status hallpass-fetch`");
    else
      found.error("agent_problem", "hallpass-agent", text, "docs/operations.md, \"When something is wrong\"");
  }
}

void check_snapshot(const HostFacts& facts, Findings& found) {
  struct stat st {};
  if (::lstat(facts.layout.snapshot().c_str(), &st) != 0) {
    found.error("snapshot_missing", paths::kSnapshot, "is not there: nobody but the exempt group is let in",
                "`systemctl restart hallpass-agent` writes it");
  } else if (!S_ISREG(st.st_mode) || st.st_uid != facts.owner || (st.st_mode & 0777) != 0600) {
    found.error("snapshot_unsafe", paths::kSnapshot,
                "is not root's own file of mode 0600, so nobody but the exempt group is let in",
                "`systemctl restart hallpass-agent` writes it anew");
  }
}

Json fetch_status(const HostFacts& facts) {
  const auto text = read_file(AT_FDCWD, facts.layout.at(facts.config->mirror) + "/fetch-status.json", kMaxStatusBytes);
  const Result<Json> status = text ? parse_json(*text) : text.error();
  return status ? *status : Json();
}

void check_fetcher(const HostFacts& facts, Findings& found) {
  if (!facts.config || facts.config->mirror.empty()) return;
  if (!facts.units.empty() && !facts.unit("hallpass-fetch.service").active) {
    found.error("fetch_down", "hallpass-fetch.service",
                "does not run, so that nothing new of the log reaches this host",
                "`systemctl enable --now hallpass-fetch`; why it does not: `journalctl -u hallpass-fetch`");
    return;
  }
  const Json status = fetch_status(facts);
  const Json* checked = status.find("checked_at");
  const std::string* text = checked == nullptr ? nullptr : checked->as_string();
  const Result<UnixTime> at = text == nullptr ? Error{} : parse_time(*text);
  if (at && facts.clock.wall - *at <= kMirrorStaleAfter) return;
  std::string why = "no URL has answered yet";
  if (at) why = "nothing has answered since " + *text;
  if (const Json* fault = status.find("fault"); fault != nullptr && fault->find("what") != nullptr) {
    const std::string* what = fault->find("what")->as_string();
    if (what != nullptr) why += ": " + *what;
  }
  found.warning("mirror_stale", facts.config->mirror, why,
                "`journalctl -u hallpass-fetch` says which URL fails and why");
}

// Documents that wait, and whether the directory can be read.
std::size_t waiting_alerts(const Layout& layout) {
  std::size_t waiting = 0;
  for (const std::string& name : names_in(layout.at(kAlertDirectory))) waiting += name.ends_with(".json") ? 1 : 0;
  return waiting;
}

void check_alerts(const HostFacts& facts, Findings& found) {
  if (!facts.exists("/etc/hallpass/notify.toml")) return;
  if (!facts.units.empty() && !facts.unit("hallpass-notify.service").active) {
    found.warning("notify_down", "hallpass-notify.service", "does not run, so that alerts reach nobody",
                  "`systemctl enable --now hallpass-notify`; why it does not: `journalctl -u hallpass-notify`");
    return;
  }
  const std::size_t waiting = waiting_alerts(facts.layout);
  if (waiting > kManyAlerts)
    found.warning("alerts_waiting", kAlertDirectory, std::to_string(waiting) + " alerts wait to be delivered",
                  "`journalctl -u hallpass-notify` says which receiver does not take them");
}

void check_clock(const HostFacts& facts, Findings& found) {
  if (!facts.clock.synchronised)
    found.warning("clock_not_synchronised", "the clock", "is not synchronised: grants begin and end by it",
                  "`timedatectl set-ntp true`, or start what keeps time on this host");
}

// The value of a setting of journald: drop-ins come after the file, the last value counts.
std::string journald_setting(const Layout& layout, std::string_view name) {
  std::vector<std::string> files = {"/etc/systemd/journald.conf"};
  std::vector<std::pair<std::string, std::string>> drop_ins;  // by file name, of two equal ones that in /etc
  for (const char* directory :
       {"/etc/systemd/journald.conf.d", "/run/systemd/journald.conf.d", "/usr/lib/systemd/journald.conf.d"}) {
    for (const std::string& file : names_in(layout.at(directory))) {
      const bool known = std::any_of(drop_ins.begin(), drop_ins.end(), [&](const auto& d) { return d.first == file; });
      if (file.ends_with(".conf") && !known) drop_ins.emplace_back(file, std::string(directory) + "/" + file);
    }
  }
  std::sort(drop_ins.begin(), drop_ins.end());
  for (auto& [file, path] : drop_ins) files.push_back(path);
  std::string value;
  for (const std::string& path : files) {
    const auto text = read_file(AT_FDCWD, layout.at(path), kMaxStatusBytes, true);
    if (!text) continue;
    for (const std::string_view line : lines_of(*text)) {
      const std::size_t equals = line.find('=');
      if (equals != std::string_view::npos && line.substr(0, equals) == name)
        value = std::string(line.substr(equals + 1));
    }
  }
  return value;
}

void check_journal(const HostFacts& facts, Findings& found) {
  const std::string storage = journald_setting(facts.layout, "Storage");
  const bool automatic = storage.empty() || storage == "auto";
  if (storage == "none")
    found.warning("journal_none", "/etc/systemd/journald.conf",
                  "Storage=none: nothing of what hallpass records is kept here",
                  "let it be Storage=persistent; then `systemctl restart systemd-journald`");
  else if (storage == "volatile" || (automatic && !facts.exists("/var/log/journal")))
    found.note("journal_volatile", automatic ? "/var/log/journal" : "/etc/systemd/journald.conf",
               "the journal is lost at each boot, and what hallpass recorded with it",
               automatic ? "`mkdir -p /var/log/journal && systemctl restart systemd-journald`"
                         : "let it be Storage=persistent; then `systemctl restart systemd-journald`");
  const auto& properties = facts.unit("hallpass-agent.service").properties;
  const auto burst = properties.find("LogRateLimitBurst");
  if (burst != properties.end() && !burst->second.empty() &&
      std::strtoll(burst->second.c_str(), nullptr, 10) < kUnlimitedBurst)
    found.note("journal_rate_limited", "hallpass-agent.service",
               "its journal entries may be dropped for their number: LogRateLimitBurst is " + burst->second,
               "take the drop-in that says so out: `systemctl revert hallpass-agent.service`; then `systemctl restart "
               "hallpass-agent`");
}

}  // namespace

void check_agent(const HostFacts& facts, Findings& found) {
  if (check_running(facts, found) && check_status(facts, found)) check_problems(facts, found);
  if (facts.on()) check_snapshot(facts, found);
  check_fetcher(facts, found);
  check_alerts(facts, found);
  check_clock(facts, found);
  if (facts.on()) check_journal(facts, found);
}

}  // namespace hallpass
