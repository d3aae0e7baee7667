#include "cli/hub_client.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>

#include "core/edge/files.h"
#include "core/json.h"
#include "core/log/note.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout{3000};  // then people want to know, and to go on from what is here
constexpr milliseconds kSmallTimeout{5000};    // of what fits into one breath: checkpoint, hints
constexpr milliseconds kFileTimeout{20000};
constexpr milliseconds kPollTimeout{60000};  // the hub answers within 50 s
constexpr std::size_t kMaxTokenBytes = 4096;
constexpr std::size_t kMaxReceiptBytes = std::size_t{1024} * 1024;
constexpr std::size_t kMaxShown = 500;

std::string text_member(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  const std::string* text = member == nullptr ? nullptr : member->as_string();
  return text == nullptr ? "" : printable(*text, kMaxShown);
}

Result<HubVerdict> read_verdict(const Json& json) {
  HubVerdict out;
  const std::string status = text_member(json, "status");
  if (status == "taken") {
    out.status = HubVerdict::Status::taken;
  } else if (status == "known") {
    out.status = HubVerdict::Status::known;
  } else if (status != "refused") {
    return Error{Errc::malformed, fmt::format("the hub's answer has a status \"{}\"", status)};
  }
  out.grant = text_member(json, "grant");
  out.code = text_member(json, "code");
  out.error = text_member(json, "error");
  return out;
}

}  // namespace

bool HubReceipt::all_in() const {
  return std::none_of(verdicts.begin(), verdicts.end(),
                      [](const HubVerdict& v) { return v.status == HubVerdict::Status::refused; });
}

Result<HubReceipt> parse_receipt(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return Error{Errc::malformed, "the hub's answer is not JSON: " + json.error().message};
  const Json* results = json->find("results");
  const bool many = results != nullptr && results->as_array() != nullptr;
  if (!many && json->find("status") == nullptr)
    return Error{Errc::malformed, "the hub's answer has neither \"results\" nor \"status\""};
  HubReceipt out;
  for (const Json& result : many ? *results->as_array() : JsonArray{json.value()}) {
    auto verdict = read_verdict(result);
    if (!verdict) return verdict.error();
    out.verdicts.push_back(std::move(verdict).value());
  }
  if (const Json* warnings = json->find("warnings"); warnings != nullptr && warnings->as_array() != nullptr) {
    for (const Json& warning : *warnings->as_array()) {
      if (const std::string* said = warning.as_string()) out.warnings.push_back(printable(*said, kMaxShown));
    }
  }
  return out;
}

Result<HubClient> HubClient::open(const HubConfig& config) {
  HttpOptions options;
  options.ca_file = config.ca;
  options.client_certificate = config.certificate;
  options.client_key = config.key;
  options.user_agent = "hallpass/" HALLPASS_VERSION;
  options.connect_timeout = kConnectTimeout;
  if (!config.token_file.empty()) {
    auto token = read_file(AT_FDCWD, config.token_file, kMaxTokenBytes, true);
    if (!token) return Error{Errc::malformed, "hub_token_file: " + token.error().message};
    while (!token->empty() && (token->back() == '\n' || token->back() == '\r' || token->back() == ' '))
      token->pop_back();
    if (token->empty())
      return Error{Errc::malformed,
                   fmt::format("hub_token_file {} is empty; write the token into it", shorten_home(config.token_file))};
    options.token = token.value();
  }
  return HubClient(config, std::move(options));
}

Error HubClient::cannot(const Error& error) const {
  std::string message = error.message;
  // The library below knows its own options only.
  if (const std::size_t at = message.find("in ca_file"); at != std::string::npos) message.replace(at, 10, "in hub_ca");
  return {Errc::unavailable, std::move(message)};
}

Error HubClient::refusal(const HttpAnswer& answer, const std::string& path) const {
  if (answer.status == 404) return {Errc::not_found, fmt::format("{} has no {}", config_.url, path)};
  std::string why;
  if (const auto json = parse_json(answer.body)) why = text_member(json.value(), "error");
  // 403 with words is the hub's about what was given to it; without, a proxy's about us.
  if (answer.status == 401 || (answer.status == 403 && why.empty())) {
    if (config_.token_file.empty() && config_.certificate.empty())
      return {
          Errc::untrusted,
          fmt::format("{} wants a token; ask its admin for one and write hub_token_file = \"FILE\" in {}/config.toml",
                      config_.url, shorten_home(config_directory()))};
    return {Errc::untrusted,
            fmt::format("{} does not accept {} {} ({}); ask its admin for another", config_.url,
                        config_.token_file.empty() ? "the certificate in" : "the token in",
                        shorten_home(config_.token_file.empty() ? config_.certificate : config_.token_file),
                        answer.status)};
  }
  return {Errc::unavailable,
          fmt::format("{} answers {} to {}{}{}", config_.url, answer.status, path, why.empty() ? "" : ": ", why)};
}

Result<std::string> HubClient::get(const std::string& path, std::size_t limit, milliseconds timeout,
                                   const std::function<bool()>& go_on) {
  auto answer = http_.get(config_.url + "/" + path, limit, timeout, go_on);
  if (!answer) return answer.error().code == Errc::too_large ? answer.error() : cannot(answer.error());
  if (answer->status != 200) return refusal(answer.value(), path);
  return std::move(answer->body);
}

Result<std::string> HubClient::file(const std::string& path, std::size_t limit) {
  return get(path, limit, limit <= kMaxNoteBytes ? kSmallTimeout : kFileTimeout, {});
}

Result<std::string> HubClient::checkpoint_after(std::uint64_t size, const std::function<bool()>& go_on) {
  if (has_long_poll_) {
    auto note = get(fmt::format("v1/checkpoint?after={}", size), kMaxNoteBytes, kPollTimeout, go_on);
    if (note || note.error().code != Errc::not_found) return note;
    has_long_poll_ = false;
  }
  return get(std::string(kCheckpointPath), kMaxNoteBytes, kSmallTimeout, go_on);
}

Result<HubReceipt> HubClient::post(const std::string& path, std::string_view type, const std::string& body) {
  const auto answer = http_.post(config_.url + "/" + path, type, body, kMaxReceiptBytes, kFileTimeout);
  if (!answer) return cannot(answer.error());
  if (auto receipt = parse_receipt(answer->body)) return receipt;
  if (answer->status == 404 || answer->status == 405 || answer->status == 501) {
    return Error{Errc::unavailable,
                 fmt::format("{} serves the log's files only and takes nothing; use the hub's own URL", config_.url)};
  }
  if (answer->status >= 200 && answer->status < 300)
    return Error{Errc::unavailable, fmt::format("{}: {}", config_.url, parse_receipt(answer->body).error().message)};
  Error error = refusal(answer.value(), path);
  // Too much, or the hub's own trouble: later it may be another answer.
  if (answer->status >= 400 && answer->status < 500 && answer->status != 429) error.code = Errc::untrusted;
  return error;
}

Result<HubReceipt> HubClient::publish(const std::vector<Statement>& statements) {
  std::string lines;
  for (const Statement& s : statements) lines += s.envelope() + "\n";
  auto receipt = post("v1/statements", "application/x-ndjson", lines);
  if (receipt && receipt->verdicts.size() != statements.size()) {
    return Error{Errc::unavailable, fmt::format("{} answers about {} of {} statements", config_.url,
                                                receipt->verdicts.size(), statements.size())};
  }
  return receipt;
}

Result<HubReceipt> HubClient::publish_policy(const std::string& toml, const std::string& sig) {
  return post("v1/policies", "application/json", to_json(JsonObject{{"toml", toml}, {"sig", sig}}));
}

}  // namespace hallpass::cli
