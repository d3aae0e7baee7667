#include "core/net/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "core/values/text.h"

namespace hallpass {
namespace {

using Url = std::unique_ptr<CURLU, void (*)(CURLU*)>;

std::string part_of(const Url& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  const std::string copy = text;
  curl_free(text);
  return copy;
}

// By what is written: a name that DNS knows may mean any machine. "localhost" means this one to libcurl itself.
bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  if (host.rfind("127.", 0) != 0) return false;
  return std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); }) &&
         std::count(host.begin(), host.end(), '.') == 3;
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Error refused(const std::string& why) {
  return Error{Errc::malformed, why};
}

}  // namespace

Result<HttpUrl> check_http_url(std::string_view text, bool allow_plain_http) {
  const std::string copy(text);
  const std::string quoted = "\"" + printable(text, 100) + "\"";
  const Url url(curl_url(), curl_url_cleanup);
  if (text.empty() || text.size() > kMaxUrlBytes || !is_visible(text) || !url ||
      curl_url_set(url.get(), CURLUPART_URL, copy.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    return refused(quoted + " is not a URL; write https://HOST");
  }
  const std::string scheme = part_of(url, CURLUPART_SCHEME), host = part_of(url, CURLUPART_HOST);
  if (scheme != "https" && scheme != "http") return refused(quoted + " is neither https:// nor http://");
  if (!part_of(url, CURLUPART_USER).empty() || !part_of(url, CURLUPART_PASSWORD).empty()) {
    return refused("the URL of " + printable(host) + " holds a user name or a password; use a token");
  }
  if (!part_of(url, CURLUPART_FRAGMENT).empty()) return refused(quoted + " has a part after #; leave it out");
  HttpUrl out;
  out.loopback = is_loopback(host);
  if (scheme == "http" && !allow_plain_http && !out.loopback) {
    return refused(quoted + " would be asked unencrypted; use https://, or allow plain http if the way there is safe");
  }
  const std::string port = part_of(url, CURLUPART_PORT);
  out.shown = scheme + "://" + host + (port.empty() ? "" : ":" + port);
  return out;
}

}  // namespace hallpass
