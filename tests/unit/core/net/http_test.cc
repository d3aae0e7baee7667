// HttpClient against a peer on this machine that answers with given bytes.
#include "core/net/http.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/net/url.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;

void must(bool ok) {
  if (!ok) std::abort();
}

// Answers each connection with the same bytes. `hold`: and leaves it open until the end.
class Peer {
 public:
  explicit Peer(std::string answer, bool hold = false) : answer_(std::move(answer)), hold_(hold) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    must(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd_, 8) == 0);
    must(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~Peer() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    for (const int open : open_) ::close(open);
    ::close(fd_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  const std::string& url() const { return url_; }
  std::string asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void serve() {
    while (true) {
      const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        request.append(buffer, static_cast<std::size_t>(got));
      }
      {
        const std::lock_guard lock(mutex_);
        asked_ = request;
      }
      (void)send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (hold_) {
        open_.push_back(fd);
      } else {
        // Not with what is unread: that would be a reset, which may overtake the answer.
        shutdown(fd, SHUT_WR);
        while (recv(fd, buffer, sizeof buffer, 0) > 0) continue;
        ::close(fd);
      }
    }
  }
  std::string answer_, url_, asked_;
  bool hold_;
  int fd_ = -1;
  std::vector<int> open_;
  mutable std::mutex mutex_;
  std::thread thread_;
};

std::string answer_of(const char* status, const std::string& body, const std::string& headers = "") {
  return std::string("HTTP/1.1 ") + status + "\r\nConnection: close\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

constexpr milliseconds kLimit{5000};

int wrong_answers() {
  struct Case {
    const char* name;
    std::string answer;
    int status;         // 0: an error
    const char* words;  // of the body, or of the error
    Errc code = Errc::unavailable;
  };
  const Case cases[] = {
      {"an answer", answer_of("200 OK", "hello"), 200, "hello"},
      {"as long as may be", answer_of("200 OK", std::string(100, 'x')), 200, "xxx"},
      {"a byte more", answer_of("200 OK", std::string(101, 'x')), 0, "over 100 bytes", Errc::too_large},
      {"not found", answer_of("404 Not Found", "no"), 404, "no"},
      {"not found, with a long page", answer_of("404 Not Found", std::string(5000, 'x')), 404, ""},
      {"a redirect", answer_of("302 Found", "", "Location: https://evil.example.org/x\r\n"), 0,
       "redirects to https://evil.example.org/x", Errc::malformed},
      {"a redirect to nowhere", answer_of("301 Moved", ""), 0, "redirects to nowhere", Errc::malformed},
      {"a body that is cut", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", 0, "before the answer was complete"},
      {"nothing", "", 0, "before the answer was complete"},
      {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", 0, "transfer failed"},
      {"compressed, as it says and is not", answer_of("200 OK", "hello", "Content-Encoding: gzip\r\n"), 0,
       "compressed"},
      {"headers without end",
       "HTTP/1.1 200 OK\r\n" +
           [] {
             std::string many;
             for (int i = 0; i < 2000; ++i) many += "X: " + std::string(100, 'y') + "\r\n";
             return many;
           }(),
       0, "headers", Errc::too_large},
  };
  int wrong = 0;
  for (const Case& c : cases) {
    const Peer peer(c.answer);
    HttpClient client({});
    const Result<HttpAnswer> got = client.get(peer.url() + "/a/b", 100, kLimit);
    wrong += wrong_if(got.has_value() != (c.status != 0), c.name);
    const std::string said = got ? got->body : got.error().message;
    wrong += wrong_if(said.find(c.words) == std::string::npos, (std::string(c.name) + ": " + said).c_str());
    if (got) wrong += wrong_if(got->status != c.status || got->body.size() > 100, c.name);
    if (!got) wrong += wrong_if(got.error().code != c.code || said.find(peer.url()) != 0, c.name);
  }
  return wrong;
}

int wrong_requests() {
  const Peer peer(answer_of("200 OK", "{}", "Content-Type: Application/JSON; charset=utf-8\r\n"));
  HttpOptions options;
  options.token = "s3cret";
  options.user_agent = "hallpass-test";
  HttpClient client(options);
  const Result<HttpAnswer> got = client.post(peer.url() + "/v1/x", "text/plain", "line\n", 100, kLimit);
  int wrong = wrong_if(!got || got->content_type != "application/json" || got->wire_bytes < 60, "the answer's type");
  const std::string asked = peer.asked();
  for (const char* line :
       {"POST /v1/x HTTP/1.1\r\n", "Authorization: Bearer s3cret\r\n", "Content-Type: text/plain\r\n",
        "Content-Length: 5\r\n", "User-Agent: hallpass-test\r\n", "gzip, deflate\r\n"}) {
    wrong += wrong_if(asked.find(line) == std::string::npos, line);
  }
  wrong += wrong_if(asked.find("Expect") != std::string::npos || asked.find("Cookie") != std::string::npos, "no more");
  options.token = "a b\r\nX: y";
  HttpClient odd(options);
  wrong += wrong_if(odd.get(peer.url(), 100, kLimit).has_value(), "a token with a line end");
  return wrong;
}

int wrong_waits() {
  int wrong = 0;
  const Peer silent("", true);
  HttpClient client({});
  const auto begun = std::chrono::steady_clock::now();
  const Result<HttpAnswer> late = client.get(silent.url(), 100, milliseconds{300});
  wrong += wrong_if(late || late.error().message.find("within 300 ms") == std::string::npos, "the time is up");
  int asked = 0;
  const Result<HttpAnswer> stopped = client.get(silent.url(), 100, milliseconds{60000}, [&] { return ++asked < 3; });
  wrong += wrong_if(stopped.has_value() || asked != 3, "no longer wanted");
  const Peer begins("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", true);
  wrong += wrong_if(client.get(begins.url(), 100, milliseconds{300}).has_value(), "the time is up in the middle");
  wrong += wrong_if(std::chrono::steady_clock::now() - begun > std::chrono::seconds{10}, "all that soon");
  wrong += wrong_if(client.get("http://127.0.0.1:1/", 100, kLimit).has_value(), "nobody there");
  return wrong;
}

int wrong_urls() {
  struct Case {
    const char* url;
    bool plain;
    const char* shown;  // nullptr: refused
    const char* words = "";
  };
  const Case cases[] = {
      {"https://hub.example.org", false, "https://hub.example.org"},
      {"https://hub.example.org:8443/secret/path", false, "https://hub.example.org:8443"},
      {"http://127.0.0.1:8000/x", false, "http://127.0.0.1:8000"},
      {"http://localhost/x", false, "http://localhost"},
      {"http://[::1]:80/", false, "http://[::1]:80"},
      {"http://hub.example.org/", true, "http://hub.example.org"},
      {"http://hub.example.org/", false, nullptr, "unencrypted"},
      {"http://127.0.0.1.example.org/", false, nullptr, "unencrypted"},
      {"http://localhost.example.org/", false, nullptr, "unencrypted"},
      {"ftp://hub.example.org/", true, nullptr, "neither"},
      {"file:///etc/shadow", true, nullptr, "neither"},
      {"hub.example.org", true, nullptr, "not a URL"},
      {"", true, nullptr, "not a URL"},
      {"https://", true, nullptr, "not a URL"},
      {"https://a b", true, nullptr, "not a URL"},
      {"https://a\r\nX: y", true, nullptr, "not a URL"},
      {"https://user:word@hub.example.org", true, nullptr, "password"},
      {"https://user@hub.example.org", true, nullptr, "user name"},
      {"https://hub.example.org/#x", true, nullptr, "after #"},
  };
  int wrong = 0;
  for (const Case& c : cases) {
    const Result<HttpUrl> judged = check_http_url(c.url, c.plain);
    wrong += wrong_if(judged.has_value() != (c.shown != nullptr), c.url);
    if (judged && c.shown != nullptr) wrong += wrong_if(judged->shown != c.shown, c.url);
    if (judged) continue;
    wrong += wrong_if(judged.error().message.find(c.words) == std::string::npos, c.url);
    wrong += wrong_if(judged.error().message.find("word@") != std::string::npos, "a password is not shown");
  }
  HttpClient client({});
  wrong += wrong_if(client.get("http://hub.example.org/", 10, kLimit).has_value(), "nothing goes out unencrypted");
  return wrong;
}

void test_answers(void**) {
  assert_int_equal(wrong_answers(), 0);
}
void test_requests(void**) {
  assert_int_equal(wrong_requests(), 0);
}
void test_waits(void**) {
  assert_int_equal(wrong_waits(), 0);
}
void test_urls(void**) {
  assert_int_equal(wrong_urls(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_requests),
                              cmocka_unit_test(test_waits), cmocka_unit_test(test_urls)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
