// Proofs that statements are in the fleet's log, for hosts that admit by nothing less (require_log of trust.toml).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/context.h"
#include "core/log/follower.h"
#include "core/statement.h"

namespace hallpass::cli {

// For each statement that is in the log a c2sp.org/tlog-proof text that holds it (`extra`). None where there is no log:
// a plain directory has none, and hosts that read one ask for none. Errors: unavailable, mismatch (the log is not what
// was seen before).
Result<std::vector<std::string>> proofs_for(Context& context, const Workspace& workspace,
                                            std::span<const Statement> statements);

struct StatementProof {
  Statement statement;
  std::uint64_t index = 0;
  std::uint64_t size = 0;  // of the log that it was proven in
  std::string text;        // proven: it leads to the root of the checkpoint that our copy follows
};
// The same, told apart: in the order of `statements`, without those that the log does not have (yet).
Result<std::vector<StatementProof>> prove(Context& context, std::span<const Statement> statements);

// Entries [from, to) of the log that the copy follows; to <= head.size. Errors: not_found, malformed, unavailable.
Result<std::vector<LogEntry>> log_entries(HubMirror& mirror, const HubMirror::Head& head, std::uint64_t from,
                                          std::uint64_t to);

// The checkpoint of a note whose signatures were looked at before, or never. Error: malformed.
Result<Checkpoint> checkpoint_of(std::string_view note);

}  // namespace hallpass::cli
