// The hub as this program speaks to it: the log's files, the long poll, and publishing. docs/formats.md, "The hub's
// API".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/config.h"
#include "core/net/http.h"
#include "core/policy_trust.h"
#include "core/statement.h"

namespace hallpass::cli {

// What the hub says about one statement given to it.
struct HubVerdict {
  enum class Status { taken, known, refused };
  Status status = Status::refused;
  std::string grant;  // its id; may be empty
  std::string code;   // of a refusal, for machines
  std::string error;  // of a refusal, for people; printable
};

struct HubReceipt {
  std::vector<HubVerdict> verdicts;   // in the order given; the hub may not have looked at the last ones
  std::vector<std::string> warnings;  // printable
  bool all_in() const;                // every statement is in the log now
};

class HubClient {
 public:
  // Reads the token's file. Errors: those of reading it; malformed (no token in it).
  static Result<HubClient> open(const HubConfig& config);

  const std::string& url() const { return config_.url; }
  // A file below the log's prefix. Errors: not_found, too_large, untrusted (the token or certificate is missing or
  // wrong), unavailable (anything else).
  Result<std::string> file(const std::string& path, std::size_t limit);
  // The signed checkpoint when the log has more than `size` entries, or the newest after about 50 s. A server of plain
  // files answers at once. `go_on` false ends the waiting: unavailable.
  Result<std::string> checkpoint_after(std::uint64_t size, const std::function<bool()>& go_on);
  bool has_long_poll() const { return has_long_poll_; }  // as far as is known

  // Errors: untrusted, unavailable (then nobody knows whether it arrived; giving the same again does no harm).
  Result<HubReceipt> publish(const std::vector<Statement>& statements);
  Result<HubReceipt> publish_policy(const std::string& toml, const std::string& sig);

 private:
  HubClient(HubConfig config, HttpOptions options) : config_(std::move(config)), http_(std::move(options)) {}
  Result<std::string> get(const std::string& path, std::size_t limit, std::chrono::milliseconds timeout,
                          const std::function<bool()>& go_on);
  Result<HubReceipt> post(const std::string& path, std::string_view type, const std::string& body);
  Error refusal(const HttpAnswer& answer, const std::string& path) const;
  Error cannot(const Error& error) const;
  HubConfig config_;
  HttpClient http_;
  bool has_long_poll_ = true;
};

// The body of an answer to a post. Errors: malformed.
Result<HubReceipt> parse_receipt(std::string_view json);

}  // namespace hallpass::cli
