#include "hub/http_wire.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace hallpass::hub {
namespace {

using asio::ip::tcp;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

class PlainWire : public Wire {
 public:
  explicit PlainWire(tcp::socket socket) : socket_(std::move(socket)) {}
  asio::awaitable<std::size_t> read_some(asio::mutable_buffer into, error_code& ec) override {
    const auto [fault, got] = co_await socket_.async_read_some(into, kTuple);
    ec = fault;
    co_return got;
  }
  asio::awaitable<void> write(std::string_view head, std::string_view body, error_code& ec) override {
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
    const auto [fault, sent] = co_await asio::async_write(socket_, buffers, kTuple);
    ec = fault;
  }
  asio::awaitable<void> begin(error_code&) override { co_return; }
  asio::awaitable<void> end() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    co_return;
  }
  bool has_client_certificate() override { return false; }
  bool shows_readable() const override { return true; }
  tcp::socket& socket() override { return socket_; }

 private:
  tcp::socket socket_;
};

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// OpenSSL over the socket itself: asio's own stream keeps 70 KiB of buffers for each connection, which waits most of
// its life.
class TlsWire : public Wire {
 public:
  TlsWire(tcp::socket socket, SslContext context)
      : socket_(std::move(socket)), context_(std::move(context)), ssl_(SSL_new(context_->native_handle())) {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    SSL_set_accept_state(ssl_.get());
    SSL_set_fd(ssl_.get(), socket_.native_handle());
  }
  asio::awaitable<std::size_t> read_some(asio::mutable_buffer into, error_code& ec) override {
    const auto step = [this, into] { return SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size())); };
    const int got = co_await drive(step, ec);
    co_return static_cast<std::size_t>(got);
  }
  asio::awaitable<void> write(std::string_view head, std::string_view body, error_code& ec) override {
    std::string all(head);  // one record rather than two; the session gives 64 KiB at most
    all += body;
    for (std::size_t sent = 0; sent < all.size() && !ec;) {
      const auto step = [&] { return SSL_write(ssl_.get(), all.data() + sent, static_cast<int>(all.size() - sent)); };
      const int count = co_await drive(step, ec);
      sent += static_cast<std::size_t>(count);
    }
  }
  asio::awaitable<void> begin(error_code& ec) override {
    const auto step = [this] { return SSL_do_handshake(ssl_.get()); };
    co_await drive(step, ec);
  }
  asio::awaitable<void> end() override {
    if (!socket_.is_open()) co_return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // says so; whether the peer says it too, it shows by closing
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  bool has_client_certificate() override {
    return SSL_get0_peer_certificate(ssl_.get()) != nullptr && SSL_get_verify_result(ssl_.get()) == X509_V_OK;
  }
  bool shows_readable() const override { return SSL_has_pending(ssl_.get()) == 0; }
  tcp::socket& socket() override { return socket_; }

 private:
  // Until `step` has done something. 0 with an error. A socket that was closed meanwhile is not touched again: its
  // number may be another's.
  template <class Step>
  asio::awaitable<int> drive(Step step, error_code& ec) {
    while (socket_.is_open()) {
      ERR_clear_error();
      const int done = step();
      if (done > 0) co_return done;
      const int wants = SSL_get_error(ssl_.get(), done);
      if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) {
        ec = wants == SSL_ERROR_ZERO_RETURN ? asio::error::make_error_code(asio::error::eof)
                                            : asio::error::make_error_code(asio::error::connection_reset);
        co_return 0;
      }
      const auto what = wants == SSL_ERROR_WANT_READ ? tcp::socket::wait_read : tcp::socket::wait_write;
      const auto [fault] = co_await socket_.async_wait(what, kTuple);
      ec = fault;
      if (ec) co_return 0;
    }
    ec = asio::error::operation_aborted;
    co_return 0;
  }

  tcp::socket socket_;
  SslContext context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
};

}  // namespace

std::unique_ptr<Wire> make_wire(tcp::socket socket, const SslContext& ssl) {
  if (ssl == nullptr) return std::make_unique<PlainWire>(std::move(socket));
  return std::make_unique<TlsWire>(std::move(socket), ssl);
}

Result<SslContext> make_ssl_context(const HubConfig& config) {
  if (config.certificate.empty()) return SslContext{};
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Connections are kept open, so sessions are seldom resumed; tickets would cost memory and a key to rotate.
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  const auto fault = [](const std::string& path, const error_code& ec) {
    return Error{Errc::unavailable, path + ": " + ec.message() + "; give a PEM file that this user can read"};
  };
  error_code ec;
  context->use_certificate_chain_file(config.certificate, ec);
  if (ec) return fault(config.certificate, ec);
  context->use_private_key_file(config.key, asio::ssl::context::pem, ec);
  if (ec) return fault(config.key, ec);
  if (SSL_CTX_check_private_key(raw) != 1) {
    return Error{Errc::mismatch,
                 config.key + " is not the key of " + config.certificate + "; give the two of one pair"};
  }
  if (config.client_ca.empty()) return context;
  context->load_verify_file(config.client_ca, ec);
  if (ec) return fault(config.client_ca, ec);
  context->set_verify_mode(asio::ssl::verify_peer);  // asked for, not demanded: signatures and tokens need none
  SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(config.client_ca.c_str()));
  return context;
}

}  // namespace hallpass::hub
