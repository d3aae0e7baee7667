// The threads that verify and judge, so that the one that speaks HTTP never waits for either.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "hub/fair_queue.h"

namespace hallpass::hub {

class Workers {
 public:
  explicit Workers(unsigned threads);
  ~Workers();  // as finish()
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Any thread. As FairQueue::push. Jobs must not throw. False: finished, the job is dropped.
  bool give(const std::string& person, std::uint64_t body, bool urgent, FairQueue::Job job);
  void finish();  // does what was given, then ends the threads
  std::size_t waiting() const;
  std::size_t waiting_for(const std::string& person) const;

 private:
  void work();
  mutable std::mutex mutex_;
  std::condition_variable more_;
  FairQueue queue_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hallpass::hub
