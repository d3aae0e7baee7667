// HTTP as the fetcher, the CLI and the hub speak it to others: one GET or POST with limits on everything a hostile peer
// controls. libcurl; HTTP/2 where offered; connections are kept. Never linked into the agent. Not for other threads.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

struct HttpOptions {
  std::string ca_file;                         // instead of the system's authorities
  std::string client_certificate, client_key;  // PEM files; empty: none
  std::string token;                           // "Authorization: Bearer …"; never logged
  std::string user_agent = "hallpass";
  std::chrono::milliseconds connect_timeout{10000};
  bool allow_plain_http = false;  // http:// to other machines than this one
};

struct HttpAnswer {
  int status = 0;
  std::string body;            // decompressed, within the limit
  std::string content_type;    // without parameters, lower case
  std::size_t wire_bytes = 0;  // as received, headers included
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;

  // Redirects are refused (the sentence says where to), bodies over `limit` after decompression cut the transfer
  // (an answer of status 300 or more is only shortened), and
  // a peer that sends less than 1 byte/s for 20 s is given up (a long poll's wait before the first byte excepted:
  // `timeout` bounds the whole). Only https:, and http: to this machine or where allowed. `keep_waiting`, polled about
  // every 200 ms, ends the transfer when false. Errors: unavailable (refused, unreachable, bad certificate, timed out:
  // in words), too_large, malformed (URL, redirect). An answer of any other status is an answer.
  Result<HttpAnswer> get(const std::string& url, std::size_t limit, std::chrono::milliseconds timeout,
                         const std::function<bool()>& keep_waiting = {});
  Result<HttpAnswer> post(const std::string& url, std::string_view content_type, std::string_view body,
                          std::size_t limit, std::chrono::milliseconds timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hallpass
