// Alerts by HTTP: one POST each, the id as Idempotency-Key. 2xx has taken it. Redirects are not followed, certificates
// are checked, time and what is read of an answer are limited.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "notify/config.h"
#include "notify/receiver.h"

struct pollfd;

namespace hallpass {

inline constexpr Seconds kConnectLimit{10};
inline constexpr Seconds kAnswerLimit{20};
inline constexpr std::size_t kMaxAnswer = std::size_t{64} * 1024;

// What an HTTP status means for the alert.
Outcome outcome_of_status(long status, const std::string& answer);

class Webhook final : public Receiver {
 public:
  explicit Webhook(const NotifyConfig& config);
  ~Webhook() override;
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  Status begin(const QueuedAlert& alert, Moment now) override;
  std::optional<Outcome> outcome(Moment now) override;
  Moment look_again() const override { return look_again_; }

  // Waits for its own transfer and for `others`, at most so long.
  void wait(std::vector<pollfd>& others, int milliseconds);

 private:
  static std::size_t take(char* data, std::size_t size, std::size_t count, void* self);
  bool prepare(const QueuedAlert& alert);
  Outcome finished(CURLcode code);

  const NotifyConfig& config_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers_{nullptr, curl_slist_free_all};
  std::string answer_;
  std::array<char, CURL_ERROR_SIZE> fault_{};
  Moment look_again_{};
};

}  // namespace hallpass
