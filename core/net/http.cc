#include "core/net/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "core/net/url.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kLookMs = 200;                                     // how often `keep_waiting` is asked
constexpr std::size_t kMaxHeaderBytes = std::size_t{64} * 1024;  // all headers of an answer together
constexpr std::chrono::seconds kDripWindow{20};
constexpr std::size_t kDripBytes = 20;  // in kDripWindow, from the first byte on
constexpr std::size_t kShown = 200;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string in_words(milliseconds time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

std::string media_type(const char* header) {
  std::string type = header == nullptr ? "" : header;
  type.resize(std::min(type.size(), type.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return printable(type);
}

struct Request {
  const std::string& url;
  HttpUrl where;
  std::size_t limit = 0;
  milliseconds timeout{};
  std::optional<std::string_view> body;  // of a POST
  std::string content_type;
};

// What arrives of one answer. libcurl's callbacks write here; a callback that returns less than it was given ends the
// transfer.
class Arrival {
 public:
  explicit Arrival(std::size_t limit) : limit_(limit) {}
  std::string body;
  bool body_over = false, headers_over = false;

  static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self) {
    Arrival& a = *static_cast<Arrival*>(self);
    const std::size_t bytes = size * count;
    a.body_over = bytes > a.limit_ - a.body.size();
    if (a.body_over) return 0;
    a.body.append(data, bytes);
    return bytes;
  }
  static std::size_t take_header(char*, std::size_t size, std::size_t count, void* self) {
    Arrival& a = *static_cast<Arrival*>(self);
    const std::size_t bytes = size * count;
    a.header_bytes_ += bytes;
    a.headers_over = a.header_bytes_ > kMaxHeaderBytes;
    return a.headers_over ? 0 : bytes;
  }

  // Counts what came over the wire, for a compressed body may sleep inside the decompressor.
  bool drips(CURL* easy, Clock::time_point now) {
    curl_off_t wire = 0;
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
    const std::size_t have = header_bytes_ + static_cast<std::size_t>(wire);
    if (have == 0) return false;
    if (have - counted_ >= kDripBytes || since_ == Clock::time_point{}) {
      counted_ = have;
      since_ = now;
    }
    return now - since_ >= kDripWindow;
  }

 private:
  std::size_t limit_, header_bytes_ = 0, counted_ = 0;
  Clock::time_point since_{};
};

enum class End { done, stopped, drip, broken };

}  // namespace

struct HttpClient::Impl {
  explicit Impl(HttpOptions o) : options(std::move(o)), multi(curl_multi_init()), easy(curl_easy_init()) {}

  Result<HttpAnswer> call(const Request& request, const std::function<bool()>& keep_waiting);
  bool prepare(const Request& request, Arrival& arrival);
  bool prepare_headers(const Request& request);
  bool prepare_tls();
  End wait(Arrival& arrival, const std::function<bool()>& keep_waiting);
  Result<HttpAnswer> answer(const Request& request, Arrival& arrival);
  Error fault(const Request& request, const Arrival& arrival, End end) const;
  std::string transport_fault(const Request& request) const;
  long status() const {
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }
  template <class T>
  bool set(CURLoption option, T value) {
    return curl_easy_setopt(easy.get(), option, value) == CURLE_OK;
  }

  HttpOptions options;
  std::unique_ptr<CURLM, FreeMulti> multi;  // owns the kept connections; cleaned up after `easy`
  std::unique_ptr<CURL, FreeEasy> easy;
  std::unique_ptr<curl_slist, FreeList> headers;
  std::array<char, CURL_ERROR_SIZE> detail{};
  CURLcode code = CURLE_OK;
};

bool HttpClient::Impl::prepare_headers(const Request& request) {
  curl_slist* list = nullptr;
  bool ok = true;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    ok = ok && longer != nullptr;
    if (longer != nullptr) list = longer;
  };
  add("Expect:");  // no waiting for "100 Continue"
  if (!options.token.empty()) add("Authorization: Bearer " + options.token);
  if (request.body) add("Content-Type: " + request.content_type);
  headers.reset(list);
  return ok && set(CURLOPT_HTTPHEADER, headers.get());
}

bool HttpClient::Impl::prepare_tls() {
  bool ok = set(CURLOPT_SSL_VERIFYPEER, 1L) && set(CURLOPT_SSL_VERIFYHOST, 2L) &&
            set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_file.empty()) {
    ok = ok && set(CURLOPT_CAINFO, options.ca_file.c_str()) && set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  if (!options.client_certificate.empty()) {
    ok = ok && set(CURLOPT_SSLCERT, options.client_certificate.c_str()) &&
         set(CURLOPT_SSLKEY, options.client_key.c_str());
  }
  return ok;
}

// Proxies come from the environment as everywhere (https_proxy, no_proxy), but never for this machine.
bool HttpClient::Impl::prepare(const Request& request, Arrival& arrival) {
  curl_easy_reset(easy.get());
  detail.fill('\0');
  code = CURLE_OK;
  bool ok = set(CURLOPT_ERRORBUFFER, detail.data()) && set(CURLOPT_URL, request.url.c_str()) &&
            set(CURLOPT_PROTOCOLS_STR, "http,https") && set(CURLOPT_FOLLOWLOCATION, 0L) &&
            set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS)) && set(CURLOPT_NOSIGNAL, 1L) &&
            set(CURLOPT_USERAGENT, options.user_agent.c_str()) && set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate") &&
            set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && set(CURLOPT_TCP_KEEPALIVE, 1L) &&
            set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count())) &&
            set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  if (request.where.loopback) ok = ok && set(CURLOPT_PROXY, "");
  ok = ok && prepare_tls() && prepare_headers(request);
  if (request.body) {
    ok = ok && set(CURLOPT_POST, 1L) &&
         set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size())) &&
         set(CURLOPT_POSTFIELDS, request.body->data() == nullptr ? "" : request.body->data());
  }
  return ok && set(CURLOPT_WRITEFUNCTION, &Arrival::take_body) && set(CURLOPT_WRITEDATA, &arrival) &&
         set(CURLOPT_HEADERFUNCTION, &Arrival::take_header) && set(CURLOPT_HEADERDATA, &arrival);
}

End HttpClient::Impl::wait(Arrival& arrival, const std::function<bool()>& keep_waiting) {
  while (true) {
    int running = 0, left = 0;
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) return End::broken;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      code = message->data.result;
      return End::done;
    }
    if (keep_waiting && !keep_waiting()) return End::stopped;
    if (arrival.drips(easy.get(), Clock::now())) return End::drip;
    if (curl_multi_poll(multi.get(), nullptr, 0, kLookMs, nullptr) != CURLM_OK) return End::broken;
  }
}

std::string HttpClient::Impl::transport_fault(const Request& request) const {
  const std::string_view said = detail.data();
  const std::string why = " (" + printable(said.empty() ? curl_easy_strerror(code) : said, kShown) + ")";
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
      return "its certificate is not believed" + why +
             "; name the authority that issued it in ca_file, or give it a certificate for this name";
    case CURLE_SSL_CACERT_BADFILE:
      return "ca_file " + printable(options.ca_file) + " cannot be used" + why;
    case CURLE_SSL_CERTPROBLEM:
      return "the client certificate " + printable(options.client_certificate) + " or its key cannot be used" + why;
    case CURLE_SSL_CONNECT_ERROR:
      return "no TLS connection can be made" + why;
    case CURLE_COULDNT_RESOLVE_HOST:
      return "its name cannot be resolved" + why;
    case CURLE_COULDNT_CONNECT:
      return "it cannot be reached" + why;
    case CURLE_OPERATION_TIMEDOUT:
      return "it has not answered in full within " + in_words(request.timeout) + why;
    case CURLE_BAD_CONTENT_ENCODING:
      return "its compressed answer cannot be read" + why;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
      return "the connection was closed before the answer was complete" + why;
    default:
      return "the transfer failed" + why;
  }
}

Error HttpClient::Impl::fault(const Request& request, const Arrival& arrival, End end) const {
  const std::string who = request.where.shown + ": ";
  if (end == End::stopped) return {Errc::unavailable, who + "given up, for waiting was no longer wanted"};
  if (end == End::drip) {
    return {Errc::unavailable,
            who + "it sends less than 1 byte/s (slow drip): given up after " + in_words(kDripWindow)};
  }
  if (end == End::broken) return {Errc::unavailable, who + "libcurl cannot go on"};
  if (arrival.body_over) {
    return {Errc::too_large, who + "the answer is over " + std::to_string(request.limit) + " bytes: cut off"};
  }
  if (arrival.headers_over) {
    return {Errc::too_large,
            who + "the answer's headers are over " + std::to_string(kMaxHeaderBytes) + " bytes: cut off"};
  }
  return {Errc::unavailable, who + transport_fault(request)};
}

Result<HttpAnswer> HttpClient::Impl::answer(const Request& request, Arrival& arrival) {
  long header_bytes = 0;
  const long status = this->status();
  curl_off_t wire = 0;
  char* text = nullptr;
  if (status >= 300 && status < 400) {
    curl_easy_getinfo(easy.get(), CURLINFO_REDIRECT_URL, &text);
    return Error{Errc::malformed, request.where.shown + ": it answers " + std::to_string(status) +
                                      " and redirects to " + (text == nullptr ? "nowhere" : printable(text, kShown)) +
                                      ", which is not followed; if that is right, configure that URL"};
  }
  HttpAnswer out;
  out.status = static_cast<int>(status);
  curl_easy_getinfo(easy.get(), CURLINFO_CONTENT_TYPE, &text);
  out.content_type = media_type(text);
  curl_easy_getinfo(easy.get(), CURLINFO_HEADER_SIZE, &header_bytes);
  curl_easy_getinfo(easy.get(), CURLINFO_SIZE_DOWNLOAD_T, &wire);
  out.wire_bytes = static_cast<std::size_t>(header_bytes) + static_cast<std::size_t>(wire);
  out.body = std::move(arrival.body);
  return out;
}

Result<HttpAnswer> HttpClient::Impl::call(const Request& request, const std::function<bool()>& keep_waiting) {
  if (!is_visible(options.token)) {
    return Error{Errc::malformed, "the token holds a space, a line end or other characters that no token has"};
  }
  Arrival arrival(request.limit);
  if (!multi || !easy || !prepare(request, arrival) || curl_multi_add_handle(multi.get(), easy.get()) != CURLM_OK) {
    return Error{Errc::unavailable, request.where.shown + ": libcurl cannot be set up"};
  }
  const End end = wait(arrival, keep_waiting);
  // The text of a refusal may be as long as it likes: its beginning and the status are the answer.
  const bool answered = code == CURLE_OK || (arrival.body_over && status() >= 300);
  Result<HttpAnswer> result =
      end == End::done && answered ? answer(request, arrival) : Result<HttpAnswer>(fault(request, arrival, end));
  curl_multi_remove_handle(multi.get(), easy.get());
  return result;
}

HttpClient::HttpClient(HttpOptions options) {
  // Once for the process, before any thread of ours: later calls only count.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)ready;
  impl_ = std::make_unique<Impl>(std::move(options));
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

Result<HttpAnswer> HttpClient::get(const std::string& url, std::size_t limit, std::chrono::milliseconds timeout,
                                   const std::function<bool()>& keep_waiting) {
  Result<HttpUrl> where = check_http_url(url, impl_->options.allow_plain_http);
  if (!where) return where.error();
  return impl_->call({url, std::move(*where), limit, timeout, std::nullopt, ""}, keep_waiting);
}

Result<HttpAnswer> HttpClient::post(const std::string& url, std::string_view content_type, std::string_view body,
                                    std::size_t limit, std::chrono::milliseconds timeout) {
  Result<HttpUrl> where = check_http_url(url, impl_->options.allow_plain_http);
  if (!where) return where.error();
  return impl_->call({url, std::move(*where), limit, timeout, body, std::string(content_type)}, {});
}

}  // namespace hallpass
