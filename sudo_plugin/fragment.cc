#include "sudo_plugin/fragment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hallpass {
namespace {

constexpr std::size_t kMaxSiteDefaults = std::size_t{1024} * 1024;

Error failed(const char* what) {
  return {Errc::unavailable, std::string(what) + ": " + strerror(errno)};
}

// "/usr/bin/a, /bin/a", "ALL", "sudoedit". Paths come from the policy, which lets only plain characters into them.
std::string programs(const Command& command, uid_t caller, bool with_digest) {
  std::vector<std::string> paths;
  switch (command.kind) {
    case Command::Kind::run:
      paths = command.executables;
      break;
    case Command::Kind::shell:
      paths = shells_of(command.as_user, caller);
      break;
    case Command::Kind::any:
      return "ALL";
    case Command::Kind::edit:
      return "sudoedit";
  }
  std::string text;
  for (const std::string& path : paths) {
    if (!text.empty()) text += ", ";
    if (with_digest && !command.sha256.empty()) text += "sha256:" + command.sha256 + " ";
    text += path;
  }
  return text;
}

std::string rule(const Command& command, uid_t caller) {
  std::string text = "#" + std::to_string(caller) + " ALL = (" + command.as_user;
  if (!command.as_group.empty()) text += " : " + command.as_group;
  text += command.password ? ") PASSWD: " : ") NOPASSWD: ";
  text += "NOSETENV: NOFOLLOW: ";  // ALL would imply SETENV
  if (command.subcommands == Subcommands::deny) text += "NOEXEC: ";
  if (command.subcommands == Subcommands::check) text += "INTERCEPT: ";
  return text + programs(command, caller, true) + "\n";
}

// What a grant relies on, whatever the site's Defaults say. Once for everything and once for the command, because
// Defaults of a command win over others wherever they stand.
std::string our_defaults(const std::string& whose, const Command& command, const Abilities& abilities) {
  const std::string begin = "Defaults" + whose + " ";
  std::string text =
      begin + "env_reset, !setenv, always_set_home, secure_path=\"" + std::string(kSecurePath) +
      "\", runas_default=root\n" + begin +
      "!exempt_group, !preserve_groups, !closefrom_override, !fast_glob, !sudoedit_follow, sudoedit_checkdir, " +
      "fdexec=digest_only\n";
  // The site's own wish to check sub-commands would refuse all of them: the site's rules are not in here.
  if (abilities.intercept && command.subcommands != Subcommands::check) text += begin + "!intercept\n";
  // With a log server that does not answer sudo crashes (1.9.13) when it refuses a sub-command, which then runs.
  if (command.subcommands == Subcommands::check) text += begin + "!log_servers\n";
  if (abilities.trace && command.subcommands == Subcommands::check)
    text += begin + "intercept_type=trace, intercept_verify\n";
  std::string names;
  for (const std::string& name : command.env_keep) names += (names.empty() ? "" : " ") + name;
  if (!names.empty()) text += begin + "env_keep += \"" + names + "\"\n";
  return text;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

Result<std::string> read_opened(int fd) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return failed("the site's Defaults for sudo");
  if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) != 0)
    return Error{Errc::untrusted, "the site's Defaults for sudo have the wrong owner or mode"};
  if (st.st_size > static_cast<off_t>(kMaxSiteDefaults))
    return Error{Errc::too_large, "the site's Defaults for sudo are too large"};
  std::string text(static_cast<std::size_t>(st.st_size), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = read(fd, text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("the site's Defaults for sudo");
    got += static_cast<std::size_t>(n);
  }
  return text;
}

}  // namespace

Result<std::string> read_site_defaults(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return failed("the site's Defaults for sudo");
  Result<std::string> text = read_opened(fd);
  ::close(fd);
  return text;
}

std::string fragment_text(std::string_view site_defaults, uid_t caller, const Cover& cover,
                          const Abilities& abilities) {
  std::string text(site_defaults);
  text += '\n';
  // The last rule that matches wins: what the grant's other commands allow counts for sub-commands only.
  for (const Command& other : cover.others) {
    const bool apart = other.as_user == cover.command.as_user && other.subcommands <= Subcommands::check;
    if (apart && !(other == cover.command)) text += rule(other, caller);
  }
  text += rule(cover.command, caller);
  text += our_defaults("", cover.command, abilities);
  text += our_defaults("!" + programs(cover.command, caller, false), cover.command, abilities);
  return text;
}

Fragment::~Fragment() {
  close();
}

void Fragment::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool Fragment::was_read() const {
  struct stat st {};
  return fd_ >= 0 && fstat(fd_, &st) == 0 && st.st_atim.tv_sec != 0;
}

Status Fragment::write(std::string_view text) {
  close();
  fd_ = memfd_create("hallpass-sudoers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) return failed("memfd_create");
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  // sudo is setuid: the file would be of the caller's group otherwise.
  constexpr timespec kNeverRead[2] = {};
  if (fchown(fd_, 0, 0) != 0 || fchmod(fd_, 0440) != 0 || !write_all(fd_, text) || futimens(fd_, kNeverRead) != 0 ||
      fcntl(fd_, F_ADD_SEALS, kSeals) != 0) {
    const Error error = failed("the generated sudoers");
    close();
    return error;
  }
  path_ = "/proc/self/fd/" + std::to_string(fd_);
  return Unit{};
}

}  // namespace hallpass
