// fleet_agents --port PORT [options]: many hosts of a fleet in one process, as a hub or a file server sees them. Each
// has a connection of its own and asks for the newest checkpoint: by long polls (the default), or for the plain file
// every so many seconds (--every). Some of them (--verify) also follow the log and verify all that is new.
//
//   --count N         10 000 at most fit a limit of 20 000 open files
//   --token TOKEN     to read with
//   --ca FILE         speak TLS, and verify the server by FILE
//   --verify K --trust FILE    trust.toml with [log]
//   --every SECONDS   GET /checkpoint, spread evenly over SECONDS
//
// Prints a JSON object a line; times are seconds of CLOCK_MONOTONIC, as Python's time.monotonic():
//   {"event":"ready","agents":N,"took":S}                                  all wait (or have been answered once)
//   {"event":"told","size":SIZE,"agents":N,"first":T,"p50":T,"p99":T,"last":T}
//   {"event":"verified","size":SIZE,"followers":K,"entries":E,"refused":R,"why":"…"}
//   {"event":"end","answers":N,"broken":N,"refused":N,"late":N}            after SIGTERM or SIGINT
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/fleet_followers.h"

namespace {

using hallpass::bench::Followers;
using hallpass::bench::FollowersOptions;
using hallpass::bench::seconds_now;

constexpr std::size_t kOpening = 128;  // connections that are being made at a time
constexpr std::size_t kAgentsPerAddress = 20000;
constexpr double kRetryAfter = 0.2;

struct Options {
  int port = 0;
  std::size_t count = 1000, verify = 0;
  std::string token, ca, trust;
  double every = 0;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "fleet_agents: %s\n", what.c_str());
  std::exit(2);
}

enum class Doing { closed, connecting, shaking_hands, asking, idle };

struct Agent {
  int fd = -1;
  Doing doing = Doing::closed;
  bool counted_ready = false, welcome = false;
  std::uint64_t size = 0;
  std::string in, out;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl{nullptr, SSL_free};
};

class Fleet {
 public:
  explicit Fleet(const Options& options);
  void run();

 private:
  void open(std::size_t at);
  void close(std::size_t at, bool broken);
  void progress(std::size_t at);
  bool shake_hands(Agent& agent);
  void ask(std::size_t at);
  bool flush(Agent& agent);
  bool read(Agent& agent, bool& ended);
  bool take_answer(std::size_t at);
  void heard(std::size_t at, const std::string& note);
  void count_ready(Agent& agent);
  void open_more();
  void ask_due();
  void report_told();

  Options options_;
  std::vector<Agent> agents_;
  std::vector<std::pair<double, std::size_t>> closed_;  // when to open, who
  std::size_t never_opened_ = 0, opening_ = 0, ready_ = 0, turn_ = 0;
  int epoll_ = -1, signals_ = -1;
  SSL_CTX* tls_ = nullptr;
  double begun_ = 0, paced_from_ = 0;
  std::uint64_t answers_ = 0, broken_ = 0, refused_ = 0, late_ = 0, newest_ = 0;
  std::vector<double> told_;
  std::unique_ptr<Followers> followers_;
};

Fleet::Fleet(const Options& options) : options_(options), agents_(options.count), begun_(seconds_now()) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < options.count + 64) fail("only " + std::to_string(limit.rlim_cur) + " files may be open");
  sigset_t mask;
  sigemptyset(&mask);
  for (const int s : {SIGTERM, SIGINT}) sigaddset(&mask, s);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN, {}};
  event.data.u64 = agents_.size();
  epoll_ctl(epoll_, EPOLL_CTL_ADD, signals_, &event);
  if (!options.ca.empty()) {
    tls_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(tls_, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls_, SSL_VERIFY_PEER, nullptr);
    if (SSL_CTX_load_verify_locations(tls_, options.ca.c_str(), nullptr) != 1) fail("cannot read " + options.ca);
  }
  if (options.verify > 0) {
    const std::string url = std::string(tls_ ? "https" : "http") + "://127.0.0.1:" + std::to_string(options.port);
    followers_ =
        std::make_unique<Followers>(FollowersOptions{url, options.token, options.ca, options.trust, options.verify});
  }
}

// Agents are spread over addresses of this machine, as many as the ports of one would not do for.
void Fleet::open(std::size_t at) {
  Agent& agent = agents_[at];
  agent.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (agent.fd < 0) fail("no socket");
  const int on = 1;
  setsockopt(agent.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(agent.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in from{}, to{};
  from.sin_family = to.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + static_cast<std::uint32_t>(at / kAgentsPerAddress));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<std::uint16_t>(options_.port));
  bind(agent.fd, reinterpret_cast<sockaddr*>(&from),
       sizeof from);  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
  agent.doing = Doing::connecting;
  ++opening_;
  epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {}};
  event.data.u64 = at;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, agent.fd, &event);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  if (connect(agent.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) close(at, true);
}

void Fleet::close(std::size_t at, bool broken) {
  Agent& agent = agents_[at];
  if (agent.doing == Doing::connecting || agent.doing == Doing::shaking_hands) --opening_;
  if (broken) ++broken_;
  agent.ssl.reset();
  ::close(agent.fd);
  agent.fd = -1;
  agent.doing = Doing::closed;
  std::string().swap(agent.in);
  std::string().swap(agent.out);
  closed_.emplace_back(seconds_now() + (broken ? kRetryAfter : 0), at);
}

bool Fleet::shake_hands(Agent& agent) {
  if (tls_ != nullptr && !agent.ssl) {
    agent.ssl.reset(SSL_new(tls_));
    SSL_set_fd(agent.ssl.get(), agent.fd);
    SSL_set_connect_state(agent.ssl.get());
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(agent.ssl.get()), "127.0.0.1");
  }
  ERR_clear_error();
  const int done = agent.ssl ? SSL_do_handshake(agent.ssl.get()) : 1;
  if (done == 1) {
    --opening_;
    agent.doing = Doing::idle;
    return true;
  }
  const int wants = SSL_get_error(agent.ssl.get(), done);
  return wants == SSL_ERROR_WANT_READ || wants == SSL_ERROR_WANT_WRITE;
}

void Fleet::ask(std::size_t at) {
  Agent& agent = agents_[at];
  std::string path = options_.every > 0 ? "/checkpoint" : "/v1/checkpoint";
  if (options_.every <= 0 && agent.welcome) path += "?after=" + std::to_string(agent.size);
  agent.out = "GET " + path + " HTTP/1.1\r\nHost: hub\r\n";
  if (!options_.token.empty()) agent.out += "Authorization: Bearer " + options_.token + "\r\n";
  agent.out += "\r\n";
  agent.doing = Doing::asking;
  if (!flush(agent)) return close(at, true);
  if (agent.welcome && options_.every <= 0) count_ready(agent);
}

// False: the connection is broken.
bool Fleet::flush(Agent& agent) {
  while (!agent.out.empty()) {
    ERR_clear_error();
    const int size = static_cast<int>(agent.out.size());
    const ssize_t sent = agent.ssl ? SSL_write(agent.ssl.get(), agent.out.data(), size)
                                   : send(agent.fd, agent.out.data(), agent.out.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      if (!agent.ssl) return errno == EAGAIN;
      const int wants = SSL_get_error(agent.ssl.get(), static_cast<int>(sent));
      return wants == SSL_ERROR_WANT_READ || wants == SSL_ERROR_WANT_WRITE;
    }
    agent.out.erase(0, static_cast<std::size_t>(sent));
  }
  std::string().swap(agent.out);
  return true;
}

// All there is. False: the connection is broken; `ended`: the peer has closed it.
bool Fleet::read(Agent& agent, bool& ended) {
  char buffer[16384];
  while (true) {
    ERR_clear_error();
    const ssize_t got =
        agent.ssl ? SSL_read(agent.ssl.get(), buffer, sizeof buffer) : recv(agent.fd, buffer, sizeof buffer, 0);
    if (got > 0) {
      agent.in.append(buffer, static_cast<std::size_t>(got));
      continue;
    }
    if (!agent.ssl) {
      ended = got == 0;
      return got == 0 || errno == EAGAIN;
    }
    const int wants = SSL_get_error(agent.ssl.get(), static_cast<int>(got));
    ended = wants == SSL_ERROR_ZERO_RETURN;
    return ended || wants == SSL_ERROR_WANT_READ || wants == SSL_ERROR_WANT_WRITE;
  }
}

void Fleet::progress(std::size_t at) {
  Agent& agent = agents_[at];
  if (agent.doing == Doing::closed) return;
  if (agent.doing == Doing::connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(agent.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return close(at, true);
    tcp_info info{};
    size = sizeof info;
    getsockopt(agent.fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    if (info.tcpi_state == TCP_SYN_SENT) return;
    agent.doing = Doing::shaking_hands;
  }
  if (agent.doing == Doing::shaking_hands) {
    if (!shake_hands(agent)) return close(at, true);
    if (agent.doing == Doing::idle) ask(at);
    return;
  }
  bool ended = false;
  if (!flush(agent) || !read(agent, ended)) return close(at, true);
  if (agent.doing == Doing::asking && !take_answer(at)) return;
  if (ended && agent.fd >= 0) close(at, agent.doing == Doing::asking);
}

// False: the agent's connection has been closed.
bool Fleet::take_answer(std::size_t at) {
  Agent& agent = agents_[at];
  const std::size_t head = agent.in.find("\r\n\r\n");
  if (head == std::string::npos) return true;
  constexpr std::string_view kLength = "\r\ncontent-length:";
  const auto same = [](char a, char b) { return std::tolower(a) == b; };
  const auto found = std::search(agent.in.begin(), agent.in.begin() + static_cast<std::ptrdiff_t>(head) + 2,
                                 kLength.begin(), kLength.end(), same);
  std::size_t digits = static_cast<std::size_t>(found - agent.in.begin()) + kLength.size(), length = 0;
  while (digits < head && agent.in[digits] == ' ') ++digits;
  if (digits >= head) fail("an answer without a length: " + agent.in.substr(0, head));
  std::from_chars(agent.in.data() + digits, agent.in.data() + head, length);
  if (agent.in.size() < head + 4 + length) return true;
  const bool good = agent.in.compare(0, 13, "HTTP/1.1 200 ") == 0;
  const std::string note = agent.in.substr(head + 4, length);
  std::string().swap(agent.in);
  agent.doing = Doing::idle;
  ++answers_;
  if (!good) {
    ++refused_;
    close(at, true);
    return false;
  }
  heard(at, note);
  agent.welcome = true;
  if (options_.every > 0) {
    count_ready(agent);
  } else {
    ask(at);
  }
  return agent.fd >= 0;
}

void Fleet::heard(std::size_t at, const std::string& note) {
  Agent& agent = agents_[at];
  const std::size_t line = note.find('\n') + 1;
  std::uint64_t size = 0;
  std::from_chars(note.data() + line, note.data() + note.size(), size);
  if (size < agent.size) fail("a hub's log has become smaller");
  if (size == agent.size) return;
  agent.size = size;
  if (size > newest_) {
    newest_ = size;
    told_.clear();
    if (followers_) followers_->follow(note, size);
  }
  if (size != newest_) return;
  told_.push_back(seconds_now());
  if (told_.size() == agents_.size()) report_told();
}

void Fleet::report_told() {  // in the order in which they heard
  const auto at = [this](double share) { return told_[static_cast<std::size_t>(share * double(told_.size() - 1))]; };
  std::printf(R"({"event":"told","size":%llu,"agents":%zu,"first":%.6f,"p50":%.6f,"p99":%.6f,"last":%.6f})"
              "\n",
              static_cast<unsigned long long>(newest_), told_.size(), at(0), at(0.5), at(0.99), at(1));
}

void Fleet::count_ready(Agent& agent) {
  if (agent.counted_ready) return;
  agent.counted_ready = true;
  if (++ready_ < agents_.size()) return;
  std::printf("{\"event\":\"ready\",\"agents\":%zu,\"took\":%.3f}\n", ready_, seconds_now() - begun_);
  paced_from_ = seconds_now();
}

void Fleet::open_more() {
  while (opening_ < kOpening && never_opened_ < agents_.size()) open(never_opened_++);
  const double now = seconds_now();
  for (std::size_t i = 0; i < closed_.size() && opening_ < kOpening;) {
    if (closed_[i].first > now) {
      ++i;
      continue;
    }
    const std::size_t who = closed_[i].second;
    closed_[i] = closed_.back();
    closed_.pop_back();
    open(who);
  }
}

// One after another, evenly; who still waits for his last answer is late.
void Fleet::ask_due() {
  if (options_.every <= 0 || ready_ < agents_.size()) return;
  const double due = (seconds_now() - paced_from_) * static_cast<double>(agents_.size()) / options_.every;
  for (; static_cast<double>(turn_) < due; ++turn_) {
    const std::size_t at = turn_ % agents_.size();
    if (agents_[at].doing == Doing::idle) {
      ask(at);
    } else {
      ++late_;
    }
  }
}

void Fleet::run() {
  std::vector<epoll_event> events(1024);
  bool ending = false;
  while (!ending) {
    open_more();
    ask_due();
    const int wait = options_.every > 0 ? 1 : 100;
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t at = events[static_cast<std::size_t>(i)].data.u64;
      if (at == agents_.size()) {
        ending = true;
      } else {
        progress(at);
      }
    }
  }
  followers_.reset();
  std::printf(R"({"event":"end","answers":%llu,"broken":%llu,"refused":%llu,"late":%llu})"
              "\n",
              static_cast<unsigned long long>(answers_), static_cast<unsigned long long>(broken_),
              static_cast<unsigned long long>(refused_), static_cast<unsigned long long>(late_));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Many hosts of a fleet, as a hub sees them.", "fleet_agents"};
  app.add_option("--port", options.port)->required();
  app.add_option("--count", options.count);
  app.add_option("--token", options.token);
  app.add_option("--ca", options.ca);
  app.add_option("--verify", options.verify);
  app.add_option("--trust", options.trust);
  app.add_option("--every", options.every);
  CLI11_PARSE(app, argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Fleet(options).run();
  return 0;
}
