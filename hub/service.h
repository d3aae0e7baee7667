// What the hub does, without HTTP: takes bodies of statements and policies, answers with what became of each line, and
// lists grants. Verifies on threads of its own; answers come on one of those or on the sequencer's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/policy_trust.h"
#include "hub/intake.h"
#include "hub/metrics.h"
#include "hub/notices.h"
#include "hub/registry.h"
#include "hub/sequencer.h"
#include "hub/workers.h"

namespace hallpass::hub {

inline constexpr std::size_t kMaxLines = 256;
inline constexpr std::size_t kMaxBodyBytes = std::size_t{2} * 1024 * 1024;

struct Answer {
  int status = 500;
  std::string content_type = "application/json";
  std::string body;
  int retry_after = 0;  // seconds; 0: not said
};
using Answered = std::function<void(Answer)>;
Answer error_answer(int status, std::string_view code, std::string_view message);

struct ServiceSeams {
  std::function<UnixTime()> now;
  std::function<Moment()> moment;
  std::function<Result<ZoneTable>(const std::set<std::string>&)> zones;
  std::function<void(const std::string&)> log;  // one line for the operator
  Notices* notices = nullptr;                   // nobody is told
  unsigned threads = 2;
};

struct BatchLine;

class Service {
 public:
  Service(Trust trust, const PersonLimits& limits, ServiceSeams seams);
  ~Service();

  // Before anything else is called. Policies come with their text; entries of the live part in the log's order.
  Status restore_policy(std::uint64_t index, const std::string& toml, const std::string& sig);
  void restore_statement(std::uint64_t index, const std::string& entry);
  void restored();  // all are in: the last look at those whose keys only a later policy knew
  void start(Sequencer& sequencer);

  void finish();  // the workers end with what they have; afterwards only the sequencer may call back

  // Any thread. `answered` is called once, on any thread, perhaps before the call returns.
  void post_statements(std::string body, Answered answered);
  void post_policy(std::string body, Answered answered);
  void get_grants(const std::string& query, Answered answered);
  void work(std::function<void()> job);  // on a worker, in turn with the rest
  // For SequencerOptions::renew: entries to be put into the log again before an epoch leaves them behind.
  std::vector<std::string> renewals(std::uint64_t live_from);
  void renewed(std::uint64_t first, const std::vector<std::string>& entries);

  // Once a minute or so: what can no longer matter goes.
  void tidy();
  void gauges(Gauges& into) const;
  Metrics& metrics() { return metrics_; }

 private:
  struct Batch;
  using BatchPtr = std::shared_ptr<Batch>;
  void queue_line(const BatchPtr& batch, std::size_t line);
  void queue_verification(const BatchPtr& batch, std::size_t line);
  void verify_line(const BatchPtr& batch, std::size_t line);
  void line_done(const BatchPtr& batch);
  void take(const BatchPtr& batch);
  void take_line(const BatchPtr& batch, std::size_t line, std::vector<std::size_t>& taken);
  void append(const BatchPtr& batch, const std::vector<std::size_t>& taken);
  void appended(const BatchPtr& batch, const std::vector<std::size_t>& taken, const Result<std::uint64_t>& first);
  void part_done(const BatchPtr& batch);
  void settle(const StatementId& id, const Result<std::uint64_t>& index);
  void tell_of(const std::vector<BatchLine>& lines, const std::vector<std::size_t>& taken);
  void tell_waiting();
  void tell(const Statement& statement, std::uint64_t index);

  Result<PolicyInForce> load(std::shared_ptr<const Policy> policy, std::uint64_t index) const;
  void take_policy(const std::string& body, const Answered& answered);
  Status worth_parsing(const std::string& toml, const std::string& sig) const;
  std::optional<Answer> policy_fault(const Policy& next, const std::string& sig);

  Trust trust_;
  ServiceSeams seams_;
  Metrics metrics_;
  Sequencer* sequencer_ = nullptr;

  mutable std::mutex mutex_;  // of what follows
  Registry registry_;
  Intake intake_;
  std::map<StatementId, std::vector<std::function<void(const Result<std::uint64_t>&)>>> in_flight_;
  bool policy_in_flight_ = false;
  std::uint64_t bodies_ = 0;
  std::vector<std::pair<std::uint64_t, std::string>> unopened_;  // while restoring
  std::deque<std::pair<Statement, std::uint64_t>> to_tell_;      // durable, in the log's order

  std::mutex telling_;  // one at a time, before mutex_

  std::unique_ptr<Workers> workers_;  // last: their jobs use all of the above
};

}  // namespace hallpass::hub
