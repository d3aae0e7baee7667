// Documents by HTTP: one POST each, the id as Idempotency-Key. 2xx has taken it. Redirects are not followed,
// certificates are checked, time and what is read of an answer are limited.
#pragma once

#include <array>
#include <string>

#include "notify/config.h"
#include "notify/receiver.h"
#include "notify/transfers.h"

namespace hallpass {

inline constexpr Seconds kAnswerLimit{20};
inline constexpr std::size_t kMaxAnswer = std::size_t{64} * 1024;

// What an HTTP status means for the document.
Outcome outcome_of_status(long status, const std::string& answer);

class Webhook final : public Receiver {
 public:
  Webhook(const NotifyConfig& config, Transfers& transfers);
  ~Webhook() override;
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  Status begin(const QueuedDocument& document, Moment now) override;
  std::optional<Outcome> outcome(Moment now) override;
  Moment look_again() const override { return look_again_; }

 private:
  static std::size_t take(char* data, std::size_t size, std::size_t count, void* self);
  bool prepare(const QueuedDocument& document);
  Outcome finished(CURLcode code);

  const NotifyConfig& config_;
  Transfers& transfers_;
  EasyHandle easy_;
  HeaderList headers_{nullptr, curl_slist_free_all};
  std::string body_, answer_;
  std::array<char, CURL_ERROR_SIZE> fault_{};
  Moment look_again_{};
};

}  // namespace hallpass
