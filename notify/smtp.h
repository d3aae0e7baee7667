// Documents by e-mail: one recipient, one e-mail each, through one server (RFC 5321). An answer of 4xx is tried again;
// 5xx is refused, but for those that mean our own account.
#pragma once

#include <array>
#include <string>

#include "notify/config.h"
#include "notify/receiver.h"
#include "notify/transfers.h"

namespace hallpass {

inline constexpr Seconds kMailLimit{60};
inline constexpr int kMaxMailsAtOnce = 4;

// What the server's last answer means. `fault`: libcurl's words; may be empty.
Outcome outcome_of_mail(CURLcode code, long answer, std::string_view fault);

class Smtp final : public Receiver {
 public:
  // running: e-mails on their way in the whole program.
  Smtp(const EmailConfig& config, const std::string& ca_file, std::string to, Transfers& transfers, int& running);
  ~Smtp() override;
  Smtp(const Smtp&) = delete;
  Smtp& operator=(const Smtp&) = delete;

  bool ready() const override { return running_ < kMaxMailsAtOnce; }
  Status begin(const QueuedDocument& document, Moment now) override;
  std::optional<Outcome> outcome(Moment now) override;
  Moment look_again() const override { return look_again_; }

 private:
  static std::size_t give(char* into, std::size_t size, std::size_t count, void* self);
  bool prepare();
  void close();

  const EmailConfig& config_;
  const std::string& ca_file_;
  std::string to_;
  Transfers& transfers_;
  int& running_;
  EasyHandle easy_{nullptr, curl_easy_cleanup};
  HeaderList recipients_{nullptr, curl_slist_free_all};
  std::string mail_;
  std::size_t given_ = 0;
  std::array<char, CURL_ERROR_SIZE> fault_{};
  Moment look_again_{};
};

}  // namespace hallpass
