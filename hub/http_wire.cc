#include "hub/http_wire.h"

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace hallpass::hub {
namespace {

using asio::ip::tcp;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

template <class Stream>
asio::awaitable<std::size_t> read_from(Stream& stream, asio::mutable_buffer into, error_code& ec) {
  const auto [fault, got] = co_await stream.async_read_some(into, kTuple);
  ec = fault;
  co_return got;
}

template <class Stream>
asio::awaitable<void> write_to(Stream& stream, std::string_view head, std::string_view body, error_code& ec) {
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
  const auto [fault, sent] = co_await asio::async_write(stream, buffers, kTuple);
  ec = fault;
}

class PlainWire : public Wire {
 public:
  explicit PlainWire(tcp::socket socket) : socket_(std::move(socket)) {}
  asio::awaitable<std::size_t> read_some(asio::mutable_buffer into, error_code& ec) override {
    return read_from(socket_, into, ec);
  }
  asio::awaitable<void> write(std::string_view head, std::string_view body, error_code& ec) override {
    return write_to(socket_, head, body, ec);
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

class TlsWire : public Wire {
 public:
  TlsWire(tcp::socket socket, SslContext context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}
  asio::awaitable<std::size_t> read_some(asio::mutable_buffer into, error_code& ec) override {
    return read_from(stream_, into, ec);
  }
  asio::awaitable<void> write(std::string_view head, std::string_view body, error_code& ec) override {
    return write_to(stream_, head, body, ec);
  }
  asio::awaitable<void> begin(error_code& ec) override {
    const auto [fault] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kTuple);
    ec = fault;
  }
  asio::awaitable<void> end() override { co_await stream_.async_shutdown(kTuple); }
  bool has_client_certificate() override {
    SSL* ssl = stream_.native_handle();
    return SSL_get0_peer_certificate(ssl) != nullptr && SSL_get_verify_result(ssl) == X509_V_OK;
  }
  // What waits may have been taken into the TLS engine already.
  bool shows_readable() const override { return false; }
  tcp::socket& socket() override { return stream_.next_layer(); }

 private:
  SslContext context_;
  asio::ssl::stream<tcp::socket> stream_;
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
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
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
