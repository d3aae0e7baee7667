// /etc/hallpass/notify.toml: who gets the alerts of a host; hub-notify.toml: who gets the hub's notices.
// hallpass-notify.toml(5).
//
//   webhook        = "https://alerts.example.org/hook"
//   format         = "json"                             # or "slack", "teams"
//   webhook_header = ["Authorization: Bearer ..."]
//   ca_file        = "/etc/hallpass/alerts-ca.pem"      # instead of the system's certificate authorities
//   command        = ["/usr/local/bin/page", "--urgent"] # the document on its standard input
//   retry_longest  = "5m"                                # between two tries
//   reject_after   = "1h"                                # what its receiver refuses holds up others so long
//   allow_plain_http = false                             # http:// to other machines
//
//   [email]
//   server         = "smtp://mail.example.org:587"      # STARTTLS; or smtps://
//   user           = "hallpass"
//   password_file  = "/etc/hallpass/mail-password"
//   from           = "hallpass@example.org"
//   to             = ["ops@example.org"]                # alerts
//   domain         = "example.org"                      # notices: to PERSON@domain, but for those in people
//   people         = { bob = "b.smith@example.org" }    # or [email.people]
//   allow_plain    = false                              # smtp:// without TLS
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr std::size_t kMaxMailAddresses = 8;  // in `to`: a document's name tells who has it

struct EmailConfig {
  std::string server;  // as libcurl takes it; empty: no e-mail
  std::string server_shown;
  std::string user, password_file, from;
  std::string password;         // what password_file holds: for whoever reads that
  std::vector<std::string> to;  // of alerts
  std::string domain;           // may be empty
  std::map<std::string, std::string> people;
  bool allow_plain = false;

  // Where a person's notices go; empty: nobody knows.
  std::string address_of(const std::string& person) const;
};

struct NotifyConfig {
  enum class Format { json, slack, teams };
  Format format = Format::json;
  std::string webhook;        // empty: none
  std::string webhook_shown;  // scheme and host alone: paths may hold secrets
  std::vector<std::string> webhook_headers;
  std::string ca_file;
  std::vector<std::string> command;  // empty: none
  Seconds retry_longest{300};
  Seconds reject_after{3600};
  EmailConfig email;
};

// Every mistake becomes a diagnostic with its line; nullopt when any is an error. Touches no file.
std::optional<NotifyConfig> parse_notify_config(std::string_view toml, std::vector<Diagnostic>& out);

}  // namespace hallpass
