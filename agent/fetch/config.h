// /etc/hallpass/fetch.toml: where the log's files come from. hallpass-fetch.toml(5).
//
//   urls               = ["https://hub1.example.org", "https://files.example.org/hallpass"]  # the first is preferred
//   token_file         = "/etc/hallpass/fetch.token"      # or client_certificate and client_key
//   ca_file            = "/etc/hallpass/hub-ca.pem"       # instead of the system's certificate authorities
//   poll               = "10s"                            # of servers that hold files only
//   answer_timeout     = "30s"                            # for one file
//   mirror             = "/var/lib/hallpass-mirror"
//   allow_plain_http   = false                            # http:// to other machines
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr char kDefaultMirror[] = "/var/lib/hallpass-mirror";
inline constexpr std::size_t kMaxSourceUrls = 8;

struct SourceUrl {
  std::string url;    // without a slash at its end
  std::string shown;  // scheme, host and port alone
};

struct FetchConfig {
  std::vector<SourceUrl> urls;  // 1..kMaxSourceUrls
  std::string token_file;
  std::string client_certificate, client_key;
  std::string ca_file;
  std::string mirror = kDefaultMirror;
  Seconds poll{10};
  Seconds answer_timeout{30};
  bool allow_plain_http = false;
};

// Every mistake becomes a diagnostic with its line; nullopt when any is an error. Touches no file.
std::optional<FetchConfig> parse_fetch_config(std::string_view toml, std::vector<Diagnostic>& out);

}  // namespace hallpass
