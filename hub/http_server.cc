#include "hub/http_server.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <utility>
#include <vector>

namespace hallpass::hub {
namespace {

using asio::ip::tcp;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kTick{500};
constexpr Seconds kDrainTime{10};
constexpr int kBacklog = 4096;
constexpr std::size_t kToldAtOnce = 32;
constexpr int kWarning = 4, kInfo = 6;

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, size};
}

std::string words_of(const tcp::endpoint& at) {
  const std::string address = at.address().to_string();
  return (at.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(at.port());
}

}  // namespace

HttpServer::HttpServer(asio::io_context& io, ServerOptions options, Service& service)
    : io_(io),
      options_(std::move(options)),
      service_(service),
      timer_(io),
      head_(std::make_shared<const Published>()),
      date_(http_date()) {}

Status HttpServer::listen() {
  for (const ListenAddress& wanted : options_.config.listen) {
    error_code ec;
    const tcp::endpoint at(asio::ip::make_address(wanted.address, ec), wanted.port);
    Acceptor& acceptor = acceptors_.emplace_back(io_);
    if (!ec) acceptor.open(at.protocol(), ec);
    if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), ec);
    if (!ec) acceptor.bind(at, ec);
    if (!ec) acceptor.listen(kBacklog, ec);
    if (ec) {
      return Error{Errc::unavailable, "cannot listen on " + words_of(at) + ": " + ec.message() +
                                          "; see `ss -ltnp` for who does, or change listen in hub.toml"};
    }
  }
  for (Acceptor& acceptor : acceptors_) asio::co_spawn(io_, accept_on(acceptor), asio::detached);
  asio::co_spawn(io_, tick(), asio::detached);
  return Unit{};
}

std::string HttpServer::addresses() const {
  std::string text;
  for (const Acceptor& acceptor : acceptors_) {
    error_code ignored;
    text += (text.empty() ? "" : " ") + words_of(acceptor.local_endpoint(ignored));
  }
  return text;
}

asio::awaitable<void> HttpServer::accept_on(Acceptor& acceptor) {
  asio::steady_timer pause(io_);
  bool told = false;
  while (!draining_) {
    auto [ec, socket] = co_await acceptor.async_accept(kTuple);
    if (draining_) co_return;
    if (ec) {
      // Out of descriptors or memory, mostly: connections end by themselves.
      if (!told) options_.log(kWarning, "cannot take a connection: " + ec.message());
      told = true;
      pause.expires_after(kTick);
      co_await pause.async_wait(kTuple);
      continue;
    }
    told = false;
    if (sessions_.size() >= static_cast<std::size_t>(options_.config.connections)) {
      service_.metrics().connection_refused();
      if (!make_room()) continue;
    }
    asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
  }
}

// Strangers that hold connections open must not keep out those who may read: the oldest of them goes.
bool HttpServer::make_room() {
  const auto found = std::find_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return s->is_expendable(); });
  if (found == sessions_.end()) return false;
  (*found)->close();
  return true;
}

asio::awaitable<void> HttpServer::serve(tcp::socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto at = sessions_.insert(sessions_.end(),
                                   std::make_unique<HttpSession>(*this, make_wire(std::move(socket), options_.ssl)));
  try {
    co_await (*at)->run();
  } catch (const std::exception& e) {  // out of memory: this connection ends, and no other
    options_.log(kWarning, std::string("a connection ended early: ") + e.what());
  }
  sessions_.erase(at);
  finish_drain();
}

asio::awaitable<void> HttpServer::tick() {
  while (true) {
    timer_.expires_after(kTick);
    const auto [ec] = co_await timer_.async_wait(kTuple);
    if (ec) co_return;
    date_ = http_date();
    const Moment now = std::chrono::steady_clock::now();
    for (const auto& session : sessions_) session->look_at(now);
    if (now >= drain_until_) {
      options_.log(kWarning, std::to_string(sessions_.size()) + " connections did not end by themselves");
      if (drained_) std::exchange(drained_, nullptr)();
      co_return;
    }
  }
}

void HttpServer::published(std::shared_ptr<const Published> head) {
  const bool grown = head->size > head_->size;
  head_ = std::move(head);
  if (!grown) return;
  told_up_to_ = nullptr;
  if (!std::exchange(telling_, true)) tell_some();
}

// In portions: between them we answer what the ones told first ask next. Otherwise a thousand would be told before
// the first of them gets the new entries. A session that goes meanwhile is not looked at: polls_ is in order of
// addresses, and of told_up_to_ only the address counts.
void HttpServer::tell_some() {
  auto at = polls_.upper_bound(told_up_to_);
  for (std::size_t told = 0; at != polls_.end() && told < kToldAtOnce; ++at) {
    told_up_to_ = *at;
    if ((*at)->polls_after() >= head_->size) continue;
    service_.metrics().long_poll_woken();
    (*at)->wake();
    ++told;
  }
  telling_ = at != polls_.end();
  if (telling_) asio::post(io_, [this] { tell_some(); });
}

void HttpServer::reload(SslContext ssl, std::shared_ptr<const Tokens> tokens) {
  options_.ssl = std::move(ssl);
  options_.tokens = std::move(tokens);
}

void HttpServer::drain(std::function<void()> done) {
  if (draining_) return;
  draining_ = true;
  drained_ = std::move(done);
  drain_until_ = std::chrono::steady_clock::now() + kDrainTime;
  error_code ignored;
  for (Acceptor& acceptor : acceptors_) acceptor.close(ignored);
  for (const auto& session : sessions_) session->drain();
  finish_drain();
}

void HttpServer::finish_drain() {
  if (!draining_ || !sessions_.empty() || !drained_) return;
  timer_.cancel();
  std::exchange(drained_, nullptr)();
}

bool HttpServer::take_body_bytes(std::size_t count, std::size_t size) {
  const std::size_t most = kMaxBodiesBytes + (size <= kSmallBodyBytes ? kSmallBodiesBytes : 0);
  if (body_bytes_ + count > most) return false;
  body_bytes_ += count;
  return true;
}

void HttpServer::answered(const HttpRequest& request, int status, std::size_t bytes) {
  service_.metrics().answered(status);
  if (!options_.config.access_log) return;
  // The query may name people; paths are ours or refused.
  const std::string path = request.path.substr(0, 120);
  options_.log(kInfo, request.method + " " + path + " " + std::to_string(status) + " " + std::to_string(bytes));
}

}  // namespace hallpass::hub
