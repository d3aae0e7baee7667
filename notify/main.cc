// hallpass-notify: delivers what hallpass-agent has queued to a webhook, a command, or both. hallpass-notify(8).
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <random>

#include "core/edge/files.h"
#include "notify/command.h"
#include "notify/config.h"
#include "notify/deliverer.h"
#include "notify/queue.h"
#include "notify/webhook.h"

namespace hallpass {
namespace {

constexpr char kConfigFile[] = "/etc/hallpass/notify.toml";
constexpr Seconds kLookAtAll{60};  // inotify may have missed something
constexpr Seconds kEnding{5};      // for what is on its way when we are to end
constexpr int kError = 3, kNotice = 5;

struct Options {
  std::string root;
  bool check_config = false;
};

// journald takes the priority from the prefix.
void tell(int priority, const std::string& text) {
  std::fputs(("<" + std::to_string(priority) + ">" + text + "\n").c_str(), stderr);
}

void harden() {
  umask(0077);
  const struct rlimit none { 0, 0 };
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// Without a file nobody gets alerts, which is a configuration like any other.
std::optional<NotifyConfig> read_configuration(const std::string& path) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
  if (!text && text.error().code == Errc::not_found) return NotifyConfig{};
  if (!text) {
    tell(kError, path + ": " + text.error().message);
    return std::nullopt;
  }
  std::vector<Diagnostic> diagnostics;
  std::optional<NotifyConfig> config = parse_notify_config(*text, diagnostics);
  for (const Diagnostic& d : diagnostics) std::fputs((format_diagnostic(path, d) + "\n").c_str(), stderr);
  return config;
}

std::vector<std::string> receivers_of(const NotifyConfig& config) {
  std::vector<std::string> names;
  if (!config.webhook.empty()) names.emplace_back("webhook");
  if (!config.command.empty()) names.emplace_back("command");
  return names;
}

double chance() {
  static std::mt19937 source{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(source);
}

class Program {
 public:
  Program(const NotifyConfig& config, Spool& spool);
  bool prepare();
  int run();

 private:
  Courier courier(const std::string& shown) const;
  bool wait(Moment until);
  void read_signals();
  bool read_notifications();

  const NotifyConfig& config_;
  Spool& spool_;
  std::unique_ptr<Webhook> webhook_;
  std::unique_ptr<Command> command_;
  std::unique_ptr<Deliverer> deliverer_;
  Descriptor signals_, changes_;
  bool ending_ = false, dirty_ = true;
};

Program::Program(const NotifyConfig& config, Spool& spool) : config_(config), spool_(spool) {
  std::vector<Deliverer::Lane> lanes;
  if (!config.webhook.empty()) {
    webhook_ = std::make_unique<Webhook>(config);
    lanes.push_back({"webhook", webhook_.get(), courier("webhook " + config.webhook_shown)});
  }
  if (!config.command.empty()) {
    command_ = std::make_unique<Command>(config.command);
    lanes.push_back({"command", command_.get(), courier("command " + config.command.front())});
  }
  deliverer_ = std::make_unique<Deliverer>(spool, std::move(lanes), tell);
}

Courier Program::courier(const std::string& shown) const {
  return Courier({shown, config_.retry_longest, config_.reject_after, chance, tell});
}

bool Program::prepare() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int s : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&mask, s);
  if (sigprocmask(SIG_BLOCK, &mask, nullptr) != 0) return false;
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = Descriptor(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
  changes_ = Descriptor(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const std::string directory = "/proc/self/fd/" + std::to_string(spool_.fd());
  return signals_.ok() && changes_.ok() &&
         inotify_add_watch(changes_.get(), directory.c_str(), IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF) >= 0;
}

void Program::read_signals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) ending_ = true;
  }
}

// What we renamed ourselves is known already. False: the directory itself has gone.
bool Program::read_notifications() {
  alignas(inotify_event) std::array<char, 16 * (sizeof(inotify_event) + NAME_MAX + 1)> buffer;
  while (true) {
    const ssize_t got = read(changes_.get(), buffer.data(), buffer.size());
    if (got <= 0) return true;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if ((event->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED)) != 0) return false;
      const std::string_view name = event->len > 0 ? event->name : "";
      if (name.find("-done.") == std::string_view::npos) dirty_ = true;
    }
  }
}

bool Program::wait(Moment until) {
  const auto now = std::chrono::steady_clock::now();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  const int limit = static_cast<int>(std::clamp<long long>(left, 0, 60'000));
  std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}, {changes_.get(), POLLIN, 0}};
  if (webhook_) {
    webhook_->wait(fds, limit);
  } else {
    poll(fds.data(), fds.size(), limit);
  }
  read_signals();
  return read_notifications();
}

int Program::run() {
  Moment looked{}, ending_since{};
  while (true) {
    const Moment now = std::chrono::steady_clock::now();
    if (dirty_ || now - looked >= kLookAtAll) {
      dirty_ = false;
      looked = now;
      const auto wall = std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
      if (const Status read = spool_.refresh(wall); !read) tell(kError, read.error().message);
    }
    deliverer_->step(now, ending_);
    if (ending_) {
      if (ending_since == Moment{}) ending_since = now;
      if (!deliverer_->busy() || now - ending_since >= kEnding) return 0;
    }
    const Moment next = std::min(deliverer_->next_step(now), looked + kLookAtAll);
    if (!wait(ending_ ? std::min(next, ending_since + kEnding) : next)) {
      tell(kError, "the queue's directory was moved or removed");
      return 1;
    }
  }
}

int run(const Options& options) {
  const std::optional<NotifyConfig> config = read_configuration(options.root + kConfigFile);
  if (options.check_config || !config) return config ? 0 : 1;
  const std::vector<std::string> receivers = receivers_of(*config);
  Result<Spool> spool = Spool::open(options.root + kAlertDirectory, receivers);
  if (!spool) {
    tell(kError, spool.error().message + "; `systemd-tmpfiles --create hallpass.conf` makes it");
    return 1;
  }
  if (receivers.empty()) {
    tell(kNotice, std::string(kConfigFile) + " names neither webhook nor command: alerts stand in the journal alone");
  }
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return 1;
  Program program(*config, *spool);
  if (!program.prepare()) {
    tell(kError, "cannot watch the queue");
    return 1;
  }
  return program.run();
}

}  // namespace
}  // namespace hallpass

int main(int argc, char** argv) {
  hallpass::Options options;
  CLI::App app{"Delivers the alerts of this host to a webhook, a command, or both.", "hallpass-notify"};
  app.add_option("--root", options.root, "put DIR before every path")->type_name("DIR");
  app.add_flag("--check-config", options.check_config, "read the configuration, say what is wrong with it, and end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  while (!options.root.empty() && options.root.back() == '/') options.root.pop_back();
  hallpass::harden();
  return hallpass::run(options);
}
