#include "notify/webhook.h"

#include <algorithm>

#include "core/values/text.h"
#include "notify/message.h"

namespace hallpass {
namespace {

constexpr std::size_t kShownAnswer = 200;

}  // namespace

// 401, 403 and 404 mean that the receiver is not set up (yet): the document can do nothing for it, so it waits.
Outcome outcome_of_status(long status, const std::string& answer) {
  if (status >= 200 && status < 300) return {Outcome::Kind::delivered, "", std::nullopt};
  std::string why = "it answers " + std::to_string(status);
  if (status >= 300 && status < 400) why += ", a redirect, which is not followed";
  if (!answer.empty()) why += ": " + printable(answer, kShownAnswer);
  constexpr long kNotItsFault[] = {401, 403, 404, 405, 407, 408, 425, 426, 429};
  const bool waits = std::find(std::begin(kNotItsFault), std::end(kNotItsFault), status) != std::end(kNotItsFault);
  const bool refused = status >= 400 && status < 500 && !waits;
  return {refused ? Outcome::Kind::refused : Outcome::Kind::failed, why, std::nullopt};
}

Webhook::Webhook(const NotifyConfig& config, Transfers& transfers)
    : config_(config), transfers_(transfers), easy_(curl_easy_init(), curl_easy_cleanup) {}

Webhook::~Webhook() {
  transfers_.drop(easy_.get());
}

// What is read of an answer beyond the limit is of no use; its status has come already.
std::size_t Webhook::take(char* data, std::size_t size, std::size_t count, void* self) {
  std::string& answer = static_cast<Webhook*>(self)->answer_;
  const std::size_t bytes = size * count;
  if (answer.size() + bytes > kMaxAnswer) return 0;
  answer.append(data, bytes);
  return bytes;
}

bool Webhook::prepare(const QueuedDocument& document) {
  headers_.reset();
  bool ok = append(headers_, "Content-Type: application/json") &&
            append(headers_, "Idempotency-Key: " + document.head.id) &&
            append(headers_, "Expect:");  // no waiting for "100 Continue"
  for (const std::string& header : config_.webhook_headers) ok = ok && append(headers_, header);
  curl_easy_reset(easy_.get());
  CurlOptions options(easy_.get());
  options.set(CURLOPT_URL, config_.webhook.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  options.set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  options.set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set_common(options, config_.ca_file, kAnswerLimit);
  options.set(CURLOPT_FOLLOWLOCATION, 0L);
  options.set(CURLOPT_USERAGENT, "hallpass-notify");
  options.set(CURLOPT_HTTPHEADER, headers_.get());
  options.set(CURLOPT_POST, 1L);
  options.set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body_.size()));
  options.set(CURLOPT_POSTFIELDS, body_.data());
  options.set(CURLOPT_WRITEFUNCTION, &Webhook::take);
  options.set(CURLOPT_WRITEDATA, this);
  options.set(CURLOPT_ERRORBUFFER, fault_.data());
  return ok && options.ok();
}

Status Webhook::begin(const QueuedDocument& document, Moment now) {
  answer_.clear();
  fault_.fill('\0');
  body_ = document.json;
  if (config_.format != NotifyConfig::Format::json) {
    const Result<Message> message = message_of(document.json);
    if (!message) return message.error();
    body_ = config_.format == NotifyConfig::Format::slack ? slack_json(*message) : teams_json(*message);
  }
  if (!easy_ || !prepare(document) || !transfers_.begin(easy_.get())) {
    return Error{Errc::unavailable, "libcurl cannot be set up"};
  }
  look_again_ = now;
  return Unit{};
}

std::optional<Outcome> Webhook::outcome(Moment now) {
  look_again_ = now + kTransferLook;
  const std::optional<CURLcode> code = transfers_.ended(easy_.get());
  if (!code) return std::nullopt;
  return finished(*code);
}

// A receiver that has said 2xx has the document, whatever becomes of the rest of its answer.
Outcome Webhook::finished(CURLcode code) {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (code != CURLE_OK && (status < 200 || status == 0)) {
    const std::string_view detail = fault_.data();
    return {Outcome::Kind::failed, printable(detail.empty() ? curl_easy_strerror(code) : detail, kShownAnswer),
            std::nullopt};
  }
  Outcome outcome = outcome_of_status(status, answer_);
  curl_off_t later = 0;
  if (curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &later) == CURLE_OK && later > 0) {
    outcome.not_yet = Seconds{later};
  }
  return outcome;
}

}  // namespace hallpass
