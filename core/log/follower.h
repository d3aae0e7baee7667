// One reader of a log: what it has verified so far, and whether a newer head follows from that. The equation "frontier
// that I verified + the new entries = the root that was signed" proves inclusion and consistency at once.
// docs/architecture.md, "The log". Used by the agent, the fetcher and the CLI.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/log/checkpoint.h"
#include "core/log/epoch.h"
#include "core/log/merkle.h"
#include "core/log/tile_reader.h"

namespace hallpass {

// What a reader remembers. Empty origin: it has read nothing.
struct LogPosition {
  std::string origin;
  Frontier frontier;            // of all entries before frontier.size()
  std::string note;             // the signed checkpoint of that size: evidence, if the log forks later
  std::uint64_t live_from = 0;  // of the newest epoch read
  std::uint64_t epoch = 0;      // that epoch's index; meaningful when epoch_at is set
  UnixTime epoch_at{};
  std::uint64_t read_from = 0;  // the first entry that this reader has read
};
// As kept by readers: JSON. Errors: malformed.
std::string format_position(const LogPosition& position);
Result<LogPosition> parse_position(std::string_view json);

enum class LogFault {
  malformed,  // a file is not of its format
  untrusted,  // not signed by this log, or by too few witnesses
  rollback,   // an older head than one seen before
  fork,       // another history: the same size with another root, or a root that does not follow
  missing,    // a file that the head promises is not there, or cannot be had
  damaged,    // a file that is there does not fit the tree; the sentence names it and the first wrong entry
  epoch,      // an epoch that claims what cannot be
};
std::string_view to_string(LogFault fault);
struct LogRefusal {
  LogFault fault = LogFault::malformed;
  std::string message;  // one sentence
};

struct LogAdvance {
  VerifiedCheckpoint head;
  LogPosition next;            // to be remembered once the entries have been taken
  std::uint64_t from = 0;      // entries [from, head.checkpoint.size) are new
  bool jumped = false;         // to an epoch: entries before `from` were never read
  std::vector<Digest> leaves;  // hashes of the new entries: entries_of compares with them
};

// How many new entries are taken at once at most (their hashes are 128 MiB); a reader that is farther behind needs the
// hint.
inline constexpr std::uint64_t kMaxEntriesAtOnce = std::uint64_t{1} << 22;

// Verifies `note` and all that it promises beyond `position`. The same head again is an advance without entries (its
// cosignatures may be newer). A reader with nothing, or farther behind than the epoch that `hint` names, begins at that
// epoch's live_from (rounded down to a whole bundle): then the hint must prove true, the new entries holding that
// epoch, and a reader that had something also verifies a consistency proof from there. Files are read once; a carrier
// may change them later, so entries_of checks each again.
//   hint   to be fetched before the note, lest it names an epoch that the note's log does not have yet; it is looked at
//          only where it saves reading
// Every new epoch must be signed by the log's key, name this fleet, and reach back no less far than kLogHorizon
// demands: live_from lies at or before its own index, at or after that of the epoch before it, and past no epoch that
// is younger.
std::variant<LogAdvance, LogRefusal> advance(const LogPosition& position, std::string_view note, const LogTrust& trust,
                                             std::string_view fleet, const LogFiles& files,
                                             const std::optional<EpochHint>& hint);

// The new entries of one bundle (`bundle` from from/256 to (size-1)/256), each with its index. Error: malformed (not
// what advance() verified), not_found, unavailable.
struct LogEntry {
  std::uint64_t index = 0;
  std::string bytes;
};
Result<std::vector<LogEntry>> entries_of(const LogAdvance& advance, std::uint64_t bundle, const LogFiles& files);

}  // namespace hallpass
