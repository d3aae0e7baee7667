// What the hub counts, as Prometheus text. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace hallpass::hub {

struct Gauges {
  std::uint64_t log_size = 0;
  std::int64_t cosigned_at = 0;  // Unix time
  std::int64_t policy_version = 0;
  std::size_t statements = 0, grants = 0;  // live
  std::size_t waiting = 0;                 // lines that wait to be verified
  std::size_t connections = 0, polls = 0;
  std::uint64_t batches = 0, flushes = 0;              // of the log, since the start
  std::uint64_t notices_queued = 0, notices_lost = 0;  // likewise
  bool stopped = false;
};

class Metrics {
 public:
  void answered(int status);
  void taken() { ++taken_; }
  void known() { ++known_; }
  void refused(const std::string& code);
  void long_poll_woken() { ++woken_; }
  void connection_refused() { ++connections_refused_; }
  void durable_after(double seconds);  // from the body's arrival to the answer
  std::string text(const Gauges& gauges) const;

 private:
  static constexpr std::array<double, 9> kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};
  std::atomic<std::uint64_t> taken_{0}, known_{0}, woken_{0}, connections_refused_{0};
  mutable std::mutex mutex_;
  std::map<int, std::uint64_t> answers_;
  std::map<std::string, std::uint64_t> refusals_;
  std::array<std::uint64_t, kBounds.size()> within_{};
  std::uint64_t durable_count_ = 0;
  double durable_sum_ = 0;
};

}  // namespace hallpass::hub
