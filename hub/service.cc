#include "hub/service.h"

#include <algorithm>

#include "core/values/text.h"
#include "hub/batch.h"
#include "hub/grants_json.h"

namespace hallpass::hub {
namespace {

// Bodies up to this size are looked into at once, larger ones in turn with other work.
constexpr std::size_t kSmallBody = std::size_t{16} * 1024;
constexpr std::size_t kMaxWaiting = 65536;
constexpr std::size_t kMaxWaitingOfOne = 4096;
// Lanes beside people's, whose names these cannot be.
const char* const kLargeBodies = "(large)";
const char* const kReaders = "(readers)";

Refusal too_busy() {
  return {"busy", "the hub has more to verify than it can hold; send it again in a few seconds", 503};
}

Refusal too_many(const std::string& person) {
  return {"too_many", person + " has sent more than the hub takes from one person; try again in a minute", 429};
}

}  // namespace

Service::Service(Trust trust, const PersonLimits& limits, ServiceSeams seams)
    : trust_(std::move(trust)),
      seams_(std::move(seams)),
      intake_(registry_, limits),
      workers_(std::make_unique<Workers>(seams_.threads)) {}

Service::~Service() = default;

void Service::start(Sequencer& sequencer) {
  sequencer_ = &sequencer;
}

void Service::finish() {
  workers_->finish();
}

void Service::post_statements(std::string body, Answered answered) {
  if (const std::string trouble = sequencer_->trouble(); !trouble.empty()) {
    return answered(error_answer(503, "stopped", trouble));
  }
  const auto batch = std::make_shared<Batch>();
  batch->body = std::move(body);
  batch->answered = std::move(answered);
  batch->at = seams_.now();
  batch->arrived = seams_.moment();
  {
    const std::lock_guard lock(mutex_);
    batch->policy = registry_.in_force();
    batch->number = ++bodies_;
  }
  if (batch->policy == nullptr) {
    return batch->answered(error_answer(503, "no_policy",
                                        "the hub has no policy yet: its admins must send one first "
                                        "(POST /v1/policies)"));
  }
  if (auto fault = split_lines(batch->body, batch->lines)) return batch->answered(*std::move(fault));
  batch->left = batch->lines.size();
  const bool small = batch->body.size() <= kSmallBody;
  for (std::size_t i = 0; i < batch->lines.size(); ++i) {
    if (small) {
      queue_verification(batch, i);
    } else {
      queue_line(batch, i);
    }
  }
}

void Service::queue_line(const BatchPtr& batch, std::size_t line) {
  workers_->give(kLargeBodies, batch->number, false, [this, batch, line] { queue_verification(batch, line); });
}

void Service::queue_verification(const BatchPtr& batch, std::size_t line) {
  BatchLine& l = batch->lines[line];
  Result<LineClaim> claim = claim_of(l.text, *batch->policy->policy);
  if (!claim) {
    l.refusal = refusal_of(claim.error());
    return line_done(batch);
  }
  l.claim = *std::move(claim);
  const std::size_t waiting = workers_->waiting();
  if (!l.claim.revocation && (waiting > kMaxWaiting || workers_->waiting_for(l.claim.person) > kMaxWaitingOfOne)) {
    l.refusal = waiting > kMaxWaiting ? too_busy() : too_many(l.claim.person);
    return line_done(batch);
  }
  workers_->give(l.claim.person, batch->number, l.claim.revocation, [this, batch, line] { verify_line(batch, line); });
}

void Service::verify_line(const BatchPtr& batch, std::size_t line) {
  BatchLine& l = batch->lines[line];
  bool worth_it = true;
  {
    // Budgets are charged for verified statements only: nobody uses up another's.
    const std::lock_guard lock(mutex_);
    const Moment moment = seams_.moment();
    worth_it = l.claim.revocation ? intake_.budgets().may_narrow(l.claim.person, moment)
                                  : intake_.budgets().has_any(l.claim.person, moment);
  }
  if (!worth_it) {
    l.refusal = too_many(l.claim.person);
  } else {
    Result<Statement> opened = open_statement(l.text, batch->policy->policy->fleet, *batch->policy->policy);
    if (opened) {
      l.statement = *std::move(opened);
    } else {
      l.refusal = refusal_of(opened.error());
    }
  }
  line_done(batch);
}

void Service::line_done(const BatchPtr& batch) {
  if (--batch->left == 0) take(batch);
}

void Service::get_grants(const std::string& query, Answered answered) {
  Result<GrantQuery> parsed = parse_grant_query(query);
  if (!parsed) return answered(error_answer(400, "malformed", parsed.error().message));
  work([this, wanted = *std::move(parsed), done = std::move(answered)] {
    std::shared_ptr<const PolicyInForce> policy;
    std::vector<GrantCase> cases;
    {
      const std::lock_guard lock(mutex_);
      policy = registry_.in_force();
      if (policy != nullptr) cases = registry_.cases(wanted.subject);
    }
    if (policy == nullptr) return done(error_answer(503, "no_policy", "the hub has no policy yet"));
    Answer answer;
    answer.status = 200;
    answer.body = grants_json(cases, *policy, wanted, seams_.now());
    done(std::move(answer));
  });
}

void Service::work(std::function<void()> job) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++bodies_;
  }
  workers_->give(kReaders, number, false, std::move(job));
}

void Service::tidy() {
  const std::lock_guard lock(mutex_);
  registry_.forget_old(seams_.now());
  intake_.forget_idle(seams_.moment());
}

void Service::gauges(Gauges& into) const {
  into.waiting = workers_->waiting();
  into.stopped = !sequencer_->trouble().empty();
  const auto published = sequencer_->published();
  into.log_size = published->size;
  into.cosigned_at = to_unix(published->at);
  const std::lock_guard lock(mutex_);
  into.statements = registry_.size();
  into.grants = registry_.grants();
  into.policy_version = registry_.has_policy() ? registry_.in_force()->policy->version : 0;
}

}  // namespace hallpass::hub
