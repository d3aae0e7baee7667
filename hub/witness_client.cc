#include "hub/witness_client.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/values/text.h"

namespace hallpass::hub {
namespace {

constexpr std::size_t kMaxAnswerBytes = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds kRequestLimit{5000};
constexpr std::chrono::seconds kFirstRetry{1}, kLongestRetry{30};
constexpr int kWarning = 4, kNotice = 5, kAlert = 1;

std::optional<std::uint64_t> read_size(std::string_view body) {
  std::uint64_t size = 0;
  if (body.empty() || body.back() != '\n') return std::nullopt;
  body.remove_suffix(1);
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), size);
  if (error != std::errc() || end != body.data() + body.size()) return std::nullopt;
  return size;
}

std::string endpoint(std::string url) {
  while (!url.empty() && url.back() == '/') url.pop_back();
  return url + "/add-checkpoint";
}

}  // namespace

Result<std::string> add_checkpoint_body(std::uint64_t old_size, const LogHead& head, const LogFiles& files) {
  std::string body = "old " + std::to_string(old_size) + "\n";
  if (old_size > 0 && old_size < head.checkpoint.size) {
    const Result<std::vector<Digest>> proof = TileReader(files, head.checkpoint.size).consistency_proof(old_size);
    if (!proof) return proof.error();
    for (const Digest& hash : *proof) body += base64_encode(hash.bytes) + "\n";
  }
  return body + "\n" + head.note;
}

Result<std::string> cosignature_in(std::string_view answer, const LogHead& head, const NoteKey& key) {
  const std::string text = format_checkpoint(head.checkpoint);
  Error last{Errc::unknown_key, "its answer holds no signature by " + printable(key.name, 80)};
  while (!answer.empty()) {
    const std::size_t end = std::min(answer.find('\n'), answer.size());
    const std::string line = std::string(answer.substr(0, end)) + "\n";
    answer.remove_prefix(std::min(end + 1, answer.size()));
    const Result<Note> opened = open_note(text + "\n" + line, {&key, 1});
    if (opened) return line;
    if (opened.error().code != Errc::unknown_key) last = opened.error();
  }
  return last;
}

std::function<WitnessPost()> http_witness_post() {
  return [] {
    HttpOptions options;
    options.user_agent = "hallpass-hub";
    options.connect_timeout = kRequestLimit;
    const auto client = std::make_shared<HttpClient>(options);
    return [client](const std::string& url, std::string_view body) {
      return client->post(url, "text/plain; charset=utf-8", body, kMaxAnswerBytes, kRequestLimit);
    };
  };
}

struct Witnesses::Shared {
  mutable std::mutex mutex;
  std::condition_variable changed;
  WitnessSeams seams;
};

// One witness: its thread, and under Shared::mutex what passes between that and the log.
class Witnesses::Client {
 public:
  Client(std::shared_ptr<Shared> shared, WitnessConfig config)
      : shared_(std::move(shared)), config_(std::move(config)), thread_([this] { run(); }) {}
  ~Client() {
    {
      const std::lock_guard<std::mutex> lock(shared_->mutex);
      ending_ = true;
    }
    shared_->changed.notify_all();
    thread_.join();
  }

  // Under the mutex:
  void ask(const LogHead& head) { wanted_ = head; }
  bool is_settled(std::uint64_t size) const { return late_ || settled_ >= size; }
  void passed(std::uint64_t size) { late_ = late_ || settled_ < size; }
  const std::string* line(std::uint64_t size) const { return cosigned_ == size && !line_.empty() ? &line_ : nullptr; }

 private:
  void run();
  Status cosign(const LogHead& head, const WitnessPost& post);
  Result<HttpAnswer> send(const LogHead& head, const WitnessPost& post);
  void settle(const LogHead& head, const Status& done);
  void tell(int priority, const std::string& what) const {
    shared_->seams.tell(
        priority, "witness " + printable(config_.key.name, 80) + " (" + printable(config_.url, 200) + "): " + what);
  }

  std::shared_ptr<Shared> shared_;
  WitnessConfig config_;
  std::optional<LogHead> wanted_;
  std::string line_;
  std::uint64_t cosigned_ = 0;  // size that line_ is over
  std::uint64_t settled_ = 0;   // answered or failed for this size
  bool late_ = false, ending_ = false;

  // The thread's own:
  std::uint64_t known_ = 0;  // the size that the witness cosigned last, as far as we know
  bool failing_ = false;
  std::chrono::seconds retry_ = kFirstRetry;
  std::thread thread_;  // last: it uses all of the above
};

void Witnesses::Client::run() {
  const WitnessPost post = shared_->seams.post();
  std::unique_lock<std::mutex> lock(shared_->mutex);
  std::optional<LogHead> again;  // to be tried again when nothing newer comes
  while (!ending_) {
    const auto woken = [this] { return ending_ || wanted_.has_value(); };
    if (again) {
      shared_->changed.wait_for(lock, retry_, woken);
    } else {
      shared_->changed.wait(lock, woken);
    }
    if (ending_) return;
    if (!wanted_ && !again) continue;
    const LogHead head = wanted_ ? std::move(*wanted_) : std::move(*again);
    wanted_.reset();
    again.reset();
    lock.unlock();
    const Status done = cosign(head, post);
    settle(head, done);
    lock.lock();
    if (!done) again = head;
  }
}

Status Witnesses::Client::cosign(const LogHead& head, const WitnessPost& post) {
  Result<HttpAnswer> answer = send(head, post);
  if (answer && answer->status == 409) {
    const std::optional<std::uint64_t> size = read_size(answer->body);
    if (!size) return Error{Errc::malformed, "it answers 409 without the size that it knows"};
    if (*size > head.checkpoint.size) {
      return Error{Errc::mismatch, "it has cosigned " + std::to_string(*size) +
                                       " entries of this log, which has only " + std::to_string(head.checkpoint.size) +
                                       ": this hub runs on an old copy; stop it and restore the newest"};
    }
    known_ = *size;
    answer = send(head, post);
  }
  if (!answer) return answer.error();
  if (answer->status == 422) {
    return Error{Errc::mismatch,
                 "it has seen another history of this log (422): stop the hub and find out who wrote it"};
  }
  if (answer->status != 200) {
    return Error{Errc::unavailable,
                 "it answers " + std::to_string(answer->status) + ": " + printable(answer->body, 120)};
  }
  Result<std::string> line = cosignature_in(answer->body, head, config_.key);
  if (!line) return line.error();
  known_ = head.checkpoint.size;
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  line_ = std::move(*line);
  cosigned_ = head.checkpoint.size;
  return Unit{};
}

Result<HttpAnswer> Witnesses::Client::send(const LogHead& head, const WitnessPost& post) {
  const Result<std::string> body =
      add_checkpoint_body(std::min(known_, head.checkpoint.size), head, shared_->seams.files);
  if (!body) return body.error();
  return post(endpoint(config_.url), *body);
}

void Witnesses::Client::settle(const LogHead& head, const Status& done) {
  if (done) shared_->seams.answered();  // before whoever waits goes on, so that it counts as taken
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    settled_ = std::max(settled_, head.checkpoint.size);
    if (done) late_ = false;
  }
  shared_->changed.notify_all();
  if (done) {
    if (std::exchange(failing_, false)) tell(kNotice, "cosigns again");
    retry_ = kFirstRetry;
    return;
  }
  retry_ = failing_ ? std::min(retry_ * 2, kLongestRetry) : kFirstRetry;
  const bool forked = done.error().code == Errc::mismatch;
  if (!std::exchange(failing_, true) || forked) {
    tell(forked ? kAlert : kWarning, done.error().message + "; the log goes on without its cosignature and asks again");
  }
}

Witnesses::Witnesses(std::vector<WitnessConfig> witnesses, WitnessSeams seams) : shared_(std::make_shared<Shared>()) {
  shared_->seams = std::move(seams);
  for (WitnessConfig& witness : witnesses) clients_.push_back(std::make_unique<Client>(shared_, std::move(witness)));
}

Witnesses::~Witnesses() = default;

void Witnesses::ask(const LogHead& head) {
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    for (const auto& client : clients_) client->ask(head);
  }
  shared_->changed.notify_all();
}

void Witnesses::wait(std::uint64_t size, std::chrono::milliseconds at_most) {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  shared_->changed.wait_for(lock, at_most, [&] {
    return std::all_of(clients_.begin(), clients_.end(), [&](const auto& c) { return c->is_settled(size); });
  });
  for (const auto& client : clients_) client->passed(size);
}

std::vector<std::string> Witnesses::lines(std::uint64_t size) const {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  std::vector<std::string> lines;
  for (const auto& client : clients_) {
    if (const std::string* line = client->line(size)) lines.push_back(*line);
  }
  return lines;
}

}  // namespace hallpass::hub
