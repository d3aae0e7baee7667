#include "agent/event_loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "agent/control.h"
#include "agent/login_watch.h"
#include "agent/metrics.h"
#include "agent/program_runner.h"
#include "agent/relay.h"
#include "agent/session_keeper.h"
#include "agent/status_file.h"
#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::uint64_t kMinute_us = 60'000'000;
constexpr Seconds kMetricsEvery{5};
constexpr int kPortion_ms = 20;  // of work on files before other events get their turn
constexpr std::uint64_t kRelayRetry_us = 200'000;
constexpr std::uint64_t kExact_us = 1;  // sd-event may otherwise be 250 ms late

class Loop {
 public:
  Loop(std::unique_ptr<Agent> agent, const Layout& layout, AlertingJournal& journal, const AlertQueue& queue,
       const LoopHooks& hooks)
      : agent_(std::move(agent)),
        layout_(layout),
        journal_(journal),
        queue_(queue),
        hooks_(hooks),
        logins_(journal, static_cast<int>(agent_->config().refused_logins), watch_seams()),
        relay_(journal, [this](std::string_view datagram) { logins_.take(datagram); }),
        control_([this](const Peer& peer, std::string_view command) { return handle(peer, command); }) {}
  ~Loop() {
    keeper_.reset();
    sd_event_unref(event_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool prepare();
  int run();

 private:
  bool watch_signals();
  bool watch_sockets();
  bool make_timers();
  void watch_files();
  void stop_watching_files();
  void watch_clock_steps();
  void after_work();
  void arm_next_change();
  void arm_retry();
  void arm_relay();
  LoginWatch::Seams watch_seams();
  void write_reports();
  void reload();
  Result<std::string> handle(const Peer& peer, std::string_view command);

  static Loop& self(void* p) { return *static_cast<Loop*>(p); }
  static int on_files(sd_event_source*, int, std::uint32_t, void* p);
  static int on_sudoers(sd_event_source*, int, std::uint32_t, void* p);
  static int on_work(sd_event_source*, void* p);
  static int on_minute(sd_event_source* source, std::uint64_t, void* p);
  static int on_change(sd_event_source*, std::uint64_t, void* p);
  static int on_retry(sd_event_source*, std::uint64_t, void* p);
  static int on_clock_step(sd_event_source*, int, std::uint32_t, void* p);

  std::unique_ptr<Agent> agent_;
  const Layout& layout_;
  AlertingJournal& journal_;
  const AlertQueue& queue_;
  const LoopHooks& hooks_;
  LoginWatch logins_;
  EventRelay relay_;
  ControlSocket control_;
  sd_event* event_ = nullptr;
  std::unique_ptr<SessionKeeper> keeper_;  // none below another root: a machine's sessions are the machine's
  std::uint64_t seen_changes_ = 0;
  Seconds metrics_at_{-1000};
  sd_event_source* files_ = nullptr;
  sd_event_source* sudoers_ = nullptr;
  ProgramRunner programs_{[this]() -> SudoDefaults& { return agent_->sudo_defaults(); }, [this] { after_work(); }};
  sd_event_source* work_ = nullptr;
  sd_event_source* by_wall_ = nullptr;  // the next change, while the wall clock decides
  sd_event_source* by_boot_ = nullptr;  // the next change, while the floor does
  sd_event_source* retry_ = nullptr;
  sd_event_source* relay_retry_ = nullptr;
  sd_event_source* step_ = nullptr;
  int step_fd_ = -1;
};

bool Loop::prepare() {
  if (sd_event_new(&event_) < 0 || !watch_signals() || !make_timers()) return false;
  programs_.attach(event_);
  if (sd_event_add_defer(event_, &work_, on_work, this) < 0) return false;
  // Sockets of others' events come before files: a login's record is small, files may be many.
  sd_event_source_set_priority(work_, SD_EVENT_PRIORITY_IDLE);
  watch_files();
  watch_clock_steps();
  return watch_sockets();
}

bool Loop::watch_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&mask, s);
  if (sigprocmask(SIG_BLOCK, &mask, nullptr) != 0) return false;
  std::signal(SIGPIPE, SIG_IGN);
  const auto on_hup = [](sd_event_source*, const signalfd_siginfo*, void* p) {
    self(p).reload();
    return 0;
  };
  // Without a handler sd-event ends the loop.
  return sd_event_add_signal(event_, nullptr, SIGTERM, nullptr, nullptr) >= 0 &&
         sd_event_add_signal(event_, nullptr, SIGINT, nullptr, nullptr) >= 0 &&
         sd_event_add_signal(event_, nullptr, SIGHUP, on_hup, this) >= 0;
}

bool Loop::watch_sockets() {
  const auto on_relay = [](sd_event_source*, int, std::uint32_t, void* p) {
    self(p).relay_.receive();
    self(p).arm_relay();
    return 0;
  };
  const auto on_control = [](sd_event_source*, int, std::uint32_t, void* p) {
    self(p).control_.serve();
    return 0;
  };
  if (const Status opened = relay_.open(layout_.event_socket()); !opened) {
    std::fprintf(stderr, "hallpass-agent: %s\n", opened.error().message.c_str());
    return false;
  }
  if (const Status opened = control_.open(layout_.control_socket()); !opened) {
    std::fprintf(stderr, "hallpass-agent: %s\n", opened.error().message.c_str());
    return false;
  }
  // Any user may keep the control socket busy: it takes turns with the files, and all else goes before it.
  sd_event_source* control = nullptr;
  return sd_event_add_io(event_, nullptr, relay_.fd(), EPOLLIN, on_relay, this) >= 0 &&
         sd_event_add_io(event_, &control, control_.fd(), EPOLLIN, on_control, this) >= 0 &&
         sd_event_source_set_priority(control, SD_EVENT_PRIORITY_IDLE) >= 0;
}

bool Loop::make_timers() {
  std::uint64_t now = 0;
  sd_event_now(event_, CLOCK_BOOTTIME, &now);
  sd_event_source* minute = nullptr;
  const auto on_relay_retry = [](sd_event_source*, std::uint64_t, void* p) {
    self(p).arm_relay();
    return 0;
  };
  const bool made =
      sd_event_add_time(event_, &minute, CLOCK_BOOTTIME, now + kMinute_us, kMinute_us / 60, on_minute, this) >= 0 &&
      sd_event_add_time(event_, &by_wall_, CLOCK_REALTIME, 0, kExact_us, on_change, this) >= 0 &&
      sd_event_add_time(event_, &by_boot_, CLOCK_BOOTTIME, 0, kExact_us, on_change, this) >= 0 &&
      sd_event_add_time(event_, &retry_, CLOCK_BOOTTIME, 0, kExact_us, on_retry, this) >= 0 &&
      sd_event_add_time(event_, &relay_retry_, CLOCK_BOOTTIME, 0, kExact_us, on_relay_retry, this) >= 0;
  if (!made) return false;
  sd_event_source_set_enabled(minute, SD_EVENT_ON);
  for (sd_event_source* s : {by_wall_, by_boot_, retry_, relay_retry_}) sd_event_source_set_enabled(s, SD_EVENT_OFF);
  return true;
}

void Loop::watch_files() {
  stop_watching_files();
  sd_event_add_io(event_, &files_, agent_->notify_fd(), EPOLLIN, on_files, this);
  if (const int fd = agent_->sudo_defaults().notify_fd(); fd >= 0)
    sd_event_add_io(event_, &sudoers_, fd, EPOLLIN, on_sudoers, this);
}

void Loop::stop_watching_files() {
  files_ = sd_event_source_disable_unref(files_);
  sudoers_ = sd_event_source_disable_unref(sudoers_);
}

// A timer far in the future that the kernel cancels when somebody sets the clock.
void Loop::watch_clock_steps() {
  if (step_fd_ < 0) {
    step_fd_ = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (step_fd_ < 0) return;  // the minute's look notices it, later
    sd_event_add_io(event_, &step_, step_fd_, EPOLLIN, on_clock_step, this);
    sd_event_source_set_io_fd_own(step_, 1);
  }
  itimerspec far{};
  far.it_value.tv_sec = 0x7fffffff0;
  timerfd_settime(step_fd_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, nullptr);
}

int Loop::on_files(sd_event_source*, int, std::uint32_t, void* p) {
  self(p).agent_->read_notifications();
  sd_event_source_set_enabled(self(p).work_, SD_EVENT_ON);
  return 0;
}

int Loop::on_sudoers(sd_event_source*, int, std::uint32_t, void* p) {
  self(p).agent_->sudo_defaults().read_notifications();
  self(p).after_work();
  return 0;
}

int Loop::on_work(sd_event_source* source, void* p) {
  const bool more = self(p).agent_->work(kPortion_ms);
  sd_event_source_set_enabled(source, more ? SD_EVENT_ON : SD_EVENT_OFF);
  if (more) sd_notify(0, "WATCHDOG=1");
  self(p).after_work();
  return 0;
}

int Loop::on_minute(sd_event_source* source, std::uint64_t due, void* p) {
  self(p).agent_->minute();
  self(p).journal_.minute();
  if (self(p).keeper_) self(p).keeper_->minute();
  sd_event_source_set_time(source, due + kMinute_us);
  sd_event_source_set_enabled(self(p).work_, SD_EVENT_ON);
  return 0;
}

int Loop::on_change(sd_event_source*, std::uint64_t, void* p) {
  // What is over by time alone is over for sshd and sudo too, whatever the snapshot says: no end waits for the disk.
  if (self(p).keeper_) self(p).keeper_->look();
  self(p).agent_->time_passed();
  if (self(p).keeper_) self(p).keeper_->look();
  self(p).after_work();
  return 0;
}

int Loop::on_retry(sd_event_source*, std::uint64_t, void* p) {
  self(p).agent_->retry();
  sd_event_source_set_enabled(self(p).work_, SD_EVENT_ON);
  self(p).after_work();
  return 0;
}

int Loop::on_clock_step(sd_event_source*, int fd, std::uint32_t, void* p) {
  std::uint64_t ignored = 0;
  if (::read(fd, &ignored, sizeof ignored) < 0 && errno == ECANCELED) self(p).agent_->clock_set();
  self(p).watch_clock_steps();
  self(p).after_work();
  return 0;
}

void Loop::after_work() {
  // Sessions are looked at after what admits them was published.
  if (keeper_ && std::exchange(seen_changes_, agent_->changes()) != agent_->changes()) keeper_->look();
  arm_next_change();
  arm_retry();
  int working = SD_EVENT_OFF;
  sd_event_source_get_enabled(work_, &working);
  programs_.run();
  if (working == SD_EVENT_OFF) write_reports();
}

LoginWatch::Seams Loop::watch_seams() {
  LoginWatch::Seams seams;
  seams.clock = read_clock;
  seams.outside_hours = [this](std::string_view subject, std::string_view account) {
    return request_outside_hours(agent_->docket(), subject, account, agent_->clock().now());
  };
  seams.alerts = [this](std::string_view grant) { return grant_alerts(agent_->docket(), grant); };
  return seams;
}

// For `hallpass host status`, and for node_exporter, which reads whatever lies in a directory: replaced by rename.
void Loop::write_reports() {
  write_status(*agent_, layout_, keeper_ ? &keeper_->sessions() : nullptr);
  const Seconds now = agent_->clock().reading().boottime;
  if (now < metrics_at_ + kMetricsEvery) return;
  metrics_at_ = now;
  const Figures figures{agent_.get(), keeper_ ? &keeper_->sessions() : nullptr, &journal_.counts(), queue_.waiting(),
                        &logins_.counts()};
  [[maybe_unused]] const Status written = write_file_durably(layout_.metrics(), metrics_text(figures), 0644);
}

// While the floor runs ahead of the wall clock, the wall clock would wake us too late.
void Loop::arm_next_change() {
  const UnixTime due = std::min(agent_->next_due(), keeper_ ? keeper_->next_due() : kNever);
  const Timekeeper& clock = agent_->clock();
  sd_event_source_set_enabled(by_wall_, SD_EVENT_OFF);
  sd_event_source_set_enabled(by_boot_, SD_EVENT_OFF);
  if (due == kNever) return;
  if (clock.floor_decides()) {
    const Seconds at = clock.reading().boottime + std::max(due - clock.now(), Seconds{1});
    sd_event_source_set_time(by_boot_, static_cast<std::uint64_t>(at.count()) * 1'000'000);
    sd_event_source_set_enabled(by_boot_, SD_EVENT_ONESHOT);
  } else {
    sd_event_source_set_time(by_wall_, static_cast<std::uint64_t>(std::max(to_unix(due), 0LL)) * 1'000'000);
    sd_event_source_set_enabled(by_wall_, SD_EVENT_ONESHOT);
  }
}

void Loop::arm_retry() {
  const std::optional<Seconds> at = agent_->retry_at();
  if (at) sd_event_source_set_time(retry_, static_cast<std::uint64_t>(at->count()) * 1'000'000);
  sd_event_source_set_enabled(retry_, at ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

void Loop::arm_relay() {
  const bool waits = relay_.flush();
  if (waits) sd_event_source_set_time_relative(relay_retry_, kRelayRetry_us);
  sd_event_source_set_enabled(relay_retry_, waits ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

void Loop::reload() {
  sd_notify(0, "RELOADING=1");
  // The ledger has one owner: the old agent lets go of it before the new one starts, which reads it again from the
  // disk.
  stop_watching_files();
  std::unique_ptr<Agent> next = hooks_.reload();
  if (next) {
    programs_.abandon();
    agent_.reset();
    if (const Status started = next->start(); !started) {
      std::fprintf(stderr, "hallpass-agent: %s\n", started.error().message.c_str());
      sd_event_exit(event_, 1);  // systemd starts us again
    }
    agent_ = std::move(next);
    logins_.set_refused_logins(static_cast<int>(agent_->config().refused_logins));
    if (keeper_) keeper_->configure();
  }
  watch_files();
  sd_event_source_set_enabled(work_, SD_EVENT_ON);
  after_work();
  sd_notify(0, "READY=1");
}

Result<std::string> Loop::handle(const Peer& peer, std::string_view command) {
  if (keeper_) {
    if (auto answer = session_command(*keeper_, caller_of(peer), command)) {
      // Any user may ask: only what has changed something has its status written.
      if (agent_->changes() != seen_changes_) after_work();
      arm_retry();
      return *answer;
    }
  }
  if (command == "clock-accept") {
    if (const Status done = agent_->accept_clock(); !done) return done.error();
    after_work();
    return "accepted: it is " + format_time(agent_->clock().now());
  }
  if (command == "ledger-reset") {
    if (const Status done = agent_->reset_ledger(); !done) return done.error();
    sd_event_source_set_enabled(work_, SD_EVENT_ON);
    after_work();
    return std::string("the ledger starts afresh; requests made before now are refused");
  }
  return Error{Errc::unsupported, "the agent does not know this command"};
}

int Loop::run() {
  sd_event_source_set_enabled(work_, SD_EVENT_ON);
  if (layout_.root.empty()) {
    keeper_ = std::make_unique<SessionKeeper>(
        event_, layout_, journal_, [this]() -> Agent& { return *agent_; }, [this] { arm_next_change(); });
    keeper_->start();
  }
  after_work();
  write_reports();
  sd_notify(0, "READY=1");
  journal_.event(Event::agent_started, "hallpass-agent runs");
  const int code = sd_event_loop(event_);
  sd_notify(0, "STOPPING=1");
  journal_.event(Event::agent_stopped, "hallpass-agent stops");
  return code < 0 ? 1 : code;
}

}  // namespace

int run_event_loop(std::unique_ptr<Agent> agent, const Layout& layout, AlertingJournal& journal,
                   const AlertQueue& queue, const LoopHooks& hooks) {
  Loop loop(std::move(agent), layout, journal, queue, hooks);
  if (!loop.prepare()) {
    std::fputs("hallpass-agent: cannot prepare the event loop\n", stderr);
    return 1;
  }
  return loop.run();
}

}  // namespace hallpass
