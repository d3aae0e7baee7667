#include "hub/http_program.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <thread>

#include "core/edge/tzdb.h"
#include "hub/http_server.h"
#include "hub/notices_queue.h"
#include "hub/sequencer_thread.h"

namespace hallpass::hub {
namespace {

constexpr int kError = 3, kWarning = 4, kNotice = 5, kInfo = 6;
constexpr Seconds kTidyEvery{60};

UnixTime wall_now() {
  return std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now());
}

class Program {
 public:
  Program(std::string config_path, Setup setup);
  bool start();
  int run();

 private:
  ServiceSeams seams();
  bool open_log(Keys keys);
  bool open_server();
  void await_signal();
  void reload();
  void await_tidying();
  void end(int status);

  std::string config_path_;
  Setup setup_;
  int status_ = 0;
  asio::io_context io_{1};
  asio::signal_set signals_{io_};
  asio::steady_timer tidying_{io_};
  std::unique_ptr<NoticesQueue> notices_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<SequencerThread> sequencer_;
};

Program::Program(std::string config_path, Setup setup)
    : config_path_(std::move(config_path)), setup_(std::move(setup)) {
  if (!setup_.config.notices.empty()) {
    notices_ = std::make_unique<NoticesQueue>(NoticesQueue::Settings{setup_.config.notices, setup_.config.state, tell},
                                              wall_now());
  }
  service_ = std::make_unique<Service>(setup_.trust, setup_.config.person, seams());
}

ServiceSeams Program::seams() {
  ServiceSeams seams;
  seams.now = wall_now;
  seams.moment = std::chrono::steady_clock::now;
  seams.zones = load_zones;
  seams.log = [](const std::string& line) { tell(kInfo, line); };
  seams.notices = notices_.get();
  seams.threads = std::max(1U, std::thread::hardware_concurrency());
  return seams;
}

bool Program::open_log(Keys keys) {
  SequencerOptions options{store_options(setup_, keys),
                           std::move(keys.witness),
                           setup_.config.witnesses,
                           wall_now,
                           Seconds{60},
                           http_witness_post(),
                           {},
                           {},
                           {},
                           tell};
  options.renew = [this](std::uint64_t live_from) { return service_->renewals(live_from); };
  options.renewed = [this](std::uint64_t first, const std::vector<std::string>& entries) {
    service_->renewed(first, entries);
  };
  // Nothing but a start, which verifies what is on the disk, may follow a failed write.
  options.stopped = [this] { asio::post(io_, [this] { end(1); }); };
  std::vector<LiveEntry> entries;
  auto opened = SequencerThread::open(std::move(options), [&](std::uint64_t index, std::string_view entry) {
    entries.push_back({index, std::string(entry)});
  });
  if (!opened) {
    tell(kError, "the log cannot be written: " + opened.error().message);
    return false;
  }
  sequencer_ = *std::move(opened);
  if (const Status ok = restore(*service_, entries, sequencer_->policies(), sequencer_->files()); !ok) {
    tell(kError, "what the log holds cannot be used: " + ok.error().message);
    return false;
  }
  service_->start(*sequencer_);
  return true;
}

bool Program::open_server() {
  Result<SslContext> ssl = make_ssl_context(setup_.config);
  if (!ssl) {
    tell(kError, ssl.error().message);
    return false;
  }
  ServerOptions options{setup_.config, *std::move(ssl), setup_.tokens, sequencer_->files(), tell, {}};
  options.more_gauges = [this](Gauges& into) {
    const SequencerThread::Counts log = sequencer_->counts();
    into.batches = log.batches;
    into.flushes = log.fsyncs;
    if (!notices_) return;
    into.notices_queued = notices_->counts().queued;
    into.notices_lost = notices_->counts().lost;
  };
  server_ = std::make_unique<HttpServer>(io_, std::move(options), *service_);
  server_->published(sequencer_->published());
  sequencer_->on_published([this](std::shared_ptr<const Published> head) {
    asio::post(io_, [this, head = std::move(head)] { server_->published(head); });
  });
  if (const Status ok = server_->listen(); !ok) {
    tell(kError, ok.error().message);
    return false;
  }
  return true;
}

bool Program::start() {
  Result<Keys> keys = read_keys(setup_.config);
  if (!keys) {
    tell(kError, keys.error().message);
    return false;
  }
  if (const std::string warning = trust_warning(setup_.trust, *keys); !warning.empty()) tell(kWarning, warning);
  if (const Status ok = copy_hosts(setup_.config); !ok) {
    tell(kError, ok.error().message);
    return false;
  }
  if (!open_log(*std::move(keys)) || !open_server()) return false;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) signals_.add(signal);
  await_signal();
  await_tidying();
  sequencer_->start();
  tell(kNotice,
       "serving a log of " + std::to_string(sequencer_->published()->size) + " entries on " + server_->addresses());
  return true;
}

void Program::await_signal() {
  signals_.async_wait([this](const error_code& ec, int signal) {
    if (ec) return;
    if (signal == SIGHUP) {
      reload();
      return await_signal();
    }
    end(0);
  });
}

// Tokens, certificates and hosts; the rest needs a restart.
void Program::reload() {
  std::string faults;
  const std::optional<Setup> setup = read_setup(config_path_, faults);
  Result<SslContext> ssl = setup ? make_ssl_context(setup->config) : Error{Errc::malformed, "it has mistakes"};
  Status hosts = setup && ssl ? copy_hosts(setup->config) : Unit{};
  if (!setup || !ssl || !hosts) {
    std::fputs(faults.c_str(), stderr);
    return tell(kError, "not reloaded, the old configuration goes on: " + (!ssl    ? ssl.error().message
                                                                           : hosts ? "it has mistakes"
                                                                                   : hosts.error().message));
  }
  server_->reload(*std::move(ssl), setup->tokens);
  tell(kNotice, "tokens, certificates and hosts were read again");
}

void Program::await_tidying() {
  tidying_.expires_after(kTidyEvery);
  tidying_.async_wait([this](const error_code& ec) {
    if (ec) return;
    service_->work([this] { service_->tidy(); });
    await_tidying();
  });
}

void Program::end(int status) {
  status_ = std::max(status_, status);
  error_code ignored;
  signals_.cancel(ignored);
  tidying_.cancel();
  server_->drain([this] { io_.stop(); });
}

int Program::run() {
  io_.run();
  service_->finish();
  sequencer_.reset();  // what it was given is still taken
  if (status_ == 0) tell(kNotice, "ended");
  return status_;
}

}  // namespace

void tell(int priority, const std::string& text) {
  std::fputs(("<" + std::to_string(priority) + ">" + text + "\n").c_str(), stderr);
}

int run_hub(const std::string& config_path, Setup setup) {
  Program program(config_path, std::move(setup));
  return program.start() ? program.run() : 1;
}

}  // namespace hallpass::hub
