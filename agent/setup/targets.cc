#include "agent/setup/targets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/setup/config_lines.h"
#include "agent/setup/host_files.h"
#include "agent/setup/pam_stack.h"
#include "agent/setup/sudo_conf.h"
#include "core/edge/config_file.h"
#include "core/edge/files.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxTemplateBytes = std::size_t{64} * 1024;
constexpr char kShare[] = "/usr/share/hallpass";

std::string template_of(std::string_view path) {
  if (path == targets::kScope) return "/systemd/50-hallpass.conf";
  if (path == targets::kPolkit) return "/polkit/49-hallpass-linger.rules";
  if (path == targets::kDrop) return "/sshd/hallpass-drop.conf";
  if (path == targets::kSshd) return "/sshd/hallpass.conf";
  return "/sudo/sudo.conf";
}

Result<std::optional<FileContent>> from_template(const Layout& layout, std::string_view path) {
  const std::string file = layout.at(kShare) + template_of(path);
  Result<std::string> text = read_file(AT_FDCWD, file, kMaxTemplateBytes);
  if (!text) return Error{Errc::unavailable, text.error().message + ": install the package hallpass-host again"};
  // In a test's own tree root's files are the tester's.
  const bool real = layout.root.empty();
  return std::optional(FileContent{std::move(*text), 0644, real ? 0 : geteuid(), real ? 0 : getegid()});
}

Result<std::optional<std::string>> drop_directory(const Layout& layout) {
  std::string faults;
  const std::optional<HostConfig> config = read_config_file(layout.host_config(), parse_host_config, faults);
  if (!config) return Error{Errc::malformed, "host.toml is wrong: " + faults.substr(0, faults.find('\n'))};
  return config->drop.empty() ? std::nullopt : std::optional(config->drop);
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// A drop-in that is never read would leave the keys where they are.
Status sshd_reads_drop_ins(const Layout& layout) {
  const std::string path = layout.at("/etc/ssh/sshd_config");
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxTemplateBytes * 16, true);
  if (!text) return Error{Errc::mismatch, text.error().message + ": hallpass changes OpenSSH's sshd alone"};
  for (const ConfigLine& line : split_config(*text)) {
    const std::vector<std::string> words = words_of(line.text);
    if (words.empty()) continue;
    std::string keyword = words[0];
    for (char& c : keyword) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (keyword == "match") break;
    if (keyword != "include") continue;
    for (const std::string& word : words)
      if (word.find("sshd_config.d/*") != std::string::npos) return Unit{};
  }
  return Error{Errc::mismatch,
               path +
                   " does not read /etc/ssh/sshd_config.d: put `Include /etc/ssh/sshd_config.d/*.conf` into its first "
                   "line, then `sshd -t` and `systemctl reload ssh`"};
}

// Whether the file belongs to a host as wanted.
Result<bool> belongs(const Layout& layout, std::string_view path, const Wanted& wanted) {
  if (wanted.mode == Mode::off) return false;
  if (path == targets::kPolkit) {
    return wanted.mode == Mode::enforce && is_directory(layout.at("/etc/polkit-1/rules.d"));
  }
  if (path == targets::kSshd) return wanted.mode == Mode::enforce;
  if (path == targets::kSudo) return wanted.sudo;
  if (path == targets::kDrop) {
    const Result<std::optional<std::string>> drop = drop_directory(layout);
    if (!drop) return drop.error();
    return drop->has_value();
  }
  return true;
}

Result<std::optional<FileContent>> wanted_pam(const Layout& layout, const std::optional<FileContent>& now,
                                              const Wanted& wanted) {
  if (!now)
    return Error{Errc::mismatch, layout.at(targets::kPam) +
                                     " is not there: without it sshd goes by /etc/pam.d/other. Put the "
                                     "distribution's file back, `UsePAM yes` into sshd_config, and try again"};
  const auto other = [&](const std::string& name) -> std::optional<std::string> {
    const std::string path = name.starts_with('/') ? name : "/etc/pam.d/" + name;
    const Result<std::string> text = read_file(AT_FDCWD, layout.at(path), kMaxTemplateBytes * 16, true);
    return text ? std::optional(*text) : std::nullopt;
  };
  Result<std::string> text = put_pam_lines(now->bytes, wanted.mode == Mode::observe, other);
  if (!text) return text.error();
  FileContent content = *now;
  content.bytes = std::move(*text);
  return std::optional(std::move(content));
}

Result<std::optional<FileContent>> wanted_sudo(const Layout& layout, const std::optional<FileContent>& now) {
  if (!now) return from_template(layout, targets::kSudo);
  Result<std::string> text = put_sudo_lines(now->bytes);
  if (!text) return text.error();
  FileContent content = *now;
  content.bytes = std::move(*text);
  return std::optional(std::move(content));
}

}  // namespace

const std::vector<std::string>& target_paths() {
  static const std::vector<std::string> paths = {std::string(targets::kScope), std::string(targets::kPolkit),
                                                 std::string(targets::kPam),   std::string(targets::kDrop),
                                                 std::string(targets::kSshd),  std::string(targets::kSudo)};
  return paths;
}

Result<std::optional<FileContent>> wanted_content(const Layout& layout, const std::string& path,
                                                  const std::optional<FileContent>& now, const Wanted& wanted) {
  const Result<bool> belonging = belongs(layout, path, wanted);
  if (!belonging) return belonging.error();
  if (!*belonging) return without_hallpass(path, now);
  if (path == targets::kPam) return wanted_pam(layout, now, wanted);
  if (path == targets::kSudo) return wanted_sudo(layout, now);
  if (path == targets::kSshd || path == targets::kDrop) {
    if (const Status read = sshd_reads_drop_ins(layout); !read) return read.error();
  }
  Result<std::optional<FileContent>> content = from_template(layout, path);
  if (content && *content && now && now->bytes == (*content)->bytes) return now;
  return content;
}

std::optional<FileContent> without_hallpass(const std::string& path, const std::optional<FileContent>& now) {
  if (!now) return std::nullopt;
  FileContent rest = *now;
  if (path == targets::kPam) {
    rest.bytes = without_pam_lines(now->bytes);
  } else if (path == targets::kSudo) {
    rest.bytes = without_sudo_lines(now->bytes);
  } else {
    return std::nullopt;
  }
  return rest;
}

bool holds_hallpass(const std::string& path, const std::optional<FileContent>& now) {
  return now && !same_content(without_hallpass(path, now), now);
}

}  // namespace hallpass
