// Statements a second that the hub makes durable, one by one and 64 at a time, beside bare flushes of the same number
// of files: what the disk alone takes. Prints the ratio and exits 1 when it is over its limit.
//   bench_hub_store [DIRECTORY]   on the disk to be measured; default /var/tmp
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "hub/log_init.h"
#include "hub/sequencer_thread.h"

namespace {

using namespace hallpass;       // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;  // NOLINT(google-build-using-namespace)
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 10, kBatches = 20;
constexpr std::size_t kStatementBytes = 1400;  // an approval by an Ed25519 key
constexpr double kLimit = 4.0;

void must(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "bench_hub_store: %s\n", what.c_str());
  std::exit(2);
}

double milliseconds(Clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Log {
 public:
  explicit Log(const std::string& dir) {
    const LogInit init{dir + "/log", dir + "/state", dir + "/log.key", dir + "/witness.key", "log.bench/hub", "", ""};
    const auto made = init_log(init);
    must(made.has_value(), made ? "" : made.error().message);
    const NoteSigner key = *load_note_key(init.log_key, NoteKeyType::ed25519);
    const NoteSigner witness = *load_note_key(init.witness_key, NoteKeyType::cosignature);
    SequencerOptions options{{init.log_dir, init.state_dir, key, witness.verifier(), "bench"},
                             witness,
                             {},
                             {},
                             Seconds{3600},
                             {},
                             {},
                             {},
                             {},
                             {}};
    options.now = [] { return std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now()); };
    options.witness_post = http_witness_post();
    options.tell = [](int, const std::string& what) { std::fprintf(stderr, "%s\n", what.c_str()); };
    auto opened = SequencerThread::open(std::move(options), {});
    must(opened.has_value(), opened ? "" : opened.error().message);
    log_ = *std::move(opened);
    log_->start();
  }

  // Appends and waits for the answer.
  void append(std::size_t count) {
    std::vector<std::string> entries(count, std::string(kStatementBytes, 's'));
    for (std::string& entry : entries) entry += std::to_string(number_++);
    bool done = false;
    log_->append(std::move(entries), [&](const Result<std::uint64_t>& first) {
      must(first.has_value(), "the log has stopped");
      const std::lock_guard<std::mutex> lock(mutex_);
      done = true;
      changed_.notify_one();
    });
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return done; });
  }
  std::uint64_t fsyncs() const { return log_->counts().fsyncs; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<SequencerThread> log_;
  std::uint64_t number_ = 0;
};

// What any durable writing of new files does at the least: each flushed, and the directory that got its name.
void bare_flushes(const std::string& dir, std::uint64_t fsyncs) {
  static std::uint64_t number = 0;
  const int folder = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::string content(kStatementBytes, 'b');
  for (std::uint64_t i = 0; i + 1 < fsyncs; i += 2) {
    const int file = openat(folder, std::to_string(number++).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    must(file >= 0 && write(file, content.data(), content.size()) > 0, "cannot write");
    must(fsync(file) == 0 && fsync(folder) == 0, "cannot flush");
    close(file);
  }
  close(folder);
}

// Turn about, so that what else the disk does falls on both.
bool compare(Log& log, const std::string& dir, std::size_t batch) {
  std::vector<double> ours, bare;
  const std::uint64_t fsyncs_before = log.fsyncs();
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t before = log.fsyncs();
    const auto begin = Clock::now();
    for (int i = 0; i < kBatches; ++i) log.append(batch);
    const auto middle = Clock::now();
    bare_flushes(dir, log.fsyncs() - before);
    ours.push_back(milliseconds(middle - begin) / kBatches);
    bare.push_back(milliseconds(Clock::now() - middle) / kBatches);
  }
  const double flushes = static_cast<double>(log.fsyncs() - fsyncs_before) / (kRounds * kBatches);
  const double ratio = median(ours) / median(bare);
  std::printf("batch of %2zu: %7.0f statements/s, %.2f ms a batch; bare: %.2f ms for %.1f flushes\n", batch,
              1000 * static_cast<double>(batch) / median(ours), median(ours), median(bare), flushes);
  std::printf("ratio hub_store/%zu %.2f (limit %.2f)%s\n", batch, ratio, kLimit, ratio > kLimit ? "  OVER" : "");
  return ratio <= kLimit;
}

}  // namespace

int main(int argc, char** argv) {
  std::string dir = std::string(argc > 1 ? argv[1] : "/var/tmp") + "/hallpass-bench-XXXXXX";
  must(mkdtemp(dir.data()) != nullptr, "cannot make a directory there");
  const std::string plain = dir + "/plain";
  must(std::filesystem::create_directory(plain), "cannot make a directory there");
  bool good = true;
  {
    Log log(dir);
    for (int i = 0; i < kBatches; ++i) log.append(1);  // warm
    for (const std::size_t batch : {1U, 64U}) good = compare(log, plain, batch) && good;
  }
  std::filesystem::remove_all(dir);
  return good ? 0 : 1;
}
