// Takes one head of the log from a carrier into the mirror: verified first, files in place before the checkpoint, and
// policies before the checkpoint that follows them. Nothing that a carrier sends is kept unless the log's key and
// witnesses vouch for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "agent/fetch/agent_view.h"
#include "agent/fetch/carrier.h"
#include "agent/fetch/mirror.h"
#include "agent/fetch/policy_keeper.h"
#include "agent/fetch/rota.h"
#include "core/log/follower.h"

namespace hallpass {

struct FetchFault {
  bool local = false;   // this machine's fault, not the carrier's
  std::string message;  // "rollback: checkpoint: …": one word for the kind, then the sentence
};

struct Taken {
  bool new_head = false;  // a larger log; otherwise the same, perhaps with newer cosignatures
  std::uint64_t size = 0;
  std::uint64_t entries = 0;          // new ones
  std::optional<UnixTime> seen_at{};  // by witnesses
};

class Gatherer {
 public:
  Gatherer(Mirror& mirror, std::string fleet, LogTrust trust);

  // Goes on where the mirror stands. What was wrong with it, so that reading begins anew; nullopt: nothing.
  std::optional<std::string> restore();
  std::uint64_t size() const { return position_.frontier.size(); }

  std::variant<Taken, FetchFault> take(const std::string& note, Carrier& from, Moment now);
  // Policies alone, for a host that turns out to need older ones. nullopt: all well.
  std::optional<FetchFault> take_policies(Carrier& from);
  void set_agent(const AgentView& agent) { agent_ = agent; }
  bool wants_policies() const { return head_ && policies_.wants(agent_.policy); }

  // Writes down what has been verified, where that is not done yet.
  Status remember();
  // Removes what nobody needs any more; cheap when called often.
  std::size_t tidy(Moment now);

 private:
  using Attempt = std::variant<LogAdvance, FetchFault>;
  Attempt follow(const LogPosition& from, const std::string& note, Carrier& carrier, bool use_mirror,
                 const std::optional<EpochHint>& hint, bool* used_mirror);
  Attempt follow_twice(const LogPosition& from, const std::string& note, Carrier& carrier,
                       const std::optional<EpochHint>& hint);
  std::optional<FetchFault> check_head(const VerifiedCheckpoint& head) const;
  std::variant<std::optional<EpochHint>, FetchFault> hint_for(const Checkpoint& head, Carrier& carrier) const;
  std::variant<Taken, FetchFault> new_head(const VerifiedCheckpoint& head, Carrier& carrier, Moment now);
  std::optional<FetchFault> policies_first(const Checkpoint& head, Carrier& carrier, Moment now);
  bool policies_can_wait(const FetchFault& fault, Moment now) const;
  std::optional<FetchFault> look_for_policies(const LogAdvance& advance);
  std::optional<FetchFault> settle(const LogAdvance& advance, Moment now);
  std::variant<Taken, FetchFault> same_head(const VerifiedCheckpoint& head, Carrier& carrier);
  Result<EpochHint> epoch_in_mirror() const;
  void bridge(Carrier& carrier);
  std::optional<FetchFault> move_hint(Carrier& carrier);

  Mirror& mirror_;
  std::string fleet_;
  LogTrust trust_;
  PolicyKeeper policies_;
  LogPosition position_;
  std::optional<VerifiedCheckpoint> head_;  // as published
  AgentView agent_;
  std::pair<std::uint64_t, std::uint64_t> bridged_{};  // from the agent's size to the head's
  bool unsaved_ = false;
  std::optional<Moment> no_policy_since_;      // wanted, and in no source
  std::map<std::uint64_t, Moment> published_;  // sizes that an agent may still be reading
  Moment tidied_{};
};

}  // namespace hallpass
