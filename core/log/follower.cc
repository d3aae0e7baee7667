#include "core/log/follower.h"

#include <algorithm>

#include "core/log/diagnosis.h"
#include "core/log/epoch_watch.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

using Refused = std::optional<LogRefusal>;

std::string entries_text(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " entry" : " entries");
}

LogRefusal note_refused(const Error& error) {
  const bool form = error.code == Errc::malformed || error.code == Errc::too_large;
  return {form ? LogFault::malformed : LogFault::untrusted, error.message};
}

LogRefusal file_refused(const Error& error, std::uint64_t size) {
  const bool form = error.code == Errc::malformed || error.code == Errc::too_large;
  if (form) return {LogFault::malformed, error.message};
  return {LogFault::missing, "the log's head promises " + entries_text(size) + ", but " + error.message};
}

// Against what the reader remembers: all that can be said without reading a file.
Refused compare_heads(const LogPosition& position, const Checkpoint& head) {
  const std::uint64_t known = position.frontier.size();
  if (!position.origin.empty() && position.origin != head.origin) {
    return LogRefusal{LogFault::untrusted, "this reader has followed the log \"" + printable(position.origin, 80) +
                                               "\", and the checkpoint is of \"" + printable(head.origin, 80) +
                                               "\"; remove its position to follow the new one"};
  }
  if (head.size < known) {
    return LogRefusal{LogFault::rollback, "the head of " + entries_text(head.size) + " is older than the one of " +
                                              entries_text(known) +
                                              " that was verified before: the source is out of date, or was put back "
                                              "to an older copy"};
  }
  if (head.size > known || head.root == position.frontier.root()) return std::nullopt;
  if (position.origin.empty()) {
    return LogRefusal{LogFault::malformed, "the checkpoint is of an empty log, and its root is not an empty log's"};
  }
  return LogRefusal{LogFault::fork, "the log has forked: it signed two heads of " + entries_text(known) +
                                        " with different roots; keep both checkpoints as evidence and ask who runs "
                                        "the log"};
}

class Advancing {
 public:
  Advancing(const LogPosition& position, LogAdvance& out, const LogTrust& trust, std::string_view fleet,
            const LogFiles& files, const std::optional<EpochHint>& hint)
      : position_(position),
        out_(out),
        head_(out.head.checkpoint),
        tiles_(files, head_.size),
        jump_(useful(hint) ? hint : std::nullopt),
        epochs_(position, fleet, trust.log, jump_) {}

  Refused run() {
    Refused refused = begin();
    if (!refused) refused = read();
    if (!refused) refused = check_root();
    if (!refused && out_.jumped) refused = check_old_root();
    if (refused) return refused;
    if (const auto fault = epochs_.fault()) return LogRefusal{LogFault::epoch, *fault};
    epochs_.put_into(out_.next);
    return std::nullopt;
  }

 private:
  static std::uint64_t bundle_start(std::uint64_t index) { return index / kTileWidth * kTileWidth; }

  bool useful(const std::optional<EpochHint>& hint) const {
    return hint && bundle_start(hint->live_from) > position_.frontier.size();
  }

  Refused begin() {
    out_.from = position_.frontier.size();
    frontier_ = position_.frontier;
    if (!jump_) return std::nullopt;
    if (jump_->index >= head_.size || jump_->live_from > jump_->index) {
      return LogRefusal{LogFault::epoch, "the hint in the file epoch is not true: it names entry " +
                                             std::to_string(jump_->index) + " of a log of " + entries_text(head_.size) +
                                             ", and live_from " + std::to_string(jump_->live_from) +
                                             "; get the file again"};
    }
    out_.jumped = true;
    out_.from = bundle_start(jump_->live_from);
    Result<Frontier> there = tiles_.frontier_at(out_.from);
    if (!there) return file_refused(there.error(), head_.size);
    frontier_ = std::move(there).value();
    return std::nullopt;
  }

  Refused read() {
    for (std::uint64_t index = out_.from / kTileWidth; index <= (head_.size - 1) / kTileWidth; ++index) {
      if (out_.leaves.size() >= kMaxEntriesAtOnce) {
        return LogRefusal{LogFault::missing, "the log has more entries than are taken at once (" +
                                                 std::to_string(kMaxEntriesAtOnce) +
                                                 "), and no epoch to begin at; get its file epoch"};
      }
      const Result<TileReader::Bundle> bundle = tiles_.bundle(index);
      if (!bundle) return file_refused(bundle.error(), head_.size);
      const Result<std::vector<std::string_view>> entries = decode_bundle(bundle->bytes, bundle->count);
      if (!entries) return LogRefusal{LogFault::malformed, bundle->path + ": " + entries.error().message};
      for (std::size_t i = 0; i < entries->size(); ++i) take(index * kTileWidth + i, (*entries)[i]);
    }
    return std::nullopt;
  }

  void take(std::uint64_t index, std::string_view entry) {
    if (index < out_.from) return;
    out_.leaves.push_back(leaf_hash(as_bytes(entry)));
    frontier_.add(out_.leaves.back());
    epochs_.take(index, entry);
  }

  Refused check_root() {
    if (frontier_.root() != head_.root) {
      return Diagnosis(tiles_, head_, out_.from, out_.leaves).find(!out_.jumped);
    }
    out_.next.frontier = frontier_;
    if (out_.jumped || position_.origin.empty()) out_.next.read_from = out_.from;
    return std::nullopt;
  }

  // After a jump: does the tree still contain what was verified before it?
  Refused check_old_root() {
    const std::uint64_t known = position_.frontier.size();
    if (known == 0) return std::nullopt;
    const Result<std::vector<Digest>> proof = tiles_.consistency_proof(known);
    if (!proof) return file_refused(proof.error(), head_.size);
    if (verify_consistency(known, head_.size, position_.frontier.root(), head_.root, *proof)) return std::nullopt;
    return Diagnosis(tiles_, head_, out_.from, out_.leaves).find(true);
  }

  const LogPosition& position_;
  LogAdvance& out_;
  const Checkpoint& head_;
  TileReader tiles_;
  std::optional<EpochHint> jump_;  // only where it is one
  EpochWatch epochs_;
  Frontier frontier_;
};

}  // namespace

std::string_view to_string(LogFault fault) {
  switch (fault) {
    case LogFault::malformed:
      return "malformed";
    case LogFault::untrusted:
      return "untrusted";
    case LogFault::rollback:
      return "rollback";
    case LogFault::fork:
      return "fork";
    case LogFault::missing:
      return "missing";
    case LogFault::damaged:
      return "damaged";
    case LogFault::epoch:
      return "epoch";
  }
  return "malformed";
}

std::variant<LogAdvance, LogRefusal> advance(const LogPosition& position, std::string_view note, const LogTrust& trust,
                                             std::string_view fleet, const LogFiles& files,
                                             const std::optional<EpochHint>& hint) {
  Result<VerifiedCheckpoint> head = verify_checkpoint(note, trust);
  if (!head) return note_refused(head.error());
  if (Refused refused = compare_heads(position, head->checkpoint)) return *refused;
  LogAdvance out;
  out.head = std::move(head).value();
  out.next = position;
  out.next.origin = out.head.checkpoint.origin;
  out.next.note = note;
  out.from = position.frontier.size();
  if (out.head.checkpoint.size == out.from) return out;
  if (Refused refused = Advancing(position, out, trust, fleet, files, hint).run()) return *refused;
  return out;
}

Result<std::vector<LogEntry>> entries_of(const LogAdvance& advance, std::uint64_t bundle, const LogFiles& files) {
  const std::uint64_t size = advance.head.checkpoint.size;
  if (advance.from >= size || bundle < advance.from / kTileWidth || bundle > (size - 1) / kTileWidth) {
    return Error{Errc::malformed, "bundle " + std::to_string(bundle) + " holds no new entry"};
  }
  const Result<TileReader::Bundle> read = TileReader(files, size).bundle(bundle);
  if (!read) return read.error();
  const Result<std::vector<std::string_view>> decoded = decode_bundle(read->bytes, read->count);
  if (!decoded) return Error{Errc::malformed, read->path + ": " + decoded.error().message};
  std::vector<LogEntry> entries;
  for (std::uint64_t i = std::max(advance.from, bundle * kTileWidth); i < bundle * kTileWidth + read->count; ++i) {
    const std::string_view entry = (*decoded)[i % kTileWidth];
    if (leaf_hash(as_bytes(entry)) != advance.leaves[i - advance.from]) {
      return Error{Errc::malformed, "entry " + std::to_string(i) + " in " + read->path +
                                        " has changed since it was verified; read the log again"};
    }
    entries.push_back({i, std::string(entry)});
  }
  return entries;
}

}  // namespace hallpass
