#include "notify/webhook.h"

#include <poll.h>

#include <algorithm>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kShownAnswer = 200;
constexpr std::chrono::milliseconds kLook{500};  // libcurl's own timers want to be looked at

long in_ms(Seconds s) {
  return static_cast<long>(std::chrono::milliseconds(s).count());
}

}  // namespace

// 401, 403 and 404 mean that the receiver is not set up (yet): the alert can do nothing for it, so it waits.
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

Webhook::Webhook(const NotifyConfig& config) : config_(config), multi_(curl_multi_init()), easy_(curl_easy_init()) {}

Webhook::~Webhook() {
  if (multi_ != nullptr && easy_ != nullptr) curl_multi_remove_handle(multi_, easy_);
  curl_easy_cleanup(easy_);
  curl_multi_cleanup(multi_);
}

// What is read of an answer beyond the limit is of no use; its status has come already.
std::size_t Webhook::take(char* data, std::size_t size, std::size_t count, void* self) {
  std::string& answer = static_cast<Webhook*>(self)->answer_;
  const std::size_t bytes = size * count;
  if (answer.size() + bytes > kMaxAnswer) return 0;
  answer.append(data, bytes);
  return bytes;
}

bool Webhook::prepare(const QueuedAlert& alert) {
  curl_slist* list = nullptr;
  bool ok = true;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    ok = ok && longer != nullptr;
    if (longer != nullptr) list = longer;
  };
  add("Content-Type: application/json");
  add("Idempotency-Key: " + alert.head.id);
  add("Expect:");  // no waiting for "100 Continue"
  for (const std::string& header : config_.webhook_headers) add(header);
  headers_.reset(list);
  const auto set = [&](CURLoption option, auto value) {
    ok = ok && curl_easy_setopt(easy_, option, value) == CURLE_OK;
  };
  curl_easy_reset(easy_);
  set(CURLOPT_URL, config_.webhook.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!config_.ca_file.empty()) {
    set(CURLOPT_CAINFO, config_.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "hallpass-notify");
  set(CURLOPT_CONNECTTIMEOUT_MS, in_ms(kConnectLimit));
  set(CURLOPT_TIMEOUT_MS, in_ms(kAnswerLimit));
  set(CURLOPT_HTTPHEADER, headers_.get());
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE, static_cast<long>(alert.json.size()));
  set(CURLOPT_POSTFIELDS, alert.json.data());
  set(CURLOPT_WRITEFUNCTION, &Webhook::take);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_ERRORBUFFER, fault_.data());
  return ok;
}

Status Webhook::begin(const QueuedAlert& alert, Moment now) {
  answer_.clear();
  fault_.fill('\0');
  if (multi_ == nullptr || easy_ == nullptr || !prepare(alert) || curl_multi_add_handle(multi_, easy_) != CURLM_OK) {
    return Error{Errc::unavailable, "libcurl cannot be set up"};
  }
  look_again_ = now;
  return Unit{};
}

std::optional<Outcome> Webhook::outcome(Moment now) {
  int running = 0, left = 0;
  curl_multi_perform(multi_, &running);
  look_again_ = now + kLook;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    const Outcome result = finished(code);
    curl_multi_remove_handle(multi_, easy_);
    return result;
  }
  return std::nullopt;
}

// A receiver that has said 2xx has the alert, whatever becomes of the rest of its answer.
Outcome Webhook::finished(CURLcode code) {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  if (code != CURLE_OK && (status < 200 || status == 0)) {
    const std::string_view detail = fault_.data();
    return {Outcome::Kind::failed, printable(detail.empty() ? curl_easy_strerror(code) : detail, kShownAnswer),
            std::nullopt};
  }
  Outcome outcome = outcome_of_status(status, answer_);
  curl_off_t later = 0;
  if (curl_easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &later) == CURLE_OK && later > 0) outcome.not_yet = Seconds{later};
  return outcome;
}

void Webhook::wait(std::vector<pollfd>& others, int milliseconds) {
  std::vector<curl_waitfd> extra;
  for (const pollfd& p : others) extra.push_back({p.fd, CURL_WAIT_POLLIN, 0});
  curl_multi_poll(multi_, extra.data(), static_cast<unsigned>(extra.size()), milliseconds, nullptr);
  for (std::size_t i = 0; i < others.size(); ++i) others[i].revents = extra[i].revents != 0 ? POLLIN : 0;
}

}  // namespace hallpass
