// libcurl's transfers of one program: any number at a time, none of which blocks.
#pragma once

#include <curl/curl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "notify/courier.h"

struct pollfd;

namespace hallpass {

inline constexpr Seconds kConnectLimit{10};
inline constexpr std::chrono::milliseconds kTransferLook{500};  // libcurl's own timers want to be looked at

using EasyHandle = std::unique_ptr<CURL, void (*)(CURL*)>;
using HeaderList = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;
// False, and the list as it was: no memory.
bool append(HeaderList& list, const std::string& line);

// Sets options and remembers whether each was taken.
class CurlOptions {
 public:
  explicit CurlOptions(CURL* easy) : easy_(easy) {}
  template <class T>
  void set(CURLoption option, T value) {
    ok_ = ok_ && curl_easy_setopt(easy_, option, value) == CURLE_OK;
  }
  bool ok() const { return ok_; }

 private:
  CURL* easy_;
  bool ok_ = true;
};
// What holds for each: certificates are verified (`ca_file` instead of the system's authorities unless empty), TLS 1.2
// at least, no signals, limits of time.
void set_common(CurlOptions& options, const std::string& ca_file, Seconds limit);

class Transfers {
 public:
  Transfers();
  ~Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  // `easy` is borrowed until its end was taken or it was dropped. False: libcurl cannot.
  bool begin(CURL* easy);
  // nullopt: not yet. Asking lets all transfers go on.
  std::optional<CURLcode> ended(CURL* easy);
  void drop(CURL* easy);
  // Waits for the transfers and for `others`, at most so long.
  void wait(std::vector<pollfd>& others, int milliseconds);

 private:
  CURLM* multi_;
  std::map<CURL*, std::optional<CURLcode>> running_;
};

}  // namespace hallpass
