// hallpass-fetch: brings the log's files to this host and verifies them on the way. hallpass-fetch(8).
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <random>
#include <vector>

#include "agent/fetch/agent_view.h"
#include "agent/fetch/config.h"
#include "agent/fetch/gatherer.h"
#include "agent/fetch/http_carrier.h"
#include "agent/fetch/report.h"
#include "agent/fetch/rota.h"
#include "core/edge/files.h"
#include "core/edge/harden.h"
#include "core/policy_trust.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr char kConfigFile[] = "/etc/hallpass/fetch.toml";
constexpr char kTrustFile[] = "/etc/hallpass/trust.toml";
constexpr char kAgentStatus[] = "/run/hallpass/status.json";
constexpr char kStatusFile[] = "/fetch-status.json";
constexpr int kExitConfig = 78;  // systemd does not start it again
constexpr int kError = 3, kNotice = 5, kDebug = 7;
constexpr std::size_t kMaxStatusBytes = std::size_t{1024} * 1024;
constexpr std::chrono::seconds kLookAtAgent{1};
constexpr std::chrono::seconds kRememberEvery{10};
constexpr std::chrono::seconds kTooSoon{5};  // an answer "nothing new" that came sooner is no long poll's

struct Options {
  std::string root;
  bool check = false, once = false, verbose = false;
};

// journald takes the priority from the prefix.
void tell(int priority, const std::string& text) {
  std::fputs(("<" + std::to_string(priority) + ">" + text + "\n").c_str(), stderr);
}

Moment clock_now() {
  return std::chrono::steady_clock::now();
}

UnixTime wall_now() {
  return std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
}

double chance() {
  static std::mt19937 source{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(source);
}

template <class T, class Parse>
std::optional<T> read_toml(const std::string& path, Parse parse) {
  const Result<std::string> text = read_file(AT_FDCWD, path, kMaxTomlBytes, true);
  if (!text) {
    tell(kError, path + ": " + text.error().message);
    return std::nullopt;
  }
  std::vector<Diagnostic> diagnostics;
  std::optional<T> parsed = parse(*text, diagnostics);
  for (const Diagnostic& d : diagnostics) std::fputs((format_diagnostic(path, d) + "\n").c_str(), stderr);
  return parsed;
}

class Program {
 public:
  Program(const Options& options, const FetchConfig& config, const Trust& trust, Mirror& mirror);
  bool prepare();
  int run_once();
  int run();

 private:
  bool goes_on();
  bool waits_on();
  void look_at_agent();
  bool ask(std::size_t source, bool wait);
  void succeeded(std::size_t source, const Taken& taken);
  void failed(std::size_t source, const FetchFault& fault);
  void after_success(std::size_t source, bool waited, Moment asked_at, bool news);
  void sleep_until(Moment until);
  void write_down(bool at_once);
  void write_status();
  void read_signals();

  const Options& options_;
  const FetchConfig& config_;
  Mirror& mirror_;
  Gatherer gatherer_;
  Rota rota_;
  FetchReport report_{tell};
  std::vector<std::unique_ptr<HttpCarrier>> carriers_;
  Moment not_before_{}, looked_{}, written_{};
  int signals_ = -1;
  bool ending_ = false, local_trouble_ = false;
};

Program::Program(const Options& options, const FetchConfig& config, const Trust& trust, Mirror& mirror)
    : options_(options),
      config_(config),
      mirror_(mirror),
      gatherer_(mirror, trust.fleet, *trust.log),
      rota_(config.urls.size(), chance) {
  for (const SourceUrl& url : config.urls) {
    carriers_.push_back(std::make_unique<HttpCarrier>(config, url, [this] { return goes_on(); }));
  }
}

bool Program::prepare() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int s : {SIGTERM, SIGINT}) sigaddset(&mask, s);
  if (sigprocmask(SIG_BLOCK, &mask, nullptr) != 0) return false;
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  if (const std::optional<std::string> wrong = gatherer_.restore()) tell(kNotice, *wrong);
  look_at_agent();
  return signals_ >= 0;
}

void Program::read_signals() {
  signalfd_siginfo info{};
  while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) ending_ = true;
}

// Asked every 200 ms while something is under way: that the program still turns is all a watchdog can know.
bool Program::goes_on() {
  read_signals();
  const Moment now = clock_now();
  if (now - looked_ >= kLookAtAgent) {
    look_at_agent();
    write_status();
    sd_notify(0, "WATCHDOG=1");
  }
  return !ending_;
}

void Program::look_at_agent() {
  looked_ = clock_now();
  const Result<std::string> text = read_file(AT_FDCWD, options_.root + kAgentStatus, kMaxStatusBytes);
  gatherer_.set_agent(text ? parse_agent_status(*text) : AgentView{});
}

bool Program::waits_on() {
  return !gatherer_.wants_policies();
}

void Program::succeeded(std::size_t source, const Taken& taken) {
  HttpCarrier& carrier = *carriers_[source];
  local_trouble_ = false;
  rota_.succeeded(source);
  report_.success(carrier.url().shown, !carrier.plain(), taken.size, taken.seen_at, taken.new_head, wall_now());
  if (options_.verbose && taken.new_head) {
    tell(kDebug, carrier.url().shown + ": " + std::to_string(taken.size) + " entries, " +
                     std::to_string(taken.entries) + " of them new; " + std::to_string(carrier.received()) +
                     " bytes received so far");
  }
}

void Program::failed(std::size_t source, const FetchFault& fault) {
  if (fault.local) {
    local_trouble_ = true;
    report_.local_fault(fault.message + "; the mirror stays as it is", wall_now());
    not_before_ = clock_now() + Rota::kAway;
    return;
  }
  carriers_[source]->renew();
  rota_.failed(source, clock_now());
  const std::optional<std::size_t> next = rota_.next(clock_now());
  report_.fault(config_.urls[source].shown, fault.message, next ? config_.urls[*next].shown : "", wall_now());
}

// One question to one source. True: it bears out the newest head.
bool Program::ask(std::size_t source, bool wait) {
  HttpCarrier& carrier = *carriers_[source];
  const Moment asked_at = clock_now();
  // A hub that was put back to an older copy would let us wait for what we have already: so at first it only shows what
  // it has.
  const bool first = !carrier.connected();
  const bool can_wait = wait && !first && !carrier.plain();
  Result<std::string> note = carrier.head(gatherer_.size(), wait && !first, [this] { return waits_on(); });
  if (ending_) return false;
  if (!note && can_wait && !waits_on()) {  // broken off, because the agent needs older policies
    const std::optional<FetchFault> fault = gatherer_.take_policies(carrier);
    if (fault) failed(source, *fault);
    return !fault;
  }
  std::variant<Taken, FetchFault> result = FetchFault{};
  if (note) {
    result = gatherer_.take(*note, carrier, clock_now());
  } else {
    const bool form = note.error().code == Errc::malformed || note.error().code == Errc::too_large;
    result = FetchFault{false, (form ? "refused: " : "unavailable: ") + note.error().message};
  }
  if (ending_) return false;
  if (const auto* fault = std::get_if<FetchFault>(&result)) {
    failed(source, *fault);
    return false;
  }
  succeeded(source, std::get<Taken>(result));
  after_success(source, can_wait, asked_at, std::get<Taken>(result).new_head);
  return true;
}

// A server that does not wait is asked every `poll`; so is one that answers a long poll at once with nothing new.
void Program::after_success(std::size_t source, bool waited, Moment asked_at, bool news) {
  const Moment now = clock_now();
  const bool hurries = waited && !news && now - asked_at < kTooSoon;
  const auto share = 0.9 + 0.2 * chance();
  const auto pause = std::chrono::duration_cast<Moment::duration>(std::chrono::duration<double>(config_.poll) * share);
  not_before_ = carriers_[source]->plain() || hurries ? now + pause : now;
}

void Program::sleep_until(Moment until) {
  while (!ending_ && clock_now() < until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_now()).count();
    pollfd waits{signals_, POLLIN, 0};
    poll(&waits, 1, static_cast<int>(std::clamp<long long>(left, 1, 1000)));
    if (!goes_on() || (!waits_on() && until == not_before_ && !local_trouble_)) return;
  }
}

// The position now and then: an older one costs reading the mirror again after a start.
void Program::write_down(bool at_once) {
  const Moment now = clock_now();
  if (!at_once && now - written_ < kRememberEvery) return;
  written_ = now;
  if (const Status saved = gatherer_.remember(); !saved) report_.local_fault(saved.error().message, wall_now());
  write_status();
}

// Beside, then renamed; not flushed, for it is made anew after every start.
void Program::write_status() {
  if (!report_.take_news()) return;
  std::uint64_t received = 0;
  for (const auto& carrier : carriers_) received += carrier->received();
  const std::string path = mirror_.path() + kStatusFile;
  std::ofstream(path + "~", std::ios::trunc) << report_.json(received);
  (void)std::rename((path + "~").c_str(), path.c_str());
}

int Program::run_once() {
  bool good = false;
  for (std::size_t i = 0; i < carriers_.size() && !good && !ending_ && !local_trouble_; ++i) good = ask(i, false);
  gatherer_.tidy(clock_now());
  write_down(true);
  return good ? 0 : 1;
}

int Program::run() {
  sd_notify(0, "READY=1");
  while (!ending_) {
    const Moment now = clock_now();
    const std::optional<std::size_t> source = rota_.next(now);
    if (!source || now < not_before_) {
      write_down(!source);
      sleep_until(source ? not_before_ : rota_.when());
      not_before_ = std::min(not_before_, clock_now());
      continue;
    }
    const bool good = ask(*source, true);
    if (good) gatherer_.tidy(clock_now());
    write_down(false);
  }
  write_down(true);
  return 0;
}

int run(const Options& options) {
  std::optional<FetchConfig> config = read_toml<FetchConfig>(options.root + kConfigFile, parse_fetch_config);
  const std::optional<Trust> trust = read_toml<Trust>(options.root + kTrustFile, parse_trust);
  if (trust && !trust->log) {
    tell(kError, options.root + kTrustFile + ": has no [log], so that there is nothing to verify a log by; add [log] " +
                     "with the log's key");
  }
  if (!config || !trust || !trust->log) return kExitConfig;
  if (options.check) return 0;
  for (std::string* path :
       {&config->mirror, &config->token_file, &config->ca_file, &config->client_certificate, &config->client_key}) {
    if (!path->empty()) *path = options.root + *path;
  }
  Result<Mirror> mirror = Mirror::open(config->mirror);
  if (!mirror) {
    tell(kError, mirror.error().message);
    return 1;
  }
  Program program(options, *config, *trust, *mirror);
  if (!program.prepare()) {
    tell(kError, "signals cannot be set up");
    return 1;
  }
  return options.once ? program.run_once() : program.run();
}

}  // namespace
}  // namespace hallpass

int main(int argc, char** argv) {
  hallpass::Options options;
  CLI::App app{"Brings the log of grants to this host and verifies it.", "hallpass-fetch"};
  app.add_option("--root", options.root, "put DIR before every path")->type_name("DIR");
  app.add_flag("--check,--check-config", options.check, "read the configuration, say what is wrong with it, and end");
  app.add_flag("--once", options.once, "ask each URL once until one bears out the newest head, and end");
  app.add_flag("--verbose", options.verbose, "tell of each new head");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  while (!options.root.empty() && options.root.back() == '/') options.root.pop_back();
  hallpass::harden_process();
  umask(0022);  // the agent reads what is written here; the token never is
  return hallpass::run(options);
}
