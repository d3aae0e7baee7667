// Notices into the durable queue that hallpass-notify delivers from, in an instance of its own beside the hub.
//
// A notice has the id of what it tells, about which grant, to whom: it is queued once, though the hub be told twice of
// the same statement, or again after a restart. What is taken is told after it is durable in the log, so a crash
// between the two leaves it untold: whoever starts again may call taken() once more for what came last. A crash between
// queue and memory queues a notice a second time, under its id.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "hub/notices.h"
#include "hub/told.h"
#include "notify/queue.h"

namespace hallpass::hub {

inline constexpr char kNoticeDirectory[] = "/var/spool/hallpass-hub/notices";

class NoticesQueue final : public Notices {
 public:
  struct Settings {
    std::string directory = kNoticeDirectory;
    std::string state = "/var/lib/hallpass-hub/state";      // notice-number and notices-told lie there
    std::function<void(int priority, std::string)> tell{};  // syslog's priorities; any thread
  };
  struct Counts {
    std::uint64_t queued = 0, known = 0, lost = 0;
  };

  NoticesQueue(Settings settings, UnixTime now);

  // Any thread, one at a time; waits for the disk.
  void taken(const Statement& taken, const Judgement& before, const Judgement& after, const Request& request,
             const Policy& policy, UnixTime now) override;
  Counts counts() const { return {queued_, known_, lost_}; }
  // Notices that wait to be delivered; nullopt: there is no queue.
  std::optional<std::size_t> waiting() const { return queue_.waiting(); }

 private:
  void put(const std::vector<std::string>& ids, const std::vector<std::string>& documents, UnixTime now);
  void trouble(const Error& error, UnixTime now);

  Settings settings_;
  std::mutex mutex_;
  DocumentQueue queue_;
  Told told_;
  std::atomic<std::uint64_t> queued_{0}, known_{0}, lost_{0};
  std::optional<UnixTime> trouble_told_;
};

}  // namespace hallpass::hub
