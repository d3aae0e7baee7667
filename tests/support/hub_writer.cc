// Drives the hub's store and sequencer without HTTP, for tests that kill it.
//   hub_writer DIR init           makes DIR/log, DIR/state and keys; prints "vkey KEY" twice, the log's first
//   hub_writer DIR run STEP…      one append after the other: a number of entries, or "policy"; ends when all are in
//   hub_writer DIR load THREADS   groups of 1 to 64 entries by so many threads, until it is killed
// On standard output, each line written at once: "restored COUNT FIRST" of the entries read at the start, "head HEX" of
// each note published, and "ack INDEX LEAFHASH" of each entry acknowledged. Exit status 3: the log has stopped (why: on
// standard error); 2: it did not start.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/dsse.h"
#include "core/hash.h"
#include "core/log/merkle.h"
#include "core/policy_trust.h"
#include "hub/log_init.h"
#include "hub/sequencer_thread.h"

namespace {

using namespace hallpass;       // NOLINT(google-build-using-namespace)
using namespace hallpass::hub;  // NOLINT(google-build-using-namespace)

void say(const std::string& lines) {
  if (write(STDOUT_FILENO, lines.data(), lines.size()) < 0) std::abort();
}

[[noreturn]] void fail(int status, const std::string& why) {
  std::fprintf(stderr, "hub_writer: %s\n", why.c_str());
  std::_Exit(status);
}

LogInit init_at(const std::string& dir) {
  return {dir + "/log", dir + "/state", dir + "/log.key", dir + "/witness.key", "log.test/crash", "", ""};
}

NoteSigner key(const std::string& path, NoteKeyType type) {
  Result<NoteSigner> loaded = load_note_key(path, type);
  if (!loaded) fail(2, loaded.error().message);
  return *loaded;
}

SequencerOptions options_at(const std::string& dir) {
  const LogInit init = init_at(dir);
  const NoteSigner witness = key(init.witness_key, NoteKeyType::cosignature);
  StoreOptions store{init.log_dir, init.state_dir, key(init.log_key, NoteKeyType::ed25519), witness.verifier(),
                     "acme-prod"};
  SequencerOptions options{store, witness, {}, {}, Seconds{60}, {}, {}, {}, {}, {}};
  options.now = [] { return std::chrono::time_point_cast<Seconds>(std::chrono::system_clock::now()); };
  options.witness_post = http_witness_post();
  options.tell = [](int priority, const std::string& what) {
    std::fprintf(stderr, "<%d>%s\n", priority, what.c_str());
  };
  return options;
}

std::string entry() {
  static std::atomic<unsigned> number{0};
  thread_local std::mt19937 random(std::random_device{}());
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return "entry " + std::to_string(getpid()) + " " + std::to_string(now) + " " + std::to_string(number++) +
         std::string(random() % 500, '.');
}

std::pair<std::string, std::string> policy(std::int64_t version) {
  const std::string toml = "version = " + std::to_string(version) + "\n";
  const std::string payload = policy_payload("acme-prod", version, sha256(toml));
  Envelope envelope{std::string(kPolicyPayloadType), Bytes(payload.begin(), payload.end()), {{"test", Bytes(80, 7)}}};
  return {toml, format_envelope(envelope)};
}

std::string acks(const std::vector<std::string>& entries, std::uint64_t first) {
  std::string lines;
  for (const std::string& e : entries) {
    lines += "ack " + std::to_string(first++) + " " + hex_encode(leaf_hash(as_bytes(e)).bytes) + "\n";
  }
  return lines;
}

// Appends and waits for the answer; ends the process when the log has stopped.
class Appender {
 public:
  explicit Appender(Sequencer& sequencer) : sequencer_(sequencer) {}
  void entries(std::size_t count) {
    std::vector<std::string> list;
    for (std::size_t i = 0; i < count; ++i) list.push_back(entry());
    sequencer_.append(list, done(list));
    wait();
  }
  void policy(std::int64_t version) {
    const auto [toml, sig] = ::policy(version);
    sequencer_.append_policy(toml, sig, done({sig}));
    wait();
  }

 private:
  Sequencer::Done done(std::vector<std::string> list) {
    ready_ = false;
    return [this, list = std::move(list)](const Result<std::uint64_t>& first) {
      if (!first) fail(3, first.error().message);
      say(acks(list, *first));
      const std::lock_guard<std::mutex> lock(mutex_);
      ready_ = true;
      changed_.notify_one();
    };
  }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ready_; });
  }
  Sequencer& sequencer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ready_ = false;
};

std::unique_ptr<SequencerThread> begin(const std::string& dir) {
  std::uint64_t count = 0, first = 0;
  const EachEntry each = [&](std::uint64_t index, std::string_view) {
    if (count++ == 0) first = index;
  };
  Result<std::unique_ptr<SequencerThread>> opened = SequencerThread::open(options_at(dir), each);
  if (!opened) fail(2, opened.error().message);
  say("restored " + std::to_string(count) + " " + std::to_string(first) + "\n");
  const auto tell = [](const std::shared_ptr<const Published>& head) {
    say("head " + hex_encode(as_bytes(head->note)) + "\n");
  };
  tell((*opened)->published());
  (*opened)->on_published(tell);
  return std::move(*opened);
}

int run(const std::string& dir, char** steps) {
  const auto log = begin(dir);
  std::int64_t version = 0;
  for (const PolicyHint& p : log->policies()) version = std::max(version, p.version);
  log->start();
  Appender appender(*log);
  for (; *steps != nullptr; ++steps) {
    const std::string step = *steps;
    if (step == "policy") {
      appender.policy(++version);
    } else {
      appender.entries(static_cast<std::size_t>(std::atol(step.c_str())));
    }
  }
  return 0;
}

int load(const std::string& dir, int threads) {
  const auto log = begin(dir);
  log->start();
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&log] {
      std::mt19937 random(std::random_device{}());
      Appender appender(*log);
      while (true) appender.entries(random() % 4 != 0 ? 1 : 1 + random() % 64);
    });
  }
  for (std::thread& t : all) t.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) fail(2, "hub_writer DIR init|run|load …");
  const std::string dir = argv[1], what = argv[2];
  if (what == "run") return run(dir, argv + 3);
  if (what == "load" && argc > 3) return load(dir, std::atoi(argv[3]));
  const Result<std::string> made = init_log(init_at(dir));
  if (!made) fail(2, made.error().message);
  say("vkey " + key(dir + "/log.key", NoteKeyType::ed25519).verifier().text() + "\nvkey " +
      key(dir + "/witness.key", NoteKeyType::cosignature).verifier().text() + "\n");
  return 0;
}
