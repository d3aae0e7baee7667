#include "hub/fair_queue.h"

#include <utility>

namespace hallpass::hub {

void FairQueue::Side::push(const std::string& person, std::uint64_t body, Job job) {
  const auto [lane, new_lane] = lanes.try_emplace(person);
  if (new_lane) turns.push_back(person);
  const auto [jobs, new_body] = lane->second.bodies.try_emplace(body);
  if (new_body) lane->second.turns.push_back(body);
  jobs->second.push_back(std::move(job));
  ++lane->second.size;
  ++size;
}

FairQueue::Job FairQueue::Side::pop() {
  const std::string person = std::move(turns.front());
  turns.pop_front();
  Lane& lane = lanes.at(person);
  const std::uint64_t body = lane.turns.front();
  lane.turns.pop_front();
  std::deque<Job>& jobs = lane.bodies.at(body);
  Job job = std::move(jobs.front());
  jobs.pop_front();
  if (jobs.empty()) {
    lane.bodies.erase(body);
  } else {
    lane.turns.push_back(body);
  }
  --size;
  if (--lane.size == 0) {
    lanes.erase(person);
  } else {
    turns.push_back(person);
  }
  return job;
}

void FairQueue::push(const std::string& person, std::uint64_t body, bool urgent, Job job) {
  (urgent ? urgent_ : rest_).push(person, body, std::move(job));
}

std::optional<FairQueue::Job> FairQueue::pop() {
  if (size() == 0) return std::nullopt;
  const bool urgent = urgent_.size > 0 && (rest_.size == 0 || urgent_in_a_row_ < kUrgentInARow);
  urgent_in_a_row_ = urgent ? urgent_in_a_row_ + 1 : 0;
  return (urgent ? urgent_ : rest_).pop();
}

std::size_t FairQueue::waiting_for(const std::string& person) const {
  const auto lane = rest_.lanes.find(person);
  return lane == rest_.lanes.end() ? 0 : lane->second.size;
}

}  // namespace hallpass::hub
