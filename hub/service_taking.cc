// From verified lines to entries of the log, and to those who are to be told.
#include <algorithm>
#include <numeric>

#include "hub/batch.h"
#include "hub/service.h"

namespace hallpass::hub {
namespace {

const char* const kNotices = "(notices)";

Refusal unavailable(const Error& error) {
  return {"unavailable", error.message, 503};
}

// A request may stand after what is about it.
std::vector<std::size_t> in_order(const std::vector<BatchLine>& lines) {
  std::vector<std::size_t> order(lines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return lines[i].statement && lines[i].statement->request() != nullptr; });
  return order;
}

}  // namespace

void Service::take(const BatchPtr& batch) {
  std::vector<std::size_t> taken;
  {
    const std::lock_guard lock(mutex_);
    batch->left = 1;  // this call itself
    for (const std::size_t line : in_order(batch->lines)) take_line(batch, line, taken);
    // Under the lock, so that entries stand in the log in the order in which the registry took them.
    if (!taken.empty()) append(batch, taken);
  }
  part_done(batch);
}

void Service::take_line(const BatchPtr& batch, std::size_t line, std::vector<std::size_t>& taken) {
  BatchLine& l = batch->lines[line];
  if (!l.statement) return metrics_.refused(l.refusal.code);
  const UnixTime now = seams_.now();
  const auto owner = registry_.in_force()->policy->find(l.statement->key());
  if (!owner || owner->name != l.statement->signer()) {  // a policy came while it was verified
    l.refusal = {"unknown_key", "the key " + l.statement->key().fingerprint() + " belongs to nobody in the policy",
                 403};
    return metrics_.refused(l.refusal.code);
  }
  if (batch->warnings.empty()) {
    if (std::string warning = clock_warning(*l.statement, now); !warning.empty()) batch->warnings.push_back(warning);
  }
  Verdict verdict = intake_.examine(*l.statement, now, seams_.moment());
  l.taking = verdict.taking;
  l.refusal = std::move(verdict.refusal);
  if (l.taking == Taking::refused) return metrics_.refused(l.refusal.code);
  if (l.taking == Taking::known) {
    metrics_.known();
    l.index = registry_.find(*verdict.known)->index;
    if (l.index) return;
    ++batch->left;
    in_flight_[*verdict.known].emplace_back([this, batch, line](const Result<std::uint64_t>& index) {
      BatchLine& waiting = batch->lines[line];
      if (index) {
        waiting.index = *index;
      } else {
        waiting.taking = Taking::refused;
        waiting.refusal = unavailable(index.error());
      }
      part_done(batch);
    });
    return;
  }
  registry_.add(*l.statement, std::nullopt, now);
  in_flight_[id_of(*l.statement)];
  taken.push_back(line);
}

void Service::append(const BatchPtr& batch, const std::vector<std::size_t>& taken) {
  std::vector<std::string> entries;
  entries.reserve(taken.size());
  for (const std::size_t line : taken) entries.push_back(batch->lines[line].statement->envelope());
  ++batch->left;
  sequencer_->append(std::move(entries),
                     [this, batch, taken](const Result<std::uint64_t>& first) { appended(batch, taken, first); });
}

void Service::appended(const BatchPtr& batch, const std::vector<std::size_t>& taken,
                       const Result<std::uint64_t>& first) {
  for (std::size_t i = 0; i < taken.size(); ++i) {
    BatchLine& line = batch->lines[taken[i]];
    if (first) {
      metrics_.taken();
      line.index = *first + i;
      settle(id_of(*line.statement), *line.index);
    } else {
      metrics_.refused("unavailable");
      line.taking = Taking::refused;
      line.refusal = unavailable(first.error());
      settle(id_of(*line.statement), first.error());
    }
  }
  if (first) {
    metrics_.durable_after(std::chrono::duration<double>(seams_.moment() - batch->arrived).count());
    tell_of(batch->lines, taken);
  }
  part_done(batch);
}

// One statement's fate is known: to the registry, and to the bodies that held it too.
void Service::settle(const StatementId& id, const Result<std::uint64_t>& index) {
  std::vector<std::function<void(const Result<std::uint64_t>&)>> waiting;
  {
    const std::lock_guard lock(mutex_);
    if (index) {
      registry_.settle(id, *index);
    } else {
      registry_.forget(id, seams_.now());
    }
    if (auto found = in_flight_.extract(id); !found.empty()) waiting = std::move(found.mapped());
  }
  for (const auto& told : waiting) told(index);
}

void Service::part_done(const BatchPtr& batch) {
  if (--batch->left > 0) return;
  batch->answered(answer_of(batch->lines, batch->warnings));
}

void Service::tell_of(const std::vector<BatchLine>& lines, const std::vector<std::size_t>& taken) {
  if (seams_.notices == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    for (const std::size_t line : taken) to_tell_.emplace_back(*lines[line].statement, *lines[line].index);
  }
  if (!workers_->give(kNotices, 0, false, [this] { tell_waiting(); })) tell_waiting();
}

void Service::tell_waiting() {
  const std::lock_guard one(telling_);
  while (true) {
    std::optional<std::pair<Statement, std::uint64_t>> next;
    {
      const std::lock_guard lock(mutex_);
      if (to_tell_.empty()) return;
      next = std::move(to_tell_.front());
      to_tell_.pop_front();
    }
    tell(next->first, next->second);
  }
}

// Each grant that it bears on, judged with what the log held before it, and with it.
void Service::tell(const Statement& statement, std::uint64_t index) {
  std::shared_ptr<const PolicyInForce> policy;
  std::vector<GrantCase> cases;
  {
    const std::lock_guard lock(mutex_);
    policy = registry_.in_force();
    if (const auto grant = grant_of(statement)) {
      cases.push_back(registry_.case_of(*grant));
    } else {
      cases = registry_.cases(statement.revocation()->subject);
    }
  }
  const UnixTime now = seams_.now();
  for (const GrantCase& grant : cases) {
    if (grant.own.empty()) continue;
    std::vector<Statement> before, after;
    for (const KnownStatement& known : grant.bearing) {
      if (!known.index || *known.index > index) continue;
      after.push_back(known.statement);
      if (*known.index < index) before.push_back(known.statement);
    }
    const Request& request = *grant.own.front().statement.request();
    const Judgement was = judge(grant.digest, before, *policy->policy, nullptr, now, policy->zones);
    const Judgement is = judge(grant.digest, after, *policy->policy, nullptr, now, policy->zones);
    // What a revocation of a subject or a key leaves as it was is no news to anybody.
    if (!grant_of(statement) && was.state == is.state) continue;
    seams_.notices->taken(statement, was, is, request, *policy->policy, now);
  }
}

}  // namespace hallpass::hub
