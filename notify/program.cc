#include "notify/program.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#include <array>
#include <climits>
#include <csignal>
#include <random>

namespace hallpass {
namespace {

constexpr Seconds kLookAtAll{60};  // inotify may have missed something
constexpr Seconds kEnding{5};      // for what is on its way when we are to end
constexpr int kError = 3;

double chance() {
  static std::mt19937 source{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(source);
}

}  // namespace

Program::Program(const NotifyConfig& config, Spool& spool, Routes& routes, std::string word, Tell tell)
    : config_(config), spool_(spool), routes_(routes), word_(std::move(word)), tell_(tell) {
  deliverer_ = std::make_unique<Deliverer>(spool, std::vector<Deliverer::Lane>{}, tell,
                                           [this](const std::string& name) { return open(name); });
}

// Made when something waits for it: how many people there are is the policy's affair.
std::optional<Deliverer::Lane> Program::open(const std::string& name) {
  if (name == kWebhook) {
    webhook_ = std::make_unique<Webhook>(config_, transfers_);
    return Deliverer::Lane{name, webhook_.get(), courier("webhook " + config_.webhook_shown)};
  }
  if (name == kCommand) {
    command_ = std::make_unique<Command>(config_.command);
    return Deliverer::Lane{name, command_.get(), courier("command " + config_.command.front())};
  }
  const std::string address = routes_.address_of(name);
  if (address.empty()) return std::nullopt;
  auto& mail = mails_[name];
  mail = std::make_unique<Smtp>(config_.email, config_.ca_file, address, transfers_, mails_running_);
  return Deliverer::Lane{name, mail.get(), courier("e-mail to " + address + " by " + config_.email.server_shown)};
}

Courier Program::courier(const std::string& shown) const {
  return Courier({shown, config_.retry_longest, config_.reject_after, chance, tell_, word_});
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
  std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}, {changes_.get(), POLLIN, 0}};
  transfers_.wait(fds, static_cast<int>(std::clamp<long long>(left, 0, 60'000)));
  read_signals();
  return read_notifications();
}

void Program::look(Moment now) {
  if (!dirty_ && now - looked_ < kLookAtAll) return;
  dirty_ = false;
  looked_ = now;
  const auto wall = std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
  if (const Status read = spool_.refresh(wall); !read) tell_(kError, read.error().message);
  deliverer_->open_lanes();
}

int Program::run() {
  Moment ending_since{};
  while (true) {
    const Moment now = std::chrono::steady_clock::now();
    look(now);
    deliverer_->step(now, ending_);
    if (ending_) {
      if (ending_since == Moment{}) ending_since = now;
      if (!deliverer_->busy() || now - ending_since >= kEnding) return 0;
    }
    const Moment next = std::min(deliverer_->next_step(now), looked_ + kLookAtAll);
    if (!wait(ending_ ? std::min(next, ending_since + kEnding) : next)) {
      tell_(kError, "the queue's directory was moved or removed");
      return 1;
    }
  }
}

}  // namespace hallpass
