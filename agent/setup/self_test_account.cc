#include "agent/setup/self_test_account.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include "agent/program.h"
#include "agent/setup/accounts.h"
#include "agent/setup/self_test_words.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxAccountsBytes = std::size_t{64} * 1024 * 1024;
constexpr std::chrono::seconds kPatience{5};
constexpr int kUserBusy = 8;  // userdel(8): the user is logged in

using Clock = std::chrono::steady_clock;

std::string text_of(const char* path) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxAccountsBytes, true);
  return text ? *text : std::string();
}

std::optional<Account> find_account(const std::string& name) {
  const auto accounts = read_accounts(Layout{});
  if (!accounts) return std::nullopt;
  const auto found = std::find_if(accounts->begin(), accounts->end(), [&](const Account& a) { return a.name == name; });
  return found == accounts->end() ? std::nullopt : std::optional(*found);
}

void pause_a_moment() {
  std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

bool is_of_user(pid_t pid, const void* uid) {
  struct stat at {};
  return stat(("/proc/" + std::to_string(pid)).c_str(), &at) == 0 && at.st_uid == *static_cast<const uid_t*>(uid);
}

// logind keeps a slice for who was logged in, with his user manager, for ten seconds.
void stop_user_slice(uid_t uid) {
  if (access(("/run/systemd/users/" + std::to_string(uid)).c_str(), F_OK) != 0) return;
  run_program({{"/usr/bin/systemctl", "stop", "user-" + std::to_string(uid) + ".slice"}, {}});
}

Status call_userdel(const std::string& name) {
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const ProgramEnd end = run_program({{"/usr/sbin/userdel", name}, {}});
    if (end.exited && end.status == 0) return Unit{};
    if (!end.exited || end.status != kUserBusy || Clock::now() >= deadline) {
      return Error{Errc::unavailable,
                   "the account " + name + " is left, for userdel " + words_of(end) + "; remove it: userdel " + name};
    }
    pause_a_moment();
  }
}

}  // namespace

std::string new_self_test_name() {
  constexpr std::string_view kLetters = "0123456789abcdefghjkmnpqrstvwxyz";
  unsigned char random[4] = {};
  if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) std::abort();
  std::string name = kSelfTestPrefix;
  for (const unsigned char byte : random) name += kLetters[byte % kLetters.size()];
  return name;
}

Result<ThrowAway> make_throw_away(const std::string& name, const std::string& home) {
  const ProgramEnd end =
      run_program({{"/usr/sbin/useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell",
                    "/bin/sh", "--password", "*", "--comment", "self-test of hallpass, goes by itself", name},
                   {}});
  if (!end.exited || end.status != 0)
    return Error{Errc::unavailable, "no account can be made for the self-test: useradd " + words_of(end)};
  const auto made = find_account(name);
  if (!made || made->uid == 0)
    return Error{Errc::unavailable, "the account " + name + " was made, but is not in /etc/passwd"};
  return ThrowAway{name, home, made->uid, made->gid};
}

bool end_processes(bool (*which)(pid_t, const void*), const void* what) {
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    bool any = false;
    const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
    for (const dirent* entry = nullptr; proc && (entry = readdir(proc.get())) != nullptr;) {
      const pid_t pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
      if (pid <= 1 || pid == getpid() || !which(pid, what)) continue;
      any = true;
      kill(pid, SIGKILL);
    }
    if (!any) return true;
    if (Clock::now() >= deadline) return false;
    pause_a_moment();
  }
}

Status remove_throw_away(const std::string& name) {
  if (const auto account = find_account(name); account && account->uid != 0) {
    const uid_t uid = account->uid;
    stop_user_slice(uid);
    if (!end_processes(is_of_user, &uid))
      return Error{Errc::unavailable, "processes of " + name + " do not end; look at them: ps -u " + name};
    if (Status removed = call_userdel(name); !removed) return removed;
  }
  // Where userdel does not take the group with it.
  const auto groups = throw_aways("", text_of("/etc/group"));
  if (std::find(groups.begin(), groups.end(), name) == groups.end()) return Unit{};
  const ProgramEnd end = run_program({{"/usr/sbin/groupdel", name}, {}});
  if (end.exited && end.status == 0) return Unit{};
  return Error{Errc::unavailable, "the group " + name + " is left, for groupdel " + words_of(end)};
}

std::vector<std::string> throw_aways(std::string_view passwd_file, std::string_view group_file) {
  std::set<std::string> names;
  for (std::string_view text : {passwd_file, group_file}) {
    while (!text.empty()) {
      const auto line = text.substr(0, text.find('\n'));
      if (line.starts_with(kSelfTestPrefix)) names.emplace(line.substr(0, line.find(':')));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace hallpass
