#include "agent/setup/host_services.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <thread>

#include "agent/program.h"
#include "agent/setup/config_lines.h"
#include "agent/setup/sshd_settings.h"
#include "agent/setup/targets.h"
#include "core/edge/files.h"
#include "core/values/text.h"
#include "host/session.h"

namespace hallpass {
namespace {

constexpr char kSystemctl[] = "/usr/bin/systemctl";
constexpr char kTimer[] = "hallpass-way-back.timer", kService[] = "hallpass-way-back.service";
constexpr std::chrono::milliseconds kReloadLimit{30000};
constexpr int kBannerPatience_ms = 5000;
// A reloaded sshd closes its sockets before it opens them again.
constexpr std::chrono::seconds kExecutionPatience{3}, kAnswerPatience{8};

Status run(std::vector<std::string> argv, std::chrono::milliseconds limit = kReloadLimit) {
  const auto verb =
      std::find_if(argv.begin() + 1, argv.end(), [](const std::string& a) { return !a.starts_with("-"); });
  const std::string name = argv[0].substr(argv[0].rfind('/') + 1) + (verb != argv.end() ? " " + *verb : "");
  const ProgramEnd end = run_program({std::move(argv), {}}, limit);
  if (end.exited && end.status == 0) return Unit{};
  const std::string why = end.exited ? printable(end.errors, 400) : end.fault;
  return Error{Errc::unavailable, "`" + name + "` failed: " + (why.empty() ? "it does not say why" : why)};
}

// "ActiveState=active\nLoadState=loaded\n"
std::string property(const std::string& unit, const std::string& name) {
  const ProgramEnd end = run_program({{kSystemctl, "show", "-p", name, "--value", unit}, {}});
  std::string value = end.exited && end.status == 0 ? end.output : "";
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

std::string sshd_unit() {
  for (const char* unit : {"ssh.service", "sshd.service"}) {
    const std::string state = property(unit, "ActiveState");
    if (state == "active" || state == "reloading" || state == "activating") return unit;
  }
  return "";
}

// Behind ssh.socket a reloaded sshd has lost the socket, cannot bind its port and ends; a restart gives it the socket
// again, and ends no session.
std::string reload_verb(const std::string& unit) {
  for (const std::string& by : words_of(property(unit, "TriggeredBy")))
    if (by.ends_with(".socket") && property(by, "ActiveState") == "active") return "try-restart";
  return "reload";
}

// What the kernel told the program of this process when it was executed: random addresses, another set each time.
std::string execution_of(const std::string& pid) {
  const Result<std::string> told =
      pid.empty() || pid == "0" ? Error{Errc::not_found, ""} : read_file(AT_FDCWD, "/proc/" + pid + "/auxv", 65536);
  return told ? *told : "";
}

// `systemctl reload` only sends a signal: sshd then executes itself anew, and until it has done so the old
// configuration answers.
void await_new_execution(const std::string& pid, const std::string& before) {
  const auto end = std::chrono::steady_clock::now() + kExecutionPatience;
  while (!before.empty() && execution_of(pid) == before && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor)

 private:
  int fd_;
};

bool ready(int fd, short what) {
  pollfd waiting{fd, what, 0};
  return poll(&waiting, 1, kBannerPatience_ms) == 1;
}

bool connected(int fd, const addrinfo& to) {
  if (connect(fd, to.ai_addr, to.ai_addrlen) == 0) return true;
  int error = 0;
  socklen_t size = sizeof error;
  return errno == EINPROGRESS && ready(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
         error == 0;
}

bool has_banner(const std::string& host, const std::string& port) {
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (getaddrinfo(host.c_str(), port.c_str(), &wanted, &found) != 0) return false;
  const Connection fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool open = fd >= 0 && connected(fd, *found);
  freeaddrinfo(found);
  char banner[4] = {};
  return open && ready(fd, POLLIN) && recv(fd, banner, sizeof banner, 0) == 4 && std::memcmp(banner, "SSH-", 4) == 0;
}

// "listenaddress [::]:22" of sshd -T, as something to connect to.
std::optional<std::pair<std::string, std::string>> address_of(const std::string& listen) {
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = listen.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  return std::pair(host, listen.substr(colon + 1));
}

// Field 22 of /proc/<pid>/stat, in milliseconds since boot.
std::optional<std::int64_t> start_ms(const std::string& pid) {
  const Result<std::string> stat = read_file(AT_FDCWD, "/proc/" + pid + "/stat", 4096);
  const auto name_end = stat ? stat->rfind(')') : std::string::npos;
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> words = words_of(std::string_view(*stat).substr(name_end + 1));
  constexpr std::size_t kStart = 22 - 3;
  std::int64_t ticks = 0;
  if (words.size() <= kStart ||
      std::from_chars(words[kStart].data(), words[kStart].data() + words[kStart].size(), ticks).ec != std::errc())
    return std::nullopt;
  return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

// "/user.slice/user-1000.slice/session-5.scope", or the audit session that the login set and every child has. Deeper
// down than that people name their own control groups as they like.
std::string session_id() {
  const std::string group = control_group(0);
  constexpr std::string_view kUser = "/user.slice/user-", kSession = "/session-";
  const auto user = group.find(kUser);
  const auto slash = user == std::string::npos ? user : group.find('/', user + kUser.size());
  const std::string unit = slash == std::string::npos ? "" : group.substr(slash, group.find('/', slash + 1) - slash);
  if (unit.starts_with(kSession) && unit.ends_with(".scope"))
    return unit.substr(kSession.size(), unit.rfind('.') - kSession.size());
  const std::optional<std::uint32_t> audit = audit_session(0);
  return audit ? std::to_string(*audit) : "";
}

}  // namespace

Status arm_way_back(const Layout& layout, std::chrono::seconds within) {
  if (!layout.root.empty()) return Unit{};
  const std::string loaded = property(kService, "LoadState");
  if (loaded != "loaded")
    return Error{Errc::unavailable,
                 std::string(kService) + " is not there for systemd (" + (loaded.empty() ? "no answer" : loaded) +
                     "): install hallpass-host again, `systemctl daemon-reload`, `systemctl unmask`"};
  disarm_way_back(layout);
  const Status armed =
      run({"/usr/bin/systemd-run", "--quiet", "--unit=" + std::string(kService),
           "--on-active=" + std::to_string(within.count()) + "s", "--timer-property=AccuracySec=500ms"});
  if (!armed) return armed;
  if (property(kTimer, "ActiveState") == "active") return Unit{};
  return Error{Errc::unavailable, std::string(kTimer) + " is not active though systemd-run was content"};
}

void disarm_way_back(const Layout& layout) {
  if (layout.root.empty()) (void)run({kSystemctl, "stop", "--quiet", kTimer});
}

Status keep_way_back(const Layout& layout) {
  if (!layout.root.empty()) return Unit{};
  const Result<ActivationState> state = read_activation(layout);
  if (!state) return Unit{};
  if (!state->pending) {
    disarm_way_back(layout);
    return Unit{};
  }
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const std::chrono::seconds left(state->other_boot ? 0 : state->deadline_boot_ms / 1000 - now.tv_sec);
  return arm_way_back(layout, std::max(left, std::chrono::seconds{1}));
}

Status sshd_would_start() {
  make_sshd_directory();
  const Status fit = run({"/usr/sbin/sshd", "-t"});
  if (fit) return fit;
  return Error{Errc::unavailable,
               fit.error().message + ": correct what it names (`sshd -t`), then `systemctl reload ssh`"};
}

Status reload_services(const Layout& layout, const Changes& changes) {
  if (!layout.root.empty()) return Unit{};
  const auto changed = [&](std::string_view folder) {
    return std::any_of(changes.begin(), changes.end(), [&](const FileChange& c) { return c.path.starts_with(folder); });
  };
  if (changed("/etc/systemd/")) {
    if (const Status read = run({kSystemctl, "daemon-reload"}); !read) return read;
  }
  const std::string unit = changed("/etc/ssh/") ? sshd_unit() : "";
  if (unit.empty()) return Unit{};
  const std::string pid = property(unit, "MainPID"), execution = execution_of(pid);
  // The way back is ordered before sshd, for boots: without this option the job would wait for the very unit that asks.
  const std::string verb = reload_verb(unit);
  if (const Status fit = verb == "reload" ? Status(Unit{}) : sshd_would_start(); !fit) return fit;
  const Status reloaded = run({kSystemctl, "--job-mode=ignore-dependencies", verb, unit});
  if (!reloaded) return reloaded;
  await_new_execution(pid, execution);
  return Unit{};
}

Status reload_services(const Layout& layout) {
  return reload_services(layout, {{std::string(targets::kScope), std::nullopt, std::nullopt},
                                  {std::string(targets::kSshd), std::nullopt, std::nullopt}});
}

Status sshd_answers(const Layout& layout) {
  if (!layout.root.empty()) return Unit{};
  const Result<SshdSettings> settings = SshdSettings::read("");
  if (!settings) return settings.error();
  const auto end = std::chrono::steady_clock::now() + kAnswerPatience;
  std::string tried;
  do {
    tried.clear();
    for (const std::string& listen : settings->all("listenaddress")) {
      const auto address = address_of(listen);
      if (!address) continue;
      if (has_banner(address->first, address->second)) return Unit{};
      tried += (tried.empty() ? "" : ", ") + listen;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  } while (std::chrono::steady_clock::now() < end);
  return Error{Errc::unavailable,
               "sshd does not answer on this host (" + printable(tried) + "): `systemctl status ssh sshd`, `sshd -t`"};
}

Result<CallerSession> caller_session() {
  CallerSession session;
  session.id = session_id();
  if (session.id.empty()) return Error{Errc::not_found, "this process belongs to no login session"};
  const ProgramEnd end =
      run_program({{"/usr/bin/loginctl", "show-session", session.id, "-p", "Service", "-p", "Leader"}, {}});
  if (!end.exited || end.status != 0)
    return Error{Errc::unavailable, "systemd-logind does not know session " + printable(session.id, 40) + ": " +
                                        printable(end.exited ? end.errors : end.fault)};
  std::string leader;
  for (const ConfigLine& line : split_config(end.output)) {
    if (line.text.starts_with("Service=")) session.service = line.text.substr(8);
    if (line.text.starts_with("Leader=")) leader = line.text.substr(7);
  }
  const std::optional<std::int64_t> started = start_ms(leader);
  if (!started) return Error{Errc::unavailable, "the process that session " + session.id + " began with is gone"};
  session.boot_ms = *started;
  return session;
}

void tell_terminals(const Layout& layout, const std::string& line) {
  if (layout.root.empty()) (void)run_program({{"/usr/bin/wall"}, line + "\n"});
}

}  // namespace hallpass
