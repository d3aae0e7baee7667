// Which path is answered how. docs/hub-api.md, hub/openapi.json.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "hub/http_server.h"
#include "hub/static_files.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kCompressFrom = 1024;
constexpr std::size_t kCompressedKept = std::size_t{64} * 1024 * 1024;

HttpResponse plain(std::string content_type, std::string body) {
  HttpResponse response;
  response.content_type = std::move(content_type);
  response.body = std::make_shared<const std::string>(std::move(body));
  return response;
}

HttpResponse fault(int status, std::string_view code, std::string_view message) {
  return response_of(error_answer(status, code, message));
}

HttpResponse not_allowed(const char* methods) {
  HttpResponse response = fault(405, "method", std::string("here only ") + methods + " is answered");
  response.more = std::string("Allow: ") + methods + "\r\n";
  return response;
}

// "after=SIZE", or nothing: 0.
std::optional<std::uint64_t> parse_after(std::string_view query) {
  if (query.empty()) return std::nullopt;
  constexpr std::string_view kName = "after=";
  if (!query.starts_with(kName)) return std::nullopt;
  query.remove_prefix(kName.size());
  std::uint64_t size = 0;
  const auto [end, ec] = std::from_chars(query.data(), query.data() + query.size(), size);
  if (ec != std::errc() || end != query.data() + query.size()) return std::nullopt;
  return size;
}

bool is_post_path(std::string_view path) {
  return path == "/v1/statements" || path == "/v1/policies";
}

}  // namespace

// Runs `start` and waits for what it is told, on whichever thread.
asio::awaitable<Answer> HttpServer::ask(std::function<void(Answered)> start) {
  const auto executor = co_await asio::this_coro::executor;
  auto begin = [executor, start = std::move(start)](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    start([executor, shared](Answer answer) {
      asio::post(executor, [shared, answer = std::move(answer)]() mutable { (*shared)(std::move(answer)); });
    });
  };
  auto token = asio::use_awaitable;
  co_return co_await asio::async_initiate<decltype(token), void(Answer)>(std::move(begin), token);
}

bool HttpServer::may_read(HttpSession& session, const HttpRequest& request) const {
  return options_.config.anyone_reads || session.has_client_certificate() ||
         (!request.authorization.empty() && options_.tokens->allow(request.authorization));
}

asio::awaitable<HttpResponse> HttpServer::answer(HttpSession& session, const HttpRequest& request) {
  if (is_post_path(request.path)) {
    if (request.method != "POST") co_return not_allowed("POST");
    co_return co_await answer_post(session, request);
  }
  if (request.method != "GET" && request.method != "HEAD") co_return not_allowed("GET, HEAD");
  if (request.path == "/healthz") co_return health();
  if (!may_read(session, request)) {
    HttpResponse response =
        fault(401, "unauthorized",
              "reading needs a token (Authorization: Bearer TOKEN) or a client certificate that the "
              "hub knows; its operator gives them out: hallpass-hub.toml(5)");
    response.more = "WWW-Authenticate: Bearer realm=\"hallpass-hub\"\r\n";
    co_return response;
  }
  session.welcome();
  co_return co_await answer_get(session, request);
}

asio::awaitable<HttpResponse> HttpServer::answer_post(HttpSession& session, const HttpRequest& request) {
  auto& body = const_cast<std::string&>(request.body);  // NOLINT: up to 2 MiB, and nobody looks at it again
  const bool statements = request.path == "/v1/statements";
  std::function<void(Answered)> start = [this, &body, statements](Answered answered) {
    statements ? service_.post_statements(std::move(body), std::move(answered))
               : service_.post_policy(std::move(body), std::move(answered));
  };
  Answer answer = co_await ask(std::move(start));
  if (answer.status < 300) session.welcome();
  co_return response_of(std::move(answer));
}

asio::awaitable<HttpResponse> HttpServer::answer_get(HttpSession& session, const HttpRequest& request) {
  if (request.path == "/checkpoint" || request.path == "/v1/checkpoint") {
    co_return co_await answer_checkpoint(session, request);
  }
  if (request.path == "/v1/grants") {
    std::function<void(Answered)> start = [this, &request](Answered answered) {
      service_.get_grants(request.query, std::move(answered));
    };
    co_return response_of(co_await ask(std::move(start)));
  }
  if (request.path == "/metrics") co_return metrics_page();
  if (request.path == "/openapi.json") co_return plain("application/json", std::string(kOpenApiText));
  co_return co_await answer_file(request);
}

asio::awaitable<HttpResponse> HttpServer::answer_checkpoint(HttpSession& session, const HttpRequest& request) {
  if (request.path == "/v1/checkpoint" && !request.query.empty()) {
    const auto after = parse_after(request.query);
    if (!after) co_return fault(400, "malformed", "the query is not after=SIZE, SIZE being a number of entries");
    if (!co_await session.wait_for_head(*after)) {
      HttpResponse gone;
      gone.status = 0;
      co_return gone;
    }
  }
  HttpResponse response = plain("text/plain; charset=utf-8", head_->note);
  response.cache_control = "no-cache";
  co_return response;
}

asio::awaitable<HttpResponse> HttpServer::answer_file(const HttpRequest& request) {
  const auto file = static_file(std::string_view(request.path).substr(1), head_->size);
  if (!file) co_return fault(404, "not_found", "there is no such path here; /openapi.json lists them");
  Result<std::string> text = options_.files(file->name, file->limit);
  if (!text && text.error().code == Errc::not_found) {
    co_return fault(404, "not_found",
                    "the log has no such file; a partial tile may have been replaced by the full one");
  }
  if (!text) co_return fault(503, "unavailable", text.error().message);
  HttpResponse response = plain(file->content_type, {});
  response.cache_control = file->cache_control;
  if (file->compressible) response.more = "Vary: Accept-Encoding\r\n";
  if (file->compressible && text->size() >= kCompressFrom && accepts_gzip(request.accept_encoding)) {
    response.more += "Content-Encoding: gzip\r\n";
    response.body = co_await compressed(file->name, *std::move(text), file->immutable);
  } else {
    response.body = std::make_shared<const std::string>(*std::move(text));
  }
  co_return response;
}

asio::awaitable<std::shared_ptr<const std::string>> HttpServer::compressed(const std::string& name, std::string text,
                                                                           bool keep) {
  if (const auto found = gzipped_.find(name); found != gzipped_.end()) co_return found->second;
  std::function<void(Answered)> start = [this, &text](Answered answered) {
    service_.work([&text, answered = std::move(answered)] {
      Answer answer;
      answer.body = gzip(text);
      answered(std::move(answer));
    });
  };
  Answer answer = co_await ask(std::move(start));
  auto body = std::make_shared<const std::string>(std::move(answer.body));
  if (!keep || !gzipped_.emplace(name, body).second) co_return body;
  gzipped_order_.push_back(name);
  gzipped_bytes_ += body->size();
  while (gzipped_bytes_ > kCompressedKept) {
    const auto oldest = gzipped_.find(gzipped_order_.front());
    gzipped_bytes_ -= oldest->second->size();
    gzipped_.erase(oldest);
    gzipped_order_.pop_front();
  }
  co_return body;
}

HttpResponse HttpServer::health() const {
  Gauges gauges;
  service_.gauges(gauges);
  if (gauges.stopped) return fault(503, "stopped", "the log has stopped; its journal says why");
  if (draining_) return fault(503, "ending", "the hub is being stopped");
  return plain("application/json", "{\"status\":\"ok\"}\n");
}

HttpResponse HttpServer::metrics_page() {
  Gauges gauges;
  service_.gauges(gauges);
  gauges.connections = sessions_.size();
  gauges.polls = polls_.size();
  if (options_.more_gauges) options_.more_gauges(gauges);
  return plain("text/plain; version=0.0.4; charset=utf-8", service_.metrics().text(gauges));
}

}  // namespace hallpass::hub
