// The real SessionHost: what PID 1 is told of the ends of sessions.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/linux_host_parts.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr char kSystemd[] = "org.freedesktop.systemd1", kSystemdPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager", kStarted[] = "UserspaceTimestampMonotonic";
constexpr char kUnits[] = "/run/systemd/system";
constexpr std::uint64_t kReloadAfter_us = 200'000;    // several sessions in one reload
constexpr std::uint64_t kReloadEvery_us = 1'000'000;  // at most: each costs PID 1 a look at all units
constexpr std::uint64_t kReloadLimit_us = 90'000'000;
constexpr std::uint64_t kClose_us = 1'500'000;  // as good as the same limit
constexpr std::uint64_t kRounding_us = 1'000'000;

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

}  // namespace

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

}  // namespace hallpass
