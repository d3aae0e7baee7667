#include "agent/linux_host.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "core/edge/files.h"
#include "host/small_file.h"

namespace hallpass {
namespace {

constexpr char kLogind[] = "org.freedesktop.login1", kLogindPath[] = "/org/freedesktop/login1";
constexpr char kLogindManager[] = "org.freedesktop.login1.Manager";
constexpr char kSystemd[] = "org.freedesktop.systemd1", kSystemdPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager", kStarted[] = "UserspaceTimestampMonotonic";
constexpr char kUnits[] = "/run/systemd/system";
constexpr std::uint64_t kLookLasts_us = 50'000;       // a look at all processes, unless another is asked for
constexpr std::uint64_t kReloadAfter_us = 200'000;    // several sessions in one reload
constexpr std::uint64_t kReloadEvery_us = 1'000'000;  // at most: each costs PID 1 a look at all units
constexpr std::uint64_t kReloadLimit_us = 90'000'000;
constexpr std::uint64_t kClose_us = 1'500'000;  // as good as the same limit
constexpr std::uint64_t kRounding_us = 1'000'000;

std::uint64_t microseconds(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(ts.tv_nsec) / 1000;
}

// As sd-bus writes unit names into object paths: letters and digits stay, all else is _xx.
std::string scope_path(const std::string& id) {
  std::string path = "/org/freedesktop/systemd1/unit/";
  for (const char c : "session-" + id + ".scope") {
    constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (isalnum(byte) != 0) {
      path += c;
    } else {
      path += {'_', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return path;
}

std::string drop_in_directory(const std::string& id) {
  return std::string(kUnits) + "/session-" + id + ".scope.d";
}

std::string end_unit(const std::string& id) {
  return "hallpass-end-" + id;
}

// logind's names, which become file names here.
bool is_session_id(const std::string& id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](unsigned char c) { return isalnum(c) != 0; });
}

}  // namespace

struct LinuxHost::Asked {
  LinuxHost* host;
  std::string id, property;
  sd_bus_slot* slot = nullptr;
  ~Asked() { sd_bus_slot_unref(slot); }
};

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

std::vector<Process> LinuxHost::processes_of_user(uid_t uid) {
  std::vector<Process> found;
  table_.each([&](pid_t pid) {
    auto p = table_.read(pid);
    if (p && p->uid == uid) found.push_back(std::move(*p));
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

std::vector<std::uint32_t> LinuxHost::living_audits() {
  std::set<std::uint32_t> audits;
  table_.each([&](pid_t pid) { audits.insert(table_.number(pid, "sessionid")); });
  audits.erase(kNoAudit);
  return {audits.begin(), audits.end()};
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

// --- PID 1's limit

void LinuxHost::limit_session(const std::string& id, Milliseconds left) {
  if (!is_session_id(id)) return;
  Limit& limit = limits_[id];
  limit.end_us = microseconds(CLOCK_MONOTONIC) + static_cast<std::uint64_t>(left.count()) * 1000;
  limit.read_again = false;  // a question that is under way may be about an earlier end
  ask_property(id, "org.freedesktop.systemd1.Unit", "ActiveEnterTimestampMonotonic");
}

void LinuxHost::ask_property(const std::string& id, const char* interface, const char* property) {
  sd_bus* b = bus();
  const std::string path = std::string_view(interface) == kManager ? kSystemdPath : scope_path(id);
  auto asked = std::make_unique<Asked>(Asked{this, id, property});
  const int sent = b == nullptr ? -ENOTCONN
                                : sd_bus_call_method_async(b, &asked->slot, kSystemd, path.c_str(),
                                                           "org.freedesktop.DBus.Properties", "Get", on_property,
                                                           asked.get(), "ss", interface, property);
  if (sent >= 0) {
    asked_.insert(std::move(asked));
  } else {
    limit_failed_(id, std::string("systemd cannot be asked: ") + std::strerror(-sent));
  }
}

int LinuxHost::on_property(sd_bus_message* reply, void* p, sd_bus_error*) {
  LinuxHost& host = *static_cast<Asked*>(p)->host;
  const auto found = std::find_if(host.asked_.begin(), host.asked_.end(), [&](const auto& a) { return a.get() == p; });
  if (found == host.asked_.end()) return 0;
  const std::unique_ptr<Asked> asked = std::move(host.asked_.extract(found).value());
  std::uint64_t value = 0;
  const sd_bus_error* error = sd_bus_message_get_error(reply);
  if (error == nullptr && sd_bus_message_read(reply, "v", "t", &value) >= 0) {
    host.took(asked->id, asked->property, value);
  } else if (host.session_listed(asked->id)) {  // else it is over, and so is its limit
    host.limit_failed_(asked->id, error != nullptr && error->message != nullptr ? error->message : "an unknown answer");
  }
  return 0;
}

void LinuxHost::took(const std::string& id, const std::string& property, std::uint64_t value) {
  const auto found = limits_.find(id);
  if (found == limits_.end()) return;
  if (property == kStarted) return write_timer(id, value);
  if (property == "RuntimeMaxUSec") return compare(id, value);
  found->second.active_us = value;
  ask_property(id, "org.freedesktop.systemd1.Scope", "RuntimeMaxUSec");
}

void LinuxHost::compare(const std::string& id, std::uint64_t runtime_us) {
  Limit& limit = limits_[id];
  const std::uint64_t wanted_us = limit.end_us > limit.active_us ? limit.end_us - limit.active_us : 1;
  const bool same = runtime_us < wanted_us + kClose_us && wanted_us < runtime_us + kClose_us;
  if (same) return;
  if (std::exchange(limit.read_again, false)) return limit_failed_(id, "systemd does not take the new limit");
  // Callers reckon in whole seconds, so what they say is up to one too long; here it can be told exactly.
  const Status written = write_drop_in(id, wanted_us > 2 * kRounding_us ? wanted_us - kRounding_us : wanted_us);
  if (!written) return limit_failed_(id, written.error().message);
  limit.written = true;
  reload_soon();
}

// What stands in /run/systemd/transient is systemd's own; a drop-in goes before it.
Status LinuxHost::write_drop_in(const std::string& id, std::uint64_t runtime_us) {
  const std::string directory = drop_in_directory(id);
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return Error{Errc::unavailable, "making " + directory + ": " + std::strerror(errno)};
  return write_file_durably(
      directory + "/90-hallpass.conf",
      "[Scope]\nRuntimeMaxSec=" + std::to_string(std::max(runtime_us / 1000, std::uint64_t{1})) + "ms\n", 0644);
}

// A timer of PID 1's starts a service that cannot run beside the session's scope. In files, not transient units: they
// can be written anew, also by the next agent. Counted from PID 1's own start, for other timers begin to count again at
// every reload of PID 1.
void LinuxHost::limit_left_behind(const std::string& id, Milliseconds left) {
  if (!is_session_id(id)) return;
  limits_[id].timer_us = microseconds(CLOCK_MONOTONIC) + static_cast<std::uint64_t>(std::max(left.count(), 0L)) * 1000;
  ask_property(id, kManager, kStarted);
}

void LinuxHost::write_timer(const std::string& id, std::uint64_t started_us) {
  Limit& limit = limits_[id];
  const std::uint64_t at_ms = limit.timer_us > started_us ? (limit.timer_us - started_us) / 1000 : 0;
  const std::string scope = "session-" + id + ".scope", unit = std::string(kUnits) + "/" + end_unit(id);
  const std::string about = "Description=hallpass: the end of what was left behind in session " + id + "\n";
  Status written = write_file_durably(unit + ".service",
                                      "[Unit]\n" + about + "Conflicts=" + scope + "\nAfter=" + scope +
                                          "\n[Service]\nType=oneshot\nExecStart=/bin/true\n",
                                      0644);
  if (written) {
    written = write_file_durably(
        unit + ".timer",
        "[Unit]\n" + about + "[Timer]\nAccuracySec=100ms\nOnStartupSec=" + std::to_string(at_ms) + "ms\n", 0644);
  }
  if (!written) return limit_failed_(id, written.error().message);
  limit.timer_written = true;
  reload_soon();
}

void LinuxHost::tell_timer(const std::string& id, const char* method) {
  if (sd_bus* b = bus())
    sd_bus_call_method_async(b, nullptr, kSystemd, kSystemdPath, kManager, method, nullptr, nullptr, "ss",
                             (end_unit(id) + ".timer").c_str(), "replace");
}

void LinuxHost::forget_limit(const std::string& id) {
  if (!is_session_id(id)) return;
  const std::string unit = std::string(kUnits) + "/" + end_unit(id);
  if (unlink((unit + ".timer").c_str()) == 0) tell_timer(id, "StopUnit");
  unlink((unit + ".service").c_str());
  limits_.erase(id);
  const std::string directory = drop_in_directory(id);
  unlink((directory + "/90-hallpass.conf").c_str());
  rmdir(directory.c_str());
}

void LinuxHost::reload_soon() {
  if (reloading_) {
    reload_again_ = true;
    return;
  }
  if (reload_time_ != nullptr) return;
  const std::uint64_t now = microseconds(CLOCK_MONOTONIC);
  const std::uint64_t pause =
      std::max(kReloadAfter_us, reloaded_us_ + kReloadEvery_us > now ? reloaded_us_ + kReloadEvery_us - now : 0);
  sd_event_add_time_relative(event_, &reload_time_, CLOCK_MONOTONIC, pause, 1, on_reload_time, this);
}

int LinuxHost::on_reload_time(sd_event_source*, std::uint64_t, void* p) {
  LinuxHost& host = *static_cast<LinuxHost*>(p);
  host.reload_time_ = sd_event_source_disable_unref(host.reload_time_);
  host.reload();
  return 0;
}

void LinuxHost::reload() {
  sd_bus* b = bus();
  sd_bus_message* message = nullptr;
  auto asked = std::make_unique<Asked>(Asked{this, "", "Reload"});
  const bool sent = b != nullptr &&
                    sd_bus_message_new_method_call(b, &message, kSystemd, kSystemdPath, kManager, "Reload") >= 0 &&
                    sd_bus_call_async(b, &asked->slot, message, on_reloaded, asked.get(), kReloadLimit_us) >= 0;
  sd_bus_message_unref(message);
  if (sent) {
    reloaded_us_ = microseconds(CLOCK_MONOTONIC);
    reloading_ = true;
    asked_.insert(std::move(asked));
    return;
  }
  for (auto& [id, limit] : limits_) {
    if (std::exchange(limit.written, false)) limit_failed_(id, "systemd cannot be asked to read its files again");
  }
}

// Now it must hold what the drop-ins say.
int LinuxHost::on_reloaded(sd_bus_message*, void* p, sd_bus_error*) {
  LinuxHost& host = *static_cast<Asked*>(p)->host;
  const auto found = std::find_if(host.asked_.begin(), host.asked_.end(), [&](const auto& a) { return a.get() == p; });
  if (found == host.asked_.end()) return 0;
  const std::unique_ptr<Asked> asked = std::move(host.asked_.extract(found).value());
  host.reloading_ = false;
  if (std::exchange(host.reload_again_, false)) {
    host.reload_soon();
    return 0;
  }
  for (auto& [id, limit] : host.limits_) {
    if (std::exchange(limit.timer_written, false)) host.tell_timer(id, "RestartUnit");
    if (!std::exchange(limit.written, false)) continue;
    limit.read_again = true;
    host.ask_property(id, "org.freedesktop.systemd1.Scope", "RuntimeMaxUSec");
  }
  return 0;
}

// A condition that never holds: logind's logins do not mind. No mask: PID 1 would never stop one that runs already.
void LinuxHost::forbid_user_manager(uid_t uid, bool forbidden) {
  const std::string directory = std::string(kUnits) + "/user@" + std::to_string(uid) + ".service.d";
  const std::string file = directory + "/90-hallpass.conf";
  if ((access(file.c_str(), F_OK) == 0) == forbidden) return;
  if (forbidden) {
    mkdir(directory.c_str(), 0755);
    if (!write_file_durably(file, "[Unit]\nConditionPathExists=!/\n", 0644)) return;
  } else {
    unlink(file.c_str());
    rmdir(directory.c_str());
  }
  reload_soon();
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
