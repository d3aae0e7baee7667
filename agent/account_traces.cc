#include "agent/account_traces.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/edge/files.h"
#include "core/hash.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostCrontabBytes = 1 << 20;
constexpr std::size_t kMostNamed = 3;
constexpr std::string_view kAtGroup = "/system.slice/atd.service";

std::int64_t nanoseconds(const struct timespec& t) {
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

std::optional<std::int64_t> file_changed(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  return nanoseconds(st.st_ctim);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::vector<std::string> telling_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#') lines.emplace_back(line.substr(first));
  }
  return lines;
}

void record_processes(Visit& visit, SessionHost& host, bool ids_tell) {
  const std::string manager = manager_group(visit.uid);
  std::map<std::string, std::uint64_t> units;
  for (const Process& p : processes_of_manager(host, visit.uid, visit.linger.has_value())) {
    if (p.start >= visit.start) continue;
    const auto [unit, is_new] = units.emplace(unit_of(p.group, manager), p.start);
    if (!is_new) unit->second = std::min(unit->second, p.start);
  }
  for (const auto& [group, start] : units) {
    // Only its owner makes groups with other names, which systemd does not. They would spoil the record.
    if (is_utf8(group)) visit.units.push_back({group, start});
  }
  if (!ids_tell) return;
  std::map<std::uint32_t, std::uint64_t> logins;
  for (const Process& p : processes_of_at(host, visit.uid)) {
    if (p.audit == kNoAudit || p.start >= visit.start) continue;
    const auto [login, is_new] = logins.emplace(p.audit, p.start);
    if (!is_new) login->second = std::min(login->second, p.start);
  }
  for (const auto& [audit, start] : logins) visit.logins.push_back({audit, start});
}

}  // namespace

std::optional<std::int64_t> lingering_since(const AccountPlaces& places, const std::string& account) {
  return file_changed(places.linger + "/" + account);
}

std::vector<Crontab> crontabs_of(const AccountPlaces& places, const std::string& account) {
  std::vector<Crontab> found;
  for (const std::string& directory : places.crontabs) {
    const std::string path = directory + "/" + account;
    const auto changed = file_changed(path);
    if (!changed) continue;
    const auto text = read_file(AT_FDCWD, path, kMostCrontabBytes);
    if (text) {
      found.push_back({path, *changed, telling_lines(*text)});
    } else if (text.error().code == Errc::too_large) {
      found.push_back({path, *changed, {"(longer than a megabyte)"}});
    }
  }
  return found;
}

std::string line_digest(std::string_view line) {
  const Digest digest = sha256(line);
  return hex_encode(ByteView(digest.bytes).first(16));
}

std::string manager_group(uid_t uid) {
  const std::string id = std::to_string(uid);
  return "/user.slice/user-" + id + ".slice/user@" + id + ".service";
}

std::string session_group(uid_t uid, const std::string& id) {
  return "/user.slice/user-" + std::to_string(uid) + ".slice/session-" + id + ".scope";
}

std::string unit_of(std::string_view group, std::string_view manager) {
  std::size_t at = manager.size();
  while (at < group.size()) {
    const std::size_t end = std::min(group.find('/', at + 1), group.size());
    if (!ends_with(group.substr(0, end), ".slice")) return std::string(group.substr(0, end));
    at = end;
  }
  return std::string(group);
}

std::vector<Process> processes_of_manager(SessionHost& host, uid_t uid, bool nested) {
  const std::string manager = manager_group(uid);
  std::vector<Process> all = host.processes_in(manager);
  if (!nested) return all;
  std::set<pid_t> listed;
  for (const Process& p : all) listed.insert(p.pid);
  for (Process& p : host.processes_of_login(uid)) {
    if (is_below(p.group, manager) && listed.count(p.pid) == 0) all.push_back(std::move(p));
  }
  return all;
}

bool is_manager_itself(const Process& process, std::string_view manager) {
  return is_below(process.group, std::string(manager) + "/init.scope");
}

// The daemon itself descends from no login and its real user is root.
std::vector<Process> processes_of_at(SessionHost& host, uid_t uid) {
  std::vector<Process> all = host.processes_in(kAtGroup);
  for (const std::string& id : host.sessions_of_user(uid)) {
    if (host.session_service(id) != "atd") continue;
    for (Process& p : host.processes_in(session_group(uid, id))) all.push_back(std::move(p));
  }
  // By real user too, for where PAM gives jobs no login.
  std::erase_if(all, [&](const Process& p) { return p.login_uid != uid && (p.uid != uid || uid == 0); });
  return all;
}

bool changes_user(const std::string& service) {
  static const std::set<std::string> kServices = {"su",      "su-l",      "sudo", "sudo-i",
                                                  "runuser", "runuser-l", "doas", "polkit-1"};
  return kServices.count(service) != 0;
}

bool runs_jobs(const std::string& service) {
  static const std::set<std::string> kServices = {"atd", "cron", "crond", "systemd-user"};
  return kServices.count(service) != 0;
}

std::int64_t wall_clock() {
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

std::int64_t wall_start(const SessionHost& host, std::uint64_t start) {
  const auto ticks = static_cast<std::uint64_t>(host.ticks_per_second());
  const auto started_ms = static_cast<std::int64_t>(start / ticks * 1000 + start % ticks * 1000 / ticks);
  return wall_clock() - (host.uptime().count() - started_ms) * 1'000'000;
}

void take_stock(Visit& visit, const AccountPlaces& places, SessionHost& host, bool ids_tell) {
  visit.linger = lingering_since(places, visit.account);
  if (visit.linger && *visit.linger >= visit.began) visit.linger.reset();
  record_processes(visit, host, ids_tell);
  for (const AtJob& job : at_jobs(places.at_spools, visit.uid)) {
    // A job that began to run after the login counts as new, whenever it was made: its owner can set `written` then.
    if (job.changed < visit.began) visit.jobs.push_back({job.name(), job.changed, job.runs()});
  }
  for (const Crontab& crontab : crontabs_of(places, visit.account)) {
    Visit::Crontab kept{crontab.path, crontab.changed, {}};
    if (crontab.changed < visit.began) {
      for (const std::string& line : crontab.lines) kept.lines.push_back(line_digest(line));
    }
    visit.crontabs.push_back(std::move(kept));
  }
}

std::string named_processes(const std::vector<Process>& processes) {
  std::string text;
  for (std::size_t i = 0; i < std::min(processes.size(), kMostNamed); ++i) {
    text += (i == 0 ? "" : ", ") + printable(processes[i].name) + " (" + std::to_string(processes[i].pid) + ")";
  }
  if (processes.size() > kMostNamed) text += " and " + std::to_string(processes.size() - kMostNamed) + " more";
  return text;
}

}  // namespace hallpass
