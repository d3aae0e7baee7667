// One connection, plain or TLS, as the session sees it. Everything runs on the server's one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string_view>

#include "core/values/result.h"
#include "hub/config.h"

namespace hallpass::hub {

namespace asio = boost::asio;
using boost::system::error_code;
using SslContext = std::shared_ptr<asio::ssl::context>;

class Wire {
 public:
  virtual ~Wire() = default;
  // Errors are values; a socket that somebody closes meanwhile is one. Zero bytes only with an error.
  virtual asio::awaitable<std::size_t> read_some(asio::mutable_buffer into, error_code& ec) = 0;
  virtual asio::awaitable<void> write(std::string_view head, std::string_view body, error_code& ec) = 0;
  virtual asio::awaitable<void> begin(error_code& ec) = 0;  // the handshake
  virtual asio::awaitable<void> end() = 0;
  virtual bool has_client_certificate() = 0;  // a verified one
  // Does the socket show whether bytes wait to be read? Not while some are in the TLS engine already.
  virtual bool shows_readable() const = 0;
  virtual asio::ip::tcp::socket& socket() = 0;
};

// Without `ssl`: plain.
std::unique_ptr<Wire> make_wire(asio::ip::tcp::socket socket, const SslContext& ssl);

// Null when the configuration names no certificate. Errors: unavailable (a file, in OpenSSL's words).
Result<SslContext> make_ssl_context(const HubConfig& config);

}  // namespace hallpass::hub
