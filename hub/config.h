// /etc/hallpass/hub.toml: where the log lies, who may read it, how much anyone may ask for. hallpass-hub.toml(5).
//
//   listen      = ["127.0.0.1:8480"]
//   read        = "token"                                # or "anyone"
//   tokens_file = "/etc/hallpass/hub/tokens"             # lines: NAME sha256:HEX
//   [tls]       certificate, key, client_ca
//   [tokens]    NAME = "sha256:HEX"
//   [limits]    connections = 20000, …
//   [[witness]] url = "https://…", vkey = "…"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/note.h"
#include "core/toml.h"
#include "core/values/digest.h"
#include "core/values/time.h"

namespace hallpass::hub {

struct ListenAddress {
  std::string address;  // numeric, IPv4 or IPv6, without brackets
  std::uint16_t port = 0;
  bool loopback = false;
};

struct ReadToken {
  std::string name;
  Digest sha256;  // of the token
};

// What one person may ask for. A burst is what may come at once; it fills up again at so many a minute.
struct PersonLimits {
  std::int64_t statements_per_minute = 60, statements_burst = 300;
  // Revocations and denials, beside the others: who floods with the one can still do the other.
  std::int64_t narrowing_per_minute = 30, narrowing_burst = 300;
  std::int64_t live_requests = 200;  // that are neither over, denied nor revoked
};

struct WitnessConfig {
  std::string url;
  NoteKey key;
};

struct HubConfig {
  std::vector<ListenAddress> listen;
  bool anyone_reads = false;
  bool access_log = false;
  std::vector<ReadToken> tokens;
  std::string tokens_file;                  // empty: none
  std::string certificate, key, client_ca;  // PEM files; empty: plain HTTP
  std::string log = "/var/lib/hallpass-hub/log";
  std::string state = "/var/lib/hallpass-hub/state";
  std::string log_key = "/etc/hallpass/hub/log.key";
  std::string witness_key = "/etc/hallpass/hub/witness.key";
  std::string trust = "/etc/hallpass/trust.toml";
  std::string hosts_file;  // empty: none
  std::string notices;     // directory of the queue; empty: nobody is told
  std::int64_t connections = 20000;
  Seconds poll_wait{50};
  PersonLimits person;
  std::vector<WitnessConfig> witnesses;
};

// Every mistake becomes a diagnostic with its line; nullopt when any is an error. Touches no file.
std::optional<HubConfig> parse_hub_config(std::string_view toml, std::vector<Diagnostic>& out);

// The tokens file: a name and "sha256:HEX" on each line; empty lines and lines that begin with # say nothing.
std::optional<std::vector<ReadToken>> parse_tokens(std::string_view text, std::vector<Diagnostic>& out);

}  // namespace hallpass::hub
