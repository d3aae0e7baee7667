// Readers of a log beside the polling agents: each follows it by its own position and verifies every new entry, as the
// fetcher does. On a thread of their own, so that they do not delay those whose answers are timed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/log/follower.h"
#include "core/net/http.h"

namespace hallpass::bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct FollowersOptions {
  std::string url, token, ca_file, trust_file;
  std::size_t count = 1;
};

class Followers {
 public:
  // Ends the program when the trust file is no good.
  explicit Followers(FollowersOptions options);
  ~Followers();

  // All follow to this head; of several that come meanwhile the newest counts. Each prints when it is done.
  void follow(const std::string& note, std::uint64_t size);

 private:
  void run();
  void advance_all(const std::string& note, std::uint64_t size);
  // How many entries; a sentence when something was refused.
  Result<std::uint64_t> advance_one(LogPosition& position, const std::string& note);

  FollowersOptions options_;
  HttpClient http_;
  LogTrust trust_;
  std::string fleet_;
  std::vector<LogPosition> positions_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string note_;
  std::uint64_t size_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace hallpass::bench
