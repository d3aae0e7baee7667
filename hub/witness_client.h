// Witnesses other than our own (C2SP tlog-witness): each is asked to cosign every new head, on a thread of its own.
// A witness that is away or slow costs the log at most the time that wait() is given, and that only once: it is not
// waited for again until it has answered. docs/formats.md, "Witnesses".
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/tile_reader.h"
#include "core/net/http.h"
#include "hub/config.h"
#include "hub/log_store.h"

namespace hallpass::hub {

// POSTs to one witness; made and called on that witness's thread.
using WitnessPost = std::function<Result<HttpAnswer>(const std::string& url, std::string_view body)>;

struct WitnessSeams {
  std::function<WitnessPost()> post;                    // one for each witness
  LogFiles files;                                       // of the log, for proofs
  std::function<void(int priority, std::string)> tell;  // once when a witness fails, once when it works again
  std::function<void()> answered;                       // a cosignature has come; on the witness's thread
};
// libcurl, 5 s for a whole request.
std::function<WitnessPost()> http_witness_post();

class Witnesses {
 public:
  Witnesses(std::vector<WitnessConfig> witnesses, WitnessSeams seams);
  ~Witnesses();  // waits for requests that are under way
  Witnesses(const Witnesses&) = delete;
  Witnesses& operator=(const Witnesses&) = delete;

  // `head` is durable and committed. What has not been sent yet of an older one never will be.
  void ask(const LogHead& head);
  // Until every witness that answered last time has answered for this size, or failed, or the time is over.
  void wait(std::uint64_t size, std::chrono::milliseconds at_most);
  // The newest verified signature line of each witness over the head of this size.
  std::vector<std::string> lines(std::uint64_t size) const;
  bool none() const { return clients_.empty(); }

 private:
  class Client;
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Client>> clients_;
};

// The body of an add-checkpoint request. Errors: those of TileReader.
Result<std::string> add_checkpoint_body(std::uint64_t old_size, const LogHead& head, const LogFiles& files);
// The line by `key` in an answer, verified over the head. Errors: malformed, bad_signature, unknown_key.
Result<std::string> cosignature_in(std::string_view answer, const LogHead& head, const NoteKey& key);

}  // namespace hallpass::hub
