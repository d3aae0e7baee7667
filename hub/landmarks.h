// Entries that the log itself must know of: epochs, and policies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/epoch.h"
#include "hub/epochs.h"

namespace hallpass::hub {

// What a policy's entry says it is of; nothing is verified. Error: malformed.
struct PolicyClaim {
  std::int64_t version = 0;
  Digest sha256;
};
Result<PolicyClaim> policy_claim(std::string_view entry);

struct Landmarks {
  Landmarks(const std::string& fleet_of_log, const NoteKey& key)
      : fleet(fleet_of_log), log_key(key), epochs(fleet_of_log, key.name) {}

  std::string fleet;
  NoteKey log_key;
  Epochs epochs;
  std::vector<PolicyHint> policies;  // ascending by index

  // The next entry of the log, of whatever kind. Errors: those of open_epoch, Epochs::saw_epoch and policy_claim.
  Status saw(std::uint64_t index, std::string_view entry);
};

}  // namespace hallpass::hub
