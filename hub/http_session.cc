#include "hub/http_session.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>

#include "core/values/text.h"
#include "hub/http_server.h"

namespace hallpass::hub {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::string_body>;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 8192;
constexpr std::size_t kWriteBytes = std::size_t{64} * 1024;

HttpResponse fault_response(int status, std::string_view code, std::string_view message) {
  HttpResponse response = response_of(error_answer(status, code, message));
  response.close = true;
  return response;
}

HttpResponse response_to(const error_code& ec) {
  if (ec == http::error::header_limit) return fault_response(431, "too_large", "a header may have 8 KiB at most");
  if (ec == http::error::body_limit) {
    return fault_response(413, "too_large", "a body may have 2 MiB at most; send the statements in several");
  }
  return fault_response(400, "malformed", "this is no HTTP/1.1 request: " + printable(ec.message(), 80));
}

std::string value_of(const Parser& parser, http::field field) {
  const auto at = parser.get().find(field);
  return at == parser.get().end() ? std::string() : std::string(at->value().data(), at->value().size());
}

// What the parser lets through and we do not.
const char* fault_in(const Parser& parser) {
  const auto& message = parser.get();
  const auto target = message.target();
  if (message.version() != 11 && message.version() != 10) return "only HTTP/1.1 and HTTP/1.0 are spoken here";
  if (target.empty() || target.front() != '/') return "the target does not begin with a slash";
  for (const char c : target) {
    if (c <= 0x20 || c >= 0x7f || c == '#') return "the target holds characters that no URL may";
  }
  for (const http::field once :
       {http::field::host, http::field::authorization, http::field::content_length, http::field::transfer_encoding}) {
    if (message.count(once) > 1) return "a header that may stand once stands twice";
  }
  if (message.version() == 11 && message.count(http::field::host) == 0) return "the header Host is missing";
  if (message.count(http::field::transfer_encoding) > 0 && message.count(http::field::content_length) > 0) {
    return "both Transfer-Encoding and Content-Length say how long the body is";
  }
  const bool body = parser.chunked() || parser.content_length().value_or(0) > 0;
  if (body && message.method() != http::verb::post) return "only a POST has a body here";
  return nullptr;
}

void take_header(const Parser& parser, HttpRequest& into) {
  const auto& message = parser.get();
  const std::string_view target(message.target().data(), message.target().size());
  const std::size_t mark = std::min(target.find('?'), target.size());
  into.method = std::string(message.method_string());
  into.path = std::string(target.substr(0, mark));
  into.query = mark < target.size() ? std::string(target.substr(mark + 1)) : std::string();
  into.authorization = value_of(parser, http::field::authorization);
  into.accept_encoding = value_of(parser, http::field::accept_encoding);
  into.keep_alive = message.keep_alive();
}

}  // namespace

void HttpSession::give_time(Seconds time) {
  deadline_ = std::chrono::steady_clock::now() + time;
}

void HttpSession::look_at(Moment now) {
  if (now < deadline_) return;
  deadline_ = Moment::max();
  if (doing_ == Doing::polling) return wake();
  close();
}

void HttpSession::close() {
  error_code ignored;
  wire_->socket().close(ignored);
}

void HttpSession::wake() {
  if (doing_ != Doing::polling || woken_) return;
  woken_ = true;
  error_code ignored;
  wire_->socket().cancel(ignored);
}

void HttpSession::drain() {
  if (doing_ == Doing::idle) close();
  wake();
}

asio::awaitable<bool> HttpSession::fill() {
  const std::size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  error_code ec;
  const std::size_t got = co_await wire_->read_some(asio::buffer(buffer_.data() + had, kReadBytes), ec);
  buffer_.resize(had + got);
  co_return !ec && got > 0;
}

asio::awaitable<bool> HttpSession::await_first_byte() {
  if (!buffer_.empty()) co_return true;
  std::string().swap(buffer_);
  if (server_.draining()) co_return false;
  doing_ = Doing::idle;
  give_time(kIdleTime);
  if (wire_->shows_readable()) {
    const auto [ec] = co_await wire_->socket().async_wait(asio::socket_base::wait_read, kTuple);
    doing_ = Doing::reading;
    if (ec) co_return false;
    give_time(kRequestTime);
    co_return co_await fill();
  }
  const bool more = co_await fill();
  doing_ = Doing::reading;
  co_return more;
}

// Of the room for all bodies, until this one is answered.
bool HttpSession::hold(std::size_t size) {
  if (size <= held_) return true;
  if (!server_.take_body_bytes(size - held_, size)) return false;
  held_ = size;
  return true;
}

void HttpSession::let_go() {
  server_.give_body_bytes(held_);
  held_ = 0;
}

template <class P>
asio::awaitable<error_code> HttpSession::parse_header(P& parser) {
  error_code ec;
  while (true) {
    const std::size_t used = parser.put(asio::buffer(buffer_), ec);
    buffer_.erase(0, used);
    if (ec && ec != http::error::need_more) co_return ec;
    if (parser.is_header_done()) co_return error_code{};
    if (buffer_.size() > kMaxHeaderBytes) co_return http::error::header_limit;
    if (!co_await fill()) co_return http::error::end_of_stream;
  }
}

template <class P>
asio::awaitable<error_code> HttpSession::parse_body(P& parser) {
  error_code ec;
  while (!parser.is_done()) {
    if (!buffer_.empty()) {
      const std::size_t used = parser.put(asio::buffer(buffer_), ec);
      buffer_.erase(0, used);
      if (ec && ec != http::error::need_more) co_return ec;
      if (parser.is_done()) break;
      if (used > 0 && !ec) continue;
      if (buffer_.size() > 2 * kMaxHeaderBytes) co_return http::error::bad_chunk_extension;  // a line without end
    }
    if (!hold(parser.get().body().size() + buffer_.size())) co_return http::error::buffer_overflow;
    if (!co_await fill()) co_return http::error::end_of_stream;
  }
  co_return error_code{};
}

asio::awaitable<bool> HttpSession::send_continue() {
  error_code ec;
  co_await wire_->write("HTTP/1.1 100 Continue\r\n\r\n", {}, ec);
  co_return !ec;
}

asio::awaitable<HttpSession::Got> HttpSession::read_request(HttpRequest& into, HttpResponse& fault) {
  if (!co_await await_first_byte()) co_return Got::nothing;
  give_time(kRequestTime);
  Parser parser;
  parser.header_limit(kMaxHeaderBytes);
  parser.body_limit(kMaxBodyBytes);
  parser.eager(false);
  error_code ec = co_await parse_header(parser);
  if (ec == http::error::end_of_stream) co_return Got::nothing;
  if (ec) {
    fault = response_to(ec);
    co_return Got::fault;
  }
  if (const char* words = fault_in(parser)) {
    fault = fault_response(400, "malformed", words);
    co_return Got::fault;
  }
  take_header(parser, into);
  // A co_await of its own: g++ 12 cannot compile one within a longer condition.
  const bool expects = !parser.is_done() && !value_of(parser, http::field::expect).empty();
  if (expects) {
    const bool told = co_await send_continue();
    if (!told) co_return Got::nothing;
  }
  give_time(kRequestTime);
  ec = co_await parse_body(parser);
  if (ec == http::error::end_of_stream) co_return Got::nothing;
  if (ec == http::error::buffer_overflow) {
    fault =
        fault_response(503, "busy", "the hub receives more bodies than it can hold; send it again in a few seconds");
    co_return Got::fault;
  }
  if (ec) {
    fault = response_to(ec);
    co_return Got::fault;
  }
  into.body = std::move(parser.get().body());
  co_return Got::request;
}

asio::awaitable<bool> HttpSession::send(const HttpRequest& request, const HttpResponse& response) {
  const bool keep = request.keep_alive && !response.close && !server_.draining();
  const std::string head = format_head(response, keep, server_.date());
  const std::string_view body = request.method == "HEAD" ? std::string_view() : std::string_view(*response.body);
  std::size_t sent = std::min(body.size(), kWriteBytes);
  error_code ec;
  give_time(kRequestTime);
  co_await wire_->write(head, body.substr(0, sent), ec);
  while (!ec && sent < body.size()) {
    give_time(kRequestTime);
    const std::string_view part = body.substr(sent, kWriteBytes);
    co_await wire_->write({}, part, ec);
    sent += part.size();
  }
  server_.answered(request, response.status, body.size());
  co_return !ec && keep;
}

asio::awaitable<void> HttpSession::run() {
  error_code ec;
  give_time(kRequestTime);
  co_await wire_->begin(ec);
  if (ec) co_return;
  bool more = true;
  while (more) {
    HttpRequest request;
    HttpResponse response;
    const Got got = co_await read_request(request, response);
    if (got == Got::nothing) co_return;
    // However long it takes to verify and to make durable: the service answers each body.
    deadline_ = Moment::max();
    doing_ = Doing::working;
    if (got == Got::request) response = co_await server_.answer(*this, request);
    let_go();
    if (response.status == 0) co_return;  // the peer has gone
    more = co_await send(request, response);
  }
  give_time(Seconds{2});
  co_await wire_->end();
  // What is still on its way to us must not make the kernel throw our answer away.
  give_time(Seconds{2});
  for (bool reading = true; reading;) {
    buffer_.clear();
    reading = co_await fill();
  }
}

bool HttpSession::peer_has_gone() {
  char byte = 0;
  const ssize_t got = recv(wire_->socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

asio::awaitable<bool> HttpSession::wait_for_head(std::uint64_t after) {
  // A reader that has seen more than this hub has must hear of it at once: the log was put back to an older copy.
  if (server_.head().size != after || server_.draining()) co_return true;
  if (buffer_.empty()) std::string().swap(buffer_);
  after_ = after;
  woken_ = false;
  doing_ = Doing::polling;
  give_time(server_.poll_wait());
  server_.begin_poll(*this);
  const auto [ec] = co_await wire_->socket().async_wait(asio::socket_base::wait_read, kTuple);
  server_.end_poll(*this);
  doing_ = Doing::working;
  deadline_ = Moment::max();
  if (woken_) co_return true;
  // It spoke or hung up: who sends his next request early gets his answer early.
  co_return !ec && !peer_has_gone();
}

}  // namespace hallpass::hub
