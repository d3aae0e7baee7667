// Single files of the host that activation changes: read with care, kept under hidden names beside themselves, replaced
// by one rename. Nothing here knows what they mean.
//
// For /etc/pam.d/sshd the hidden names are /etc/pam.d/.sshd.hallpass-new (what is to come), -before (what was confirmed
// last) and -original (from before hallpass). None of them is read by sshd, PAM, systemd or polkit. The two old ones
// are the former files themselves, under a second name: going back restores every attribute and needs no space.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/layout.h"
#include "agent/setup/activation.h"
#include "core/values/result.h"

namespace hallpass {

enum class Hidden { staged, before, original, changed };
std::string hidden_path(const Layout& layout, std::string_view path, Hidden which);

// A file as it stands; nullopt: there is none. Errors: untrusted (a link, no regular file, or others than root may
// write it or its directory), too_large, unavailable.
Result<std::optional<FileContent>> read_target(const Layout& layout, const std::string& path);
Result<std::optional<FileContent>> read_hidden(const Layout& layout, const std::string& path, Hidden which);
// The same bytes, mode and owner?
bool same_content(const std::optional<FileContent>& a, const std::optional<FileContent>& b);

// The directories above `path` that are missing, the outermost first. Errors: untrusted, unavailable.
Result<std::vector<std::string>> missing_directories(const Layout& layout, const std::string& path);
// Makes them, as root's and 0755. Errors: unavailable.
Status make_directories(const Layout& layout, const std::vector<std::string>& missing);
// Removes those that are empty.
void remove_directories(const Layout& layout, const std::vector<std::string>& made);

// Writes a hidden file, flushed, with the mode and owner of `content` and with the extended attributes of the target.
Status write_hidden(const Layout& layout, const std::string& path, Hidden which, const FileContent& content);
// Gives the target a second, hidden name; what had that name is gone. Errors: unavailable.
Status keep_target(const Layout& layout, const std::string& path, Hidden which);
// The hidden file takes the target's place. Crash before: the old target, after: the new one. Errors: not_found,
// unavailable.
Status put_hidden(const Layout& layout, const std::string& path, Hidden which);
// Idempotent, flushed.
Status remove_target(const Layout& layout, const std::string& path);
void remove_hidden(const Layout& layout, const std::string& path, Hidden which);
bool has_hidden(const Layout& layout, const std::string& path, Hidden which);
// Makes the names in the target's directory durable.
Status flush_directory(const Layout& layout, const std::string& path);

}  // namespace hallpass
