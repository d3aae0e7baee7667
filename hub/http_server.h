// The hub's HTTP face: accepts, routes, holds long polls. Everything on the one thread of its io_context, but for what
// it hands to the service.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/log/tile_reader.h"
#include "hub/http_session.h"
#include "hub/sequencer.h"
#include "hub/tokens.h"

namespace hallpass::hub {

inline constexpr Seconds kRequestTime{30};  // for a header, a body, and each part of an answer
inline constexpr Seconds kIdleTime{75};     // between requests
inline constexpr std::size_t kMaxHeaderBytes = 8192;
// Of all bodies that are being received or not yet answered. Small ones have room beside the others: a revocation gets
// in while somebody fills the rest.
inline constexpr std::size_t kMaxBodiesBytes = std::size_t{256} * 1024 * 1024;
inline constexpr std::size_t kSmallBodiesBytes = std::size_t{64} * 1024 * 1024;
inline constexpr std::size_t kSmallBodyBytes = std::size_t{16} * 1024;

struct ServerOptions {
  HubConfig config;
  SslContext ssl;
  std::shared_ptr<const Tokens> tokens;
  LogFiles files;
  std::function<void(int priority, const std::string&)> log;
  std::function<void(Gauges&)> more_gauges;
};

class HttpServer {
 public:
  HttpServer(asio::io_context& io, ServerOptions options, Service& service);
  // Error: unavailable (an address that cannot be listened on).
  Status listen();
  std::string addresses() const;  // "127.0.0.1:8480 [::1]:8480", with the ports that the kernel chose

  // All on the server's thread.
  void published(std::shared_ptr<const Published> head);
  void reload(SslContext ssl, std::shared_ptr<const Tokens> tokens);
  void drain(std::function<void()> done);  // no new connections; done when the last has ended, or after 10 s

  // For sessions.
  asio::awaitable<HttpResponse> answer(HttpSession& session, const HttpRequest& request);
  void begin_poll(HttpSession& session) { polls_.insert(&session); }
  void end_poll(HttpSession& session) { polls_.erase(&session); }
  const Published& head() const { return *head_; }
  Seconds poll_wait() const { return options_.config.poll_wait; }
  bool draining() const { return draining_; }
  const std::string& date() const { return date_; }
  void answered(const HttpRequest& request, int status, std::size_t bytes);
  // For a body of `size` bytes so far; false: all together hold too much.
  bool take_body_bytes(std::size_t count, std::size_t size);
  void give_body_bytes(std::size_t count) { body_bytes_ -= count; }

 private:
  using Acceptor = asio::ip::tcp::acceptor;
  asio::awaitable<void> accept_on(Acceptor& acceptor);
  asio::awaitable<void> serve(asio::ip::tcp::socket socket);
  asio::awaitable<void> tick();
  void tell_some();
  void finish_drain();
  bool make_room();

  bool may_read(HttpSession& session, const HttpRequest& request) const;
  asio::awaitable<HttpResponse> answer_get(HttpSession& session, const HttpRequest& request);
  asio::awaitable<HttpResponse> answer_post(HttpSession& session, const HttpRequest& request);
  asio::awaitable<HttpResponse> answer_checkpoint(HttpSession& session, const HttpRequest& request);
  asio::awaitable<HttpResponse> answer_file(const HttpRequest& request);
  asio::awaitable<Answer> ask(std::function<void(Answered)> start);
  asio::awaitable<std::shared_ptr<const std::string>> compressed(const std::string& name, std::string text, bool keep);
  HttpResponse health() const;
  HttpResponse metrics_page();

  asio::io_context& io_;
  ServerOptions options_;
  Service& service_;
  std::list<Acceptor> acceptors_;
  asio::steady_timer timer_;
  std::list<std::unique_ptr<HttpSession>> sessions_;
  std::set<HttpSession*> polls_;
  HttpSession* told_up_to_ = nullptr;  // of polls_, while telling_: of the newest head
  bool telling_ = false;
  std::shared_ptr<const Published> head_;
  std::string date_;
  std::size_t body_bytes_ = 0;
  bool draining_ = false;
  Moment drain_until_ = Moment::max();
  std::function<void()> drained_;
  // Compressed files that never change, the oldest first.
  std::map<std::string, std::shared_ptr<const std::string>> gzipped_;
  std::list<std::string> gzipped_order_;
  std::size_t gzipped_bytes_ = 0;
};

extern const std::string_view kOpenApiText;  // hub/openapi.json

}  // namespace hallpass::hub
