#include "tests/bench/fleet_followers.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "core/log/tiles.h"
#include "core/policy_trust.h"

namespace hallpass::bench {
namespace {

constexpr std::chrono::milliseconds kTimeout{20000};

HttpOptions http_options(const FollowersOptions& options) {
  HttpOptions http;
  http.token = options.token;
  http.ca_file = options.ca_file;
  return http;
}

Trust read_trust(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<Diagnostic> mistakes;
  const std::optional<Trust> trust = parse_trust(text, mistakes);
  if (trust && trust->log) return *trust;
  std::fprintf(stderr, "fleet_agents: %s is no trust.toml with [log]\n", path.c_str());
  std::exit(2);
}

}  // namespace

Followers::Followers(FollowersOptions options)
    : options_(std::move(options)), http_(http_options(options_)), positions_(options_.count) {
  const Trust trust = read_trust(options_.trust_file);
  trust_ = *trust.log;
  fleet_ = trust.fleet;
  thread_ = std::thread([this] { run(); });
}

Followers::~Followers() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Followers::follow(const std::string& note, std::uint64_t size) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    note_ = note;
    size_ = size;
  }
  changed_.notify_one();
}

void Followers::run() {
  while (true) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ending_ || !note_.empty(); });
    if (ending_) return;
    const std::string note = std::exchange(note_, {});
    const std::uint64_t size = size_;
    lock.unlock();
    advance_all(note, size);
  }
}

void Followers::advance_all(const std::string& note, std::uint64_t size) {
  std::uint64_t entries = 0, refused = 0;
  std::string why;
  for (LogPosition& position : positions_) {
    const Result<std::uint64_t> taken = advance_one(position, note);
    if (taken) {
      entries += *taken;
    } else {
      ++refused;
      why = taken.error().message;
    }
  }
  for (char& c : why) {
    if (c == '"' || c == '\\') c = '\'';
  }
  std::printf(
      "{\"event\":\"verified\",\"size\":%llu,\"followers\":%zu,\"entries\":%llu,\"refused\":%llu,\"why\":\"%s\"}\n",
      static_cast<unsigned long long>(size), positions_.size(), static_cast<unsigned long long>(entries),
      static_cast<unsigned long long>(refused), why.c_str());
}

Result<std::uint64_t> Followers::advance_one(LogPosition& position, const std::string& note) {
  const LogFiles files = [this](const std::string& path, std::size_t limit) -> Result<std::string> {
    const Result<HttpAnswer> answer = http_.get(options_.url + "/" + path, limit, kTimeout);
    if (!answer) return answer.error();
    if (answer->status == 404) return Error{Errc::not_found, path};
    if (answer->status != 200) return Error{Errc::unavailable, path + ": " + std::to_string(answer->status)};
    return answer->body;
  };
  std::optional<EpochHint> hint;
  if (position.origin.empty()) {
    const Result<std::string> text = files(std::string(kEpochHintPath), kMaxEpochHintBytes);
    if (!text) return text.error();
    if (const Result<EpochHint> parsed = parse_epoch_hint(*text)) hint = *parsed;
  }
  const auto result = advance(position, note, trust_, fleet_, files, hint);
  if (const auto* refusal = std::get_if<LogRefusal>(&result)) return Error{Errc::mismatch, refusal->message};
  const auto& taken = std::get<LogAdvance>(result);
  std::uint64_t count = 0;
  for (std::uint64_t at = taken.from; at < taken.head.checkpoint.size; at = (at / kTileWidth + 1) * kTileWidth) {
    const auto entries = entries_of(taken, at / kTileWidth, files);
    if (!entries) return entries.error();
    count += entries->size();
  }
  position = taken.next;
  return count;
}

}  // namespace hallpass::bench
