// Whose turn it is: work that waits, taken in turn by person and, of one person, in turn by body, so that nobody waits
// behind another's flood. Urgent work (revocations) goes before the rest, but never starves it. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace hallpass::hub {

class FairQueue {
 public:
  using Job = std::function<void()>;
  // `person` is who it claims to be from, `body` what it came in: work that somebody puts into another's name waits in
  // a body of its own.
  void push(const std::string& person, std::uint64_t body, bool urgent, Job job);
  std::optional<Job> pop();
  std::size_t size() const { return urgent_.size + rest_.size; }
  std::size_t waiting_for(const std::string& person) const;  // urgent work not counted

 private:
  static constexpr int kUrgentInARow = 4;
  struct Lane {
    std::map<std::uint64_t, std::deque<Job>> bodies;
    std::deque<std::uint64_t> turns;
    std::size_t size = 0;
  };
  struct Side {
    std::map<std::string, Lane> lanes;
    std::deque<std::string> turns;
    std::size_t size = 0;
    void push(const std::string& person, std::uint64_t body, Job job);
    Job pop();
  };
  Side urgent_, rest_;
  int urgent_in_a_row_ = 0;
};

}  // namespace hallpass::hub
