#include "agent/setup/self_test_sshd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <thread>

#include "agent/setup/self_test_words.h"
#include "agent/setup/sshd_config.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr char kSshd[] = "/usr/sbin/sshd";
constexpr std::chrono::seconds kStartLimit{8};
constexpr std::size_t kMaxLogBytes = std::size_t{4} * 1024 * 1024;
// Longer than any self-test: systemd ends what nobody else could.
constexpr char kUnitLimit[] = "RuntimeMaxSec=150";

std::string text_of(const std::string& path) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxLogBytes, true);
  return text ? *text : std::string();
}

// Who may come from where, what he then gets, and where sshd listens: none of it is what is tried.
std::vector<std::string> doors(Mode mode) {
  std::vector<std::string> keywords = {"allowusers",      "allowgroups",           "denyusers",
                                       "denygroups",      "authenticationmethods", "forcecommand",
                                       "chrootdirectory", "refuseconnection"};
  // Where it only watches hallpass leaves sshd's configuration as it is: PAM is tried, by a key file of the account.
  if (mode == Mode::observe) {
    keywords.emplace_back("pubkeyauthentication");
    keywords.emplace_back("authorizedkeysfile");
    keywords.emplace_back("authorizedkeyscommand");
    keywords.emplace_back("authorizedkeyscommanduser");
  }
  return keywords;
}

Result<std::vector<std::string>> set_doors_aside(TestWorld& world, Mode mode) {
  std::vector<std::string> keywords = doors(mode), told;
  const std::vector<SshdLine> lines = read_sshd_lines();
  const auto names = [&](const SshdLine& line) {
    const bool ours = line.file.starts_with("/etc/ssh/sshd_config.d/hallpass");
    return !ours && std::find(keywords.begin(), keywords.end(), line.keyword) != keywords.end();
  };
  for (const SshdLine& line : lines) {
    if (names(line)) told.push_back(line.where() + ": " + line.keyword + " " + line.value);
  }
  for (const char* place : {"port", "listenaddress", "persourcepenalties"}) keywords.emplace_back(place);
  std::set<std::string> files;
  for (const SshdLine& line : lines) {
    if (names(line)) files.insert(line.file);
  }
  for (const std::string& file : files) {
    const std::string text = without_keywords(text_of(file), keywords);
    if (Status done = world.cover(file, {text, 0644, 0, 0}); !done) return done.error();
  }
  return told;
}

// The kernel's choice; another program may take it before sshd does, which then says so.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  const bool known = fd >= 0 && bind(fd, any, size) == 0 && getsockname(fd, any, &size) == 0;
  if (fd >= 0) close(fd);
  return known ? ntohs(address.sin_port) : 0;
}

// The host's own keys, so that nobody else who listens there is taken for it.
std::string known_hosts(const SshdSettings& settings, int port) {
  std::string text;
  for (const std::string& key : settings.all("hostkey")) {
    const std::string line = text_of(key + ".pub");
    if (!line.empty()) text += "[127.0.0.1]:" + std::to_string(port) + " " + line.substr(0, line.find('\n')) + "\n";
  }
  return text;
}

void option(std::vector<std::string>& argv, const std::string& text) {
  argv.emplace_back("-o");
  argv.push_back(text);
}

std::vector<std::string> sshd_argv(const TestWorld& world, Mode mode, const SshdSettings& settings, int port) {
  const std::string at = std::to_string(port);
  std::vector<std::string> argv = {kSshd, "-D", "-E", world.log_file(), "-p", at};
  for (const char* text :
       {"AddressFamily=any", "PidFile=none", "LogLevel=VERBOSE", "UseDNS=no", "LoginGraceTime=15", "MaxStartups=50"})
    option(argv, text);
  option(argv, "ListenAddress=127.0.0.1:" + at);
  // What keeps others out, or in their place, was set aside.
  option(argv, "AllowUsers=" + world.who().name);
  if (mode == Mode::observe) option(argv, std::string("AuthorizedKeysFile=") + kSelfTestHome + "/.ssh/authorized_keys");
  // OpenSSH 9.8 punishes an address for refused logins, of which there are some.
  if (!settings.get("persourcepenalties").empty()) option(argv, "PerSourcePenalties=no");
  const std::string accepted(settings.get("pubkeyacceptedalgorithms"));
  if (!accepted.empty() && acceptable_key_type(accepted).empty()) option(argv, "PubkeyAcceptedAlgorithms=+ssh-ed25519");
  return argv;
}

}  // namespace

std::string acceptable_key_type(std::string_view accepted) {
  const std::string list = "," + std::string(accepted) + ",";
  constexpr std::pair<const char*, const char*> kTypes[] = {
      {",ssh-ed25519,", "ed25519"}, {",ecdsa-sha2-nistp256,", "ecdsa"}, {",rsa-sha2-512,", "rsa"}};
  for (const auto& [algorithm, type] : kTypes) {
    if (list.find(algorithm) != std::string::npos) return type;
  }
  return "";
}

bool has_listener(std::string_view proc_net_tcp, int port) {
  char wanted[32];
  // The address as the machine keeps it in memory: that of 127.0.0.1, a port, any other end, state 0A.
  [[maybe_unused]] const int length = std::snprintf(wanted, sizeof wanted, "%08X:%04X 00000000:0000 0A",
                                                    htonl(INADDR_LOOPBACK), static_cast<unsigned>(port));
  return proc_net_tcp.find(wanted) != std::string_view::npos;
}

Result<std::unique_ptr<TestSshd>> TestSshd::start(TestWorld& world, Mode mode, const SshdSettings& settings) {
  const int port = free_port();
  if (port == 0) return Error{Errc::unavailable, "there is no free port on 127.0.0.1 for a second sshd"};
  std::unique_ptr<TestSshd> sshd(new TestSshd(world, port));
  Result<std::vector<std::string>> aside = set_doors_aside(world, mode);
  if (!aside) return aside.error();
  sshd->set_aside_ = std::move(*aside);
  const std::string hosts = known_hosts(settings, port);
  if (Status done = world.write("known_hosts", hosts, 0600); !done) return done.error();
  if (Status done = sshd->run(mode, settings); !done) return done.error();
  if (Status done = sshd->await(); !done) return done.error();
  return sshd;
}

Status TestSshd::run(Mode mode, const SshdSettings& settings) {
  Program program{{"/usr/bin/systemd-run", "--quiet", "--collect", "--service-type=exec", "--unit=" + world_.who().name,
                   "--description=sshd of hallpass's self-test", "-p", kUnitLimit, "-p", "TimeoutStopSec=2", "--",
                   "/usr/bin/nsenter", "--mount=/proc/" + std::to_string(getpid()) + "/ns/mnt", "--"},
                  {}};
  for (std::string& word : sshd_argv(world_, mode, settings, port_)) program.argv.push_back(std::move(word));
  started_ = true;
  const ProgramEnd end = run_program(program);
  if (end.exited && end.status == 0) return Unit{};
  return Error{Errc::unavailable, "systemd does not start a second sshd: systemd-run " + words_of(end)};
}

Status TestSshd::await() {
  const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
  const std::string unit = world_.who().name + ".service";
  for (int looked = 1; !has_listener(text_of("/proc/self/net/tcp"), port_); ++looked) {
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
    const bool ended =
        looked % 20 == 0 && run_program({{"/usr/bin/systemctl", "is-active", "--quiet", unit}, {}}).status != 0;
    if (ended || std::chrono::steady_clock::now() >= deadline) {
      const std::string said = cited(text_of(world_.log_file()));
      return Error{Errc::unavailable,
                   "a second sshd does not listen on 127.0.0.1; it said" + (said.empty() ? " nothing" : ":\n" + said)};
    }
  }
  return Unit{};
}

TestSshd::~TestSshd() {
  if (started_) run_program({{"/usr/bin/systemctl", "stop", world_.who().name + ".service"}, {}});
}

ProgramEnd TestSshd::login(const std::string& command, bool with_terminal) {
  logged_ = text_of(world_.log_file()).size();
  const bool known = !text_of(world_.known_hosts()).empty();
  Program program{{"/usr/bin/ssh", "-F", "none", "-p", std::to_string(port_), "-i", world_.key_file(),
                   with_terminal ? "-tt" : "-T"},
                  {}};
  for (const char* text : {"BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "ControlPath=none",
                           "PreferredAuthentications=publickey", "GlobalKnownHostsFile=/dev/null", "ConnectTimeout=5",
                           "LogLevel=INFO", "ForwardX11=no"})
    option(program.argv, text);
  option(program.argv, "UserKnownHostsFile=" + world_.known_hosts());
  option(program.argv, known ? "StrictHostKeyChecking=yes" : "StrictHostKeyChecking=accept-new");
  program.argv.push_back(world_.who().name + "@127.0.0.1");
  program.argv.push_back(std::string("echo ") + kInMark + "; " + command);
  return run_program(program);
}

std::string TestSshd::log() const {
  const std::string text = text_of(world_.log_file());
  return text.substr(std::min(logged_, text.size()));
}

}  // namespace hallpass
