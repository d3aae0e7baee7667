// What activation needs of systemd, logind and sshd on the running host. With a layout that has a root (tests) nothing
// is done and all is well.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/values/result.h"

namespace hallpass {

// A timer of PID 1 that starts hallpass-way-back.service after `within`. Replaces one that is armed. Errors:
// unavailable (why; nothing may be changed then).
Status arm_way_back(const Layout& layout, std::chrono::seconds within);
void disarm_way_back(const Layout& layout);
// Arms it for what is left of the time of a change that waits, whoever made it, and disarms it when none waits. With a
// damaged record it stays as it is. Errors: unavailable.
Status keep_way_back(const Layout& layout);

// systemd reads unit files again where `changes` has one; sshd, if it runs as a service, its configuration. Errors:
// unavailable (in systemctl's words).
Status reload_services(const Layout& layout, const Changes& changes);
Status reload_services(const Layout& layout);  // both

// An sshd that is stopped now would come up again: it takes its configuration. Errors: unavailable (sshd's own words).
Status sshd_would_start();

// Connects to sshd as its configuration says where it listens, and waits for its banner. Errors: unavailable.
Status sshd_answers(const Layout& layout);

// The login session of the calling process, as logind knows it.
struct CallerSession {
  std::string id, service;   // "sshd", "login"
  std::int64_t boot_ms = 0;  // CLOCK_BOOTTIME when its leader started: for sshd, when the connection came in
};
// Errors: not_found (it is in none), unavailable.
Result<CallerSession> caller_session();

// One line to all terminals.
void tell_terminals(const Layout& layout, const std::string& line);

}  // namespace hallpass
