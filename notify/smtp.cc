#include "notify/smtp.h"

#include <algorithm>

#include "core/values/text.h"
#include "notify/mail.h"

namespace hallpass {
namespace {

constexpr std::size_t kShown = 200;

// That we may not send, or not so: nothing that this e-mail could help.
constexpr long kNotItsFault[] = {500, 502, 503, 504, 521, 530, 534, 535, 538};

}  // namespace

Outcome outcome_of_mail(CURLcode code, long answer, std::string_view fault) {
  if (code == CURLE_OK) return {Outcome::Kind::delivered, "", std::nullopt};
  std::string why = printable(fault.empty() ? curl_easy_strerror(code) : fault, kShown);
  const bool ours = std::find(std::begin(kNotItsFault), std::end(kNotItsFault), answer) != std::end(kNotItsFault);
  const bool refused = answer >= 500 && answer < 600 && !ours && code != CURLE_LOGIN_DENIED &&
                       code != CURLE_USE_SSL_FAILED && code != CURLE_OPERATION_TIMEDOUT;
  if (answer >= 400) why = "it answers " + std::to_string(answer) + " (" + why + ")";
  return {refused ? Outcome::Kind::refused : Outcome::Kind::failed, why, std::nullopt};
}

Smtp::Smtp(const EmailConfig& config, const std::string& ca_file, std::string to, Transfers& transfers, int& running)
    : config_(config), ca_file_(ca_file), to_(std::move(to)), transfers_(transfers), running_(running) {}

Smtp::~Smtp() {
  close();
}

void Smtp::close() {
  if (!easy_) return;
  transfers_.drop(easy_.get());
  easy_.reset();
  --running_;
}

std::size_t Smtp::give(char* into, std::size_t size, std::size_t count, void* self) {
  Smtp& smtp = *static_cast<Smtp*>(self);
  const std::size_t bytes = std::min(size * count, smtp.mail_.size() - smtp.given_);
  std::copy_n(smtp.mail_.data() + smtp.given_, bytes, into);
  smtp.given_ += bytes;
  return bytes;
}

bool Smtp::prepare() {
  recipients_.reset();
  if (!append(recipients_, "<" + to_ + ">")) return false;
  CurlOptions options(easy_.get());
  options.set(CURLOPT_URL, config_.server.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  options.set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
  options.set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
  set_common(options, ca_file_, kMailLimit);
  // An attacker on the way who leaves STARTTLS out of the server's answer gets nothing.
  options.set(CURLOPT_USE_SSL, static_cast<long>(config_.allow_plain ? CURLUSESSL_NONE : CURLUSESSL_ALL));
  if (!config_.user.empty()) {
    options.set(CURLOPT_USERNAME, config_.user.c_str());
    options.set(CURLOPT_PASSWORD, config_.password.c_str());
  }
  const std::string from = "<" + config_.from + ">";  // copied by libcurl
  options.set(CURLOPT_MAIL_FROM, from.c_str());
  options.set(CURLOPT_MAIL_RCPT, recipients_.get());
  options.set(CURLOPT_UPLOAD, 1L);
  options.set(CURLOPT_READFUNCTION, &Smtp::give);
  options.set(CURLOPT_READDATA, this);
  options.set(CURLOPT_FORBID_REUSE, 1L);  // servers close idle connections, and one e-mail too many finds out
  options.set(CURLOPT_ERRORBUFFER, fault_.data());
  return options.ok();
}

Status Smtp::begin(const QueuedDocument& document, Moment now) {
  const Result<Message> message = message_of(document.json);
  if (!message) return message.error();
  mail_ = mail_of(*message, config_.from, to_);
  given_ = 0;
  fault_.fill('\0');
  easy_.reset(curl_easy_init());
  if (!easy_) return Error{Errc::unavailable, "libcurl cannot be set up"};
  ++running_;
  if (!prepare() || !transfers_.begin(easy_.get())) {
    close();
    return Error{Errc::unavailable, "libcurl cannot be set up"};
  }
  look_again_ = now;
  return Unit{};
}

std::optional<Outcome> Smtp::outcome(Moment now) {
  look_again_ = now + kTransferLook;
  const std::optional<CURLcode> code = transfers_.ended(easy_.get());
  if (!code) return std::nullopt;
  long answer = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &answer);
  const Outcome result = outcome_of_mail(*code, answer, fault_.data());
  close();
  return result;
}

}  // namespace hallpass
