// Policies on their way into the mirror. Which of them this host needs depends on the one it has in force: those above
// it, or the newest alone for a host without any, and the others too when the newest does not come into force.
//
// A policy's text is proven by its digest in the signatures, and those by being an entry of the log: a carrier cannot
// put anything else here. Whether the host accepts it is the agent's to judge.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/fetch/carrier.h"
#include "agent/fetch/mirror.h"
#include "core/log/checkpoint.h"
#include "core/log/epoch.h"
#include "core/log/tile_reader.h"

namespace hallpass {

// The versions to fetch, in this order. `have`: those in the mirror. `newest_waits`: the newest has been in the mirror
// for a while and is not in force.
std::vector<PolicyHint> policies_needed(const std::vector<PolicyHint>& all, const std::set<std::int64_t>& have,
                                        std::int64_t in_force, bool newest_waits);

class PolicyKeeper {
 public:
  static constexpr std::chrono::seconds kPatience{5};  // for the newest to come into force

  PolicyKeeper(Mirror& mirror, std::string fleet) : mirror_(mirror), fleet_(std::move(fleet)) {}

  struct Fault {
    bool local = false;
    std::string message;
  };
  // Fetches those that are needed and that the log holds at `head`.
  std::optional<Fault> fetch(Carrier& carrier, const Checkpoint& head, std::int64_t in_force);
  // The log has got another one, or the mirror is new.
  void expect_more() { expects_more_ = true; }
  // Is a call of fetch() worth while now?
  bool wants(std::int64_t in_force) const;

 private:
  std::optional<Fault> fetch_one(Carrier& carrier, TileReader& tiles, const Checkpoint& head, const PolicyHint& hint);
  bool newest_waits(std::int64_t in_force) const;
  Mirror& mirror_;
  std::string fleet_;
  bool expects_more_ = true;
  std::int64_t newest_ = 0;     // of the last list
  std::size_t missing_ = 0;     // of the last list: what the host may need and the mirror has not
  std::int64_t asked_for_ = 0;  // the version in force then
};

}  // namespace hallpass
