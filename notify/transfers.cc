#include "notify/transfers.h"

#include <poll.h>

namespace hallpass {
namespace {

long in_ms(Seconds s) {
  return static_cast<long>(std::chrono::milliseconds(s).count());
}

}  // namespace

bool append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) return false;
  static_cast<void>(list.release());  // it is part of the longer one
  list.reset(longer);
  return true;
}

void set_common(CurlOptions& options, const std::string& ca_file, Seconds limit) {
  options.set(CURLOPT_SSL_VERIFYPEER, 1L);
  options.set(CURLOPT_SSL_VERIFYHOST, 2L);
  options.set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!ca_file.empty()) {
    options.set(CURLOPT_CAINFO, ca_file.c_str());
    options.set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  options.set(CURLOPT_NOSIGNAL, 1L);
  options.set(CURLOPT_CONNECTTIMEOUT_MS, in_ms(kConnectLimit));
  options.set(CURLOPT_TIMEOUT_MS, in_ms(limit));
}

Transfers::Transfers() : multi_(curl_multi_init()) {}

Transfers::~Transfers() {
  for (const auto& [easy, code] : running_) {
    if (!code) curl_multi_remove_handle(multi_, easy);
  }
  curl_multi_cleanup(multi_);
}

bool Transfers::begin(CURL* easy) {
  if (multi_ == nullptr || curl_multi_add_handle(multi_, easy) != CURLM_OK) return false;
  running_[easy].reset();
  return true;
}

std::optional<CURLcode> Transfers::ended(CURL* easy) {
  int running = 0, left = 0;
  curl_multi_perform(multi_, &running);
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const done = message->easy_handle;
    running_[done] = message->data.result;  // `message` dies with the next line
    curl_multi_remove_handle(multi_, done);
  }
  const auto found = running_.find(easy);
  if (found == running_.end() || !found->second) return std::nullopt;
  const CURLcode code = *found->second;
  running_.erase(found);
  return code;
}

void Transfers::drop(CURL* easy) {
  const auto found = running_.find(easy);
  if (found == running_.end()) return;
  if (!found->second) curl_multi_remove_handle(multi_, easy);
  running_.erase(found);
}

void Transfers::wait(std::vector<pollfd>& others, int milliseconds) {
  std::vector<curl_waitfd> extra;
  for (const pollfd& p : others) extra.push_back({p.fd, CURL_WAIT_POLLIN, 0});
  curl_multi_poll(multi_, extra.data(), static_cast<unsigned>(extra.size()), milliseconds, nullptr);
  for (std::size_t i = 0; i < others.size(); ++i) others[i].revents = extra[i].revents != 0 ? POLLIN : 0;
}

}  // namespace hallpass
