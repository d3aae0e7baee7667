#include "hub/workers.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace hallpass::hub {
namespace {

// Below the thread that answers, so that a flood of signatures costs the senders time and nobody else.
constexpr int kNice = 5;

}  // namespace

Workers::Workers(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() {
  finish();
}

void Workers::finish() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool Workers::give(const std::string& person, std::uint64_t body, bool urgent, FairQueue::Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return false;
    queue_.push(person, body, urgent, std::move(job));
  }
  more_.notify_one();
  return true;
}

std::size_t Workers::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

std::size_t Workers::waiting_for(const std::string& person) const {
  const std::lock_guard lock(mutex_);
  return queue_.waiting_for(person);
}

void Workers::work() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  std::unique_lock lock(mutex_);
  while (true) {
    more_.wait(lock, [this] { return ending_ || queue_.size() > 0; });
    std::optional<FairQueue::Job> job = queue_.pop();
    if (!job) return;  // ending, and nothing is left
    lock.unlock();
    (*job)();
    job.reset();
    lock.lock();
  }
}

}  // namespace hallpass::hub
