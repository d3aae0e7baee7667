// /etc/hallpass/notify.toml: who gets the alerts. hallpass-notify.toml(5).
//
//   webhook        = "https://alerts.example.org/hook"
//   webhook_header = ["Authorization: Bearer ..."]
//   ca_file        = "/etc/hallpass/alerts-ca.pem"      # instead of the system's certificate authorities
//   command        = ["/usr/local/bin/page", "--urgent"] # the alert on its standard input
//   retry_longest  = "5m"                                # between two tries
//   reject_after   = "1h"                                # an alert that its receiver refuses holds up others so long
//   allow_plain_http = false                             # http:// to other machines
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/time.h"

namespace hallpass {

struct NotifyConfig {
  std::string webhook;        // empty: none
  std::string webhook_shown;  // scheme and host alone: paths may hold secrets
  std::vector<std::string> webhook_headers;
  std::string ca_file;
  std::vector<std::string> command;  // empty: none
  Seconds retry_longest{300};
  Seconds reject_after{3600};
};

// Every mistake becomes a diagnostic with its line; nullopt when any is an error. Touches no file.
std::optional<NotifyConfig> parse_notify_config(std::string_view toml, std::vector<Diagnostic>& out);

}  // namespace hallpass
