#include "agent/linux_host.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "agent/linux_host_parts.h"
#include "host/small_file.h"

namespace hallpass {
namespace {

constexpr char kLogind[] = "org.freedesktop.login1", kLogindPath[] = "/org/freedesktop/login1";
constexpr char kLogindManager[] = "org.freedesktop.login1.Manager";
constexpr std::uint64_t kLookLasts_us = 50'000;  // a look at all processes, unless another is asked for

}  // namespace

LinuxHost::LinuxHost(sd_event* event, LimitFailed limit_failed)
    : event_(sd_event_ref(event)), limit_failed_(std::move(limit_failed)) {}

LinuxHost::~LinuxHost() {
  asked_.clear();
  sd_event_source_disable_unref(reload_time_);
  if (bus_ != nullptr) sd_bus_detach_event(bus_);
  sd_bus_close_unref(bus_);
  sd_event_unref(event_);
}

Milliseconds LinuxHost::uptime() const {
  return Milliseconds(microseconds(CLOCK_BOOTTIME) / 1000);
}

Milliseconds LinuxHost::slept() const {
  const std::uint64_t running = microseconds(CLOCK_MONOTONIC);  // first: the difference never falls below zero
  return Milliseconds((microseconds(CLOCK_BOOTTIME) - running) / 1000);
}

long LinuxHost::ticks_per_second() const {
  return sysconf(_SC_CLK_TCK);
}

// --- what runs

// Many sessions can end at once, and a host can run thousands of processes: one look serves all of them for a moment.
void LinuxHost::look() {
  looked_us_ = microseconds(CLOCK_BOOTTIME);
  by_audit_.clear();
  table_.each([&](pid_t pid) {
    if (pid != getpid()) by_audit_[table_.number(pid, "sessionid")].push_back(pid);
  });
}

std::vector<Process> LinuxHost::of_audit(std::uint32_t audit, const std::set<pid_t>& without) {
  std::vector<Process> found;
  if (audit == kNoAudit) return found;
  bool fresh = looked_us_ == 0 || microseconds(CLOCK_BOOTTIME) > looked_us_ + kLookLasts_us;
  if (fresh) look();
  while (true) {
    const auto pids = by_audit_.find(audit);
    if (pids == by_audit_.end()) return found;
    bool gone = false;
    for (const pid_t pid : pids->second) {
      if (without.count(pid) != 0) continue;
      auto p = table_.read(pid);
      if (p && p->audit == audit) {
        found.push_back(std::move(*p));
      } else {
        gone = true;
      }
    }
    if (!gone || fresh) return found;
    // One that has ended since that look may have had children since.
    look();
    fresh = true;
    found.clear();
  }
}

// Whoever is in the group is not read, for there can be thousands.
std::vector<Process> LinuxHost::processes_of_audit_outside(std::uint32_t audit, std::string_view group) {
  const std::vector<pid_t> inside = table_.in_group(group);
  return of_audit(audit, {inside.begin(), inside.end()});
}

std::vector<Process> LinuxHost::processes_of_login(uid_t login_uid) {
  std::vector<Process> found;
  table_.each([&](pid_t pid) {
    if (table_.number(pid, "loginuid") != login_uid) return;
    if (auto p = table_.read(pid)) found.push_back(std::move(*p));
  });
  return found;
}

std::vector<Process> LinuxHost::processes_in(std::string_view group) {
  std::vector<Process> found;
  for (const pid_t pid : table_.in_group(group)) {
    if (auto p = table_.read(pid)) found.push_back(std::move(*p));
  }
  return found;
}

// --- logind

// Connecting does not wait: what is sent goes out when the bus has answered. A bus that was lost is looked for again.
sd_bus* LinuxHost::bus() {
  if (bus_ != nullptr && sd_bus_is_open(bus_) > 0) return bus_;
  asked_.clear();
  if (bus_ != nullptr) sd_bus_detach_event(bus_);
  bus_ = sd_bus_close_unref(bus_);
  reloading_ = false;
  if (sd_bus_open_system(&bus_) < 0) return bus_ = nullptr;
  if (sd_bus_attach_event(bus_, event_, SD_EVENT_PRIORITY_NORMAL) < 0) bus_ = sd_bus_close_unref(bus_);
  return bus_;
}

// No answer is asked for: what the machine shows afterwards is what counts.
void LinuxHost::call_logind(const char* method, const char* types, const std::string& id) {
  sd_bus* b = bus();
  sd_bus_message* message = nullptr;
  if (b == nullptr || sd_bus_message_new_method_call(b, &message, kLogind, kLogindPath, kLogindManager, method) < 0)
    return;
  const std::string_view form = types;
  int added = sd_bus_message_append(message, "s", id.c_str());
  if (form == "ssi" && added >= 0) added = sd_bus_message_append(message, "si", "all", SIGKILL);
  sd_bus_message_set_expect_reply(message, 0);
  if (added >= 0) sd_bus_send(b, message, nullptr);
  sd_bus_message_unref(message);
}

void LinuxHost::terminate_session(const std::string& id) {
  call_logind("TerminateSession", "s", id);
}

void LinuxHost::kill_session(const std::string& id) {
  call_logind("KillSession", "ssi", id);
}

bool LinuxHost::session_listed(const std::string& id) {
  return is_session_id(id) && access(("/run/systemd/sessions/" + id).c_str(), F_OK) == 0;
}

void LinuxHost::terminate_user(uid_t uid) {
  if (sd_bus* b = bus())
    sd_bus_call_method_async(b, nullptr, kLogind, kLogindPath, kLogindManager, "TerminateUser", nullptr, nullptr, "u",
                             static_cast<std::uint32_t>(uid));
}

void LinuxHost::disable_linger(uid_t uid) {
  if (sd_bus* b = bus())
    sd_bus_call_method_async(b, nullptr, kLogind, kLogindPath, kLogindManager, "SetUserLinger", nullptr, nullptr, "ubb",
                             static_cast<std::uint32_t>(uid), 0, 0);
}

namespace {

// What one of logind's own files says: lines KEY=VALUE. It calls them private, but asking over the bus would wait.
std::string said_by_logind(const std::string& file, const std::string& key) {
  const auto content = read_small_file("/run/systemd/" + file, Keeper::us);
  const std::string text = content ? "\n" + *content : "", start = "\n" + key + "=";
  const auto at = text.find(start);
  if (at == std::string::npos) return {};
  const auto from = at + start.size();
  return text.substr(from, text.find('\n', from) - from);
}

}  // namespace

std::vector<std::string> LinuxHost::sessions_of_user(uid_t uid) {
  std::istringstream words(said_by_logind("users/" + std::to_string(uid), "SESSIONS"));
  std::vector<std::string> ids;
  // logind does not write this file anew for every session that goes: it can name one that is over.
  for (std::string id; words >> id;) {
    if (session_listed(id)) ids.push_back(id);
  }
  return ids;
}

std::string LinuxHost::session_service(const std::string& id) {
  return is_session_id(id) ? said_by_logind("sessions/" + id, "SERVICE") : "";
}

bool LinuxHost::session_abandoned(const std::string& id) {
  return is_session_id(id) && said_by_logind("sessions/" + id, "STATE") == "closing";
}

// --- terminals

// Pseudo-terminals have major number 136. What cannot be written at once is lost: a stopped terminal holds up nobody.
void LinuxHost::write_terminal(int terminal, const std::set<uid_t>& owners, std::string_view text) {
  constexpr unsigned kPseudoTerminals = 136;
  const auto number = static_cast<unsigned>(terminal);
  const unsigned major_number = number >> 8 & 0xfff, minor_number = (number & 0xff) | (number >> 12 & 0xfff00);
  if (major_number != kPseudoTerminals) return;
  const std::string path = "/dev/pts/" + std::to_string(minor_number);
  const int fd = open(path.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  struct stat st {};
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == kPseudoTerminals &&
      owners.count(st.st_uid) != 0) {
    [[maybe_unused]] const ssize_t written = write(fd, text.data(), text.size());
  }
  if (fd >= 0) close(fd);
}

}  // namespace hallpass
