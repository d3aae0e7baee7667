// What must hold before a hub writes to its log. Each disagreement has a name, and none is repaired: whoever wrote the
// other story is still to be found. docs/operations.md, "The hub does not start".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/log/tile_reader.h"
#include "hub/landmarks.h"
#include "hub/log_store.h"
#include "hub/right_edge.h"

namespace hallpass::hub {

// "published_newer: log/checkpoint has 12 entries …": the name, then what is wrong and what to do.
Error refusal(std::string_view name, const std::string& sentence);

struct CheckedLog {
  LogHead head;
  RightEdge edge;
  std::optional<std::uint64_t> published;  // size of log/checkpoint
  std::string epoch_hint, policy_hints;    // as on disk
};

struct LogToCheck {
  LogFiles log, state;
  const StoreOptions& options;
  UnixTime now{};
};

// Entries of the live part go to `each`, epochs and policies also to `landmarks`, which comes empty. Errors, by name:
//   not_initialised, committed_missing, committed_damaged, other_key   the committed head
//   published_damaged, published_newer, published_fork                 log/checkpoint
//   file_missing, tile_damaged, bundle_damaged, root_differs           the files that the committed head promises
//   clock_behind                                                       our clock against our own last cosignature,
//   epoch epoch_wrong, policy_damaged, rolled_back                           entries of ours, and the hints beside them
Result<CheckedLog> check_log(const LogToCheck& log, Landmarks& landmarks, const EachEntry& each);

}  // namespace hallpass::hub
