// The files that activation changes, and what it makes of each. The order is the one in which a host becomes stricter:
// PAM's lines before sshd's key files are set aside, so that no login comes in by a grant without its time limit.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/values/result.h"

namespace hallpass {

namespace targets {
inline constexpr std::string_view kScope = "/etc/systemd/system/session-.scope.d/50-hallpass.conf";
inline constexpr std::string_view kPolkit = "/etc/polkit-1/rules.d/49-hallpass-linger.rules";
inline constexpr std::string_view kPam = "/etc/pam.d/sshd";
inline constexpr std::string_view kDrop = "/etc/ssh/sshd_config.d/hallpass-drop.conf";
inline constexpr std::string_view kSshd = "/etc/ssh/sshd_config.d/hallpass.conf";
inline constexpr std::string_view kSudo = "/etc/sudo.conf";
}  // namespace targets

const std::vector<std::string>& target_paths();

// What `path` should hold, from what it holds now. nullopt: no such file. Errors: as plan_changes.
Result<std::optional<FileContent>> wanted_content(const Layout& layout, const std::string& path,
                                                  const std::optional<FileContent>& now, const Wanted& wanted);
// `now` with hallpass taken out; nullopt: nothing is left, the file was hallpass's own.
std::optional<FileContent> without_hallpass(const std::string& path, const std::optional<FileContent>& now);
// Hallpass is in it.
bool holds_hallpass(const std::string& path, const std::optional<FileContent>& now);

}  // namespace hallpass
