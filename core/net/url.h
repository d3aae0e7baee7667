// URLs as HttpClient takes them, judged before anything is sent: configurations check theirs with this.
#pragma once

#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxUrlBytes = 2000;

struct HttpUrl {
  std::string shown;  // scheme, host and port alone: paths may hold secrets
  bool loopback = false;
};

// https:, or http: to this machine or where `allow_plain_http`; printable ASCII, no user name or password. Judged as
// libcurl reads it, so that what is judged is what is called. Error: malformed ("is not a URL; write https://HOST").
Result<HttpUrl> check_http_url(std::string_view url, bool allow_plain_http);

}  // namespace hallpass
