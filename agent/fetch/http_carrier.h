// A hub, or a server of plain files, at a URL.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "agent/fetch/carrier.h"
#include "agent/fetch/config.h"
#include "core/net/http.h"

namespace hallpass {

class HttpCarrier : public Carrier {
 public:
  // keep_waiting: asked about every 200 ms; false gives up what is under way.
  HttpCarrier(const FetchConfig& config, SourceUrl url, std::function<bool()> keep_waiting);

  Result<std::string> file(const std::string& path, std::size_t limit) override;

  // The newest checkpoint. `wait`: a hub answers when its log has more than `after` entries, or after about 50 s.
  // `until_told`, besides keep_waiting, gives up the wait. Errors as of file().
  Result<std::string> head(std::uint64_t after, bool wait, const std::function<bool()>& until_told = {});
  // It knows no waiting (for now): to be asked every `poll`. Known after the first head() that waits.
  bool plain() const { return std::chrono::steady_clock::now() < plain_until_; }
  // Something was asked of it since the start, or since renew().
  bool connected() const { return client_ != nullptr; }
  const SourceUrl& url() const { return url_; }
  std::size_t received() const { return received_; }  // bytes over the wire since the start
  // The next request begins with a new connection and a token read anew.
  void renew() {
    client_.reset();
    plain_until_ = {};
  }

 private:
  Result<std::string> get(const std::string& path, std::size_t limit, std::chrono::milliseconds timeout,
                          const std::function<bool()>& keep_waiting, int* status = nullptr);
  Status connect();
  const FetchConfig& config_;
  SourceUrl url_;
  std::function<bool()> keep_waiting_;
  std::unique_ptr<HttpClient> client_;
  std::chrono::steady_clock::time_point plain_until_{};
  std::size_t received_ = 0;
};

}  // namespace hallpass
