// One connection: reads requests, asks the server for answers, writes them. A coroutine on the server's thread. While
// it waits for a request or a new head it holds neither buffer nor parser, so that ten thousand of them are cheap.
#pragma once

#include <memory>
#include <string>

#include "hub/http_request.h"
#include "hub/http_wire.h"

namespace hallpass::hub {

class HttpServer;

class HttpSession {
 public:
  HttpSession(HttpServer& server, std::unique_ptr<Wire> wire) : server_(server), wire_(std::move(wire)) {}
  ~HttpSession() { let_go(); }
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  asio::awaitable<void> run();
  // Waits while the head has exactly `after` entries, until the server drains, or the poll's time is over. False: the
  // peer has gone.
  asio::awaitable<bool> wait_for_head(std::uint64_t after);
  void wake();               // out of wait_for_head
  void look_at(Moment now);  // the tick: closes what took too long, ends polls
  void drain();              // closes it if it is idle
  void close();
  // Nobody would miss it: it has not yet said anything that gave it a right, and nothing of it is being worked at.
  bool is_expendable() const { return !welcome_ && doing_ != Doing::working && doing_ != Doing::polling; }
  void welcome() { welcome_ = true; }
  bool has_client_certificate() { return wire_->has_client_certificate(); }
  std::uint64_t polls_after() const { return after_; }

 private:
  enum class Doing { reading, working, idle, polling };
  enum class Got { request, nothing, fault };
  asio::awaitable<Got> read_request(HttpRequest& into, HttpResponse& fault);
  asio::awaitable<bool> fill();  // more bytes into buffer_
  asio::awaitable<bool> await_first_byte();
  asio::awaitable<bool> send(const HttpRequest& request, const HttpResponse& response);
  asio::awaitable<bool> send_continue();
  template <class Parser>
  asio::awaitable<error_code> parse_header(Parser& parser);
  template <class Parser>
  asio::awaitable<error_code> parse_body(Parser& parser);
  bool hold(std::size_t size);
  void let_go();
  bool peer_has_gone();
  void give_time(Seconds time);

  HttpServer& server_;
  std::unique_ptr<Wire> wire_;
  std::string buffer_;            // read, not yet parsed
  Doing doing_ = Doing::reading;  // at first a handshake
  Moment deadline_ = Moment::max();
  std::uint64_t after_ = 0;
  std::size_t held_ = 0;  // bytes of the server's room for bodies
  bool woken_ = false, welcome_ = false;
};

}  // namespace hallpass::hub
