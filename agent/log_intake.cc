#include "agent/log_intake.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxWaiting = 10000;

Event event_of(LogFault fault) {
  switch (fault) {
    case LogFault::rollback:
      return Event::log_rollback;
    case LogFault::fork:
      return Event::log_fork;
    case LogFault::untrusted:
      return Event::log_untrusted;
    case LogFault::epoch:
      return Event::log_epoch_wrong;
    case LogFault::malformed:
    case LogFault::missing:
    case LogFault::damaged:
      break;
  }
  return Event::log_damaged;
}

bool may_count_later(Errc code) {
  return code == Errc::unknown_key || code == Errc::mismatch;
}

}  // namespace

LogIntake::LogIntake(const std::string& mirror, LogTrust trust, std::string fleet, LogSink& sink, Journal& journal)
    : mirror_(mirror),
      has_mirror_(!mirror.empty()),
      trust_(std::move(trust)),
      fleet_(std::move(fleet)),
      sink_(sink),
      journal_(journal),
      look_(has_mirror_) {}

void LogIntake::restore(LogPosition position) {
  // Another log, be it under the same name with another key, is none of ours: its position says nothing.
  if (position.origin != trust_.log.name || !open_note(position.note, std::span(&trust_.log, 1))) return;
  position_ = std::move(position);
  if (const auto head = verify_checkpoint(position_.note, trust_)) seen_at_ = head->seen_at;
  read_everything_again();
}

void LogIntake::read_everything_again() {
  if (!has_mirror_) return;
  const std::uint64_t size = advance_ ? advance_->next.frontier.size() : position_.frontier.size();
  const std::uint64_t from = std::max(position_.live_from, position_.read_from);
  for (std::uint64_t bundle = from / kTileWidth; bundle * kTileWidth < size; ++bundle) reread_.insert(bundle);
}

void LogIntake::head_changed() {
  look_ = has_mirror_;
  reread_.merge(unread_);
  unread_.clear();
}

void LogIntake::forget() {
  position_ = {};
  advance_.reset();
  reread_.clear();
  unread_.clear();
  waiting_.clear();
  waiting_overflowed_ = false;
  due_.clear();
  note_.clear();
  look_ = has_mirror_;
}

void LogIntake::policy_changed() {
  due_.merge(waiting_);
  waiting_.clear();
  if (std::exchange(waiting_overflowed_, false)) read_everything_again();
}

void LogIntake::try_again() {
  if (!postponed_) return;
  postponed_ = false;
  note_.clear();
  look_ = has_mirror_;
}

bool LogIntake::step() {
  if (advance_) {
    const std::uint64_t size = advance_->next.frontier.size();
    if (advance_->from < size && next_bundle_ <= (size - 1) / kTileWidth) {
      hand_over(next_bundle_++);
    } else {
      finish();
    }
  } else if (look_) {
    look();
  } else if (!due_.empty()) {
    read_again(due_.begin()->first / kTileWidth, false);
  } else if (!reread_.empty()) {
    read_again(reread_.extract(reread_.begin()).value(), true);
  }
  return busy();
}

void LogIntake::look() {
  look_ = false;
  if (!mirror_.open()) return;  // told by who watches the directory
  // The hint first: it is written before the head that it belongs to, so this one is not newer than the head.
  std::optional<EpochHint> hint;
  if (const auto text = mirror_.read(std::string(kEpochHintPath), kMaxEpochHintBytes)) {
    if (const auto parsed = parse_epoch_hint(*text)) hint = *parsed;
  }
  const Result<std::string> note = mirror_.read(std::string(kCheckpointPath), kMaxNoteBytes);
  if (!note) {
    // Nothing was fetched yet; that it goes on so is told as staleness.
    if (note.error().code != Errc::not_found) refuse({LogFault::malformed, note.error().message});
    return;
  }
  if (*note == note_ && fault_.empty()) return;
  auto outcome = advance(position_, *note, trust_, fleet_, mirror_.files(), hint);
  note_ = *note;
  if (const auto* refusal = std::get_if<LogRefusal>(&outcome)) return refuse(*refusal);
  fault_.clear();
  postponed_ = false;
  epoch_.reset();
  advance_ = std::move(std::get<LogAdvance>(outcome));
  next_bundle_ = advance_->from / kTileWidth;
}

void LogIntake::refuse(const LogRefusal& refusal) {
  const std::string told = std::string(to_string(refusal.fault)) + ": " + refusal.message;
  if (told == fault_) return;
  fault_ = told;
  journal_.event(event_of(refusal.fault),
                 "the log is not followed: " + printable(refusal.message) + "; what is known stays in force",
                 {{"WHY", refusal.message}, {"FILE", "checkpoint"}});
}

void LogIntake::hand_over(std::uint64_t bundle) {
  auto entries = entries_of(*advance_, bundle, mirror_.files());
  if (!entries) {
    // It was whole a moment ago: somebody changes files under us. From the beginning, when the mirror changes again.
    advance_.reset();
    refuse({entries.error().code == Errc::not_found ? LogFault::missing : LogFault::damaged, entries.error().message});
    return;
  }
  for (const LogEntry& entry : *entries) {
    const Digest& leaf = advance_->leaves[static_cast<std::size_t>(entry.index - advance_->from)];
    switch (entry_kind(entry.bytes)) {
      case EntryKind::statement:
        hand_over_statement(entry.index, entry.bytes, leaf, true);
        break;
      case EntryKind::epoch:
        if (const auto epoch = open_epoch(entry.bytes, fleet_, trust_.log)) epoch_ = {*epoch, entry.index};
        break;
      case EntryKind::policy:  // comes with its text, beside the log
      case EntryKind::unknown:
        break;
    }
  }
}

void LogIntake::hand_over_statement(std::uint64_t index, const std::string& envelope, const Digest& leaf, bool proven) {
  const Status taken = sink_.logged(envelope, index, proven);
  if (taken) return;
  if (taken.error().code == Errc::unavailable) {
    postponed_ = true;
  } else if (may_count_later(taken.error().code)) {
    if (waiting_.size() < kMaxWaiting || waiting_.count(index) != 0) {
      waiting_.emplace(index, leaf);
    } else {
      waiting_overflowed_ = true;
    }
  } else {
    ++refused_;
  }
}

void LogIntake::finish() {
  LogAdvance done = std::move(*advance_);
  advance_.reset();
  // The head only got newer cosignatures: nothing that a restart could not read from the mirror.
  const bool same = done.next.frontier.size() == position_.frontier.size() && !position_.origin.empty();
  if (postponed_) return;
  if (!same) {
    if (const Status kept = sink_.remember(done.next); !kept) {
      postponed_ = true;
      return;
    }
  }
  position_ = std::move(done.next);
  if (done.head.seen_at && (!seen_at_ || *done.head.seen_at > *seen_at_)) seen_at_ = done.head.seen_at;
  if (epoch_) sink_.epoch_read(epoch_->first, epoch_->second);
  epoch_.reset();
}

// Entries that were proven when they were read first, or (everything) by an earlier run of this program.
void LogIntake::read_again(std::uint64_t bundle, bool everything) {
  TileReader reader(mirror_.files(), position_.frontier.size());
  const auto file = reader.bundle(bundle);
  const auto entries =
      file ? decode_bundle(file->bytes, file->count) : Result<std::vector<std::string_view>>(file.error());
  if (!entries) return files_away(bundle, everything);
  const auto first = due_.lower_bound(bundle * kTileWidth), last = due_.lower_bound((bundle + 1) * kTileWidth);
  waiting_.insert(first, last);
  due_.erase(first, last);
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const std::uint64_t index = bundle * kTileWidth + i;
    const std::string envelope((*entries)[i]);
    const Digest leaf = leaf_hash(as_bytes(envelope));
    const auto waits = waiting_.find(index);
    const bool proven = waits != waiting_.end() && leaf == waits->second;
    if (!proven && !(everything && entry_kind(envelope) == EntryKind::statement)) continue;
    if (proven) waiting_.erase(waits);
    hand_over_statement(index, envelope, leaf, proven);
  }
}

// What lies before live_from matters no more; the rest is looked for when something changes, at least every minute.
void LogIntake::files_away(std::uint64_t bundle, bool everything) {
  const auto first = due_.lower_bound(bundle * kTileWidth), last = due_.lower_bound((bundle + 1) * kTileWidth);
  const bool matters = (bundle + 1) * kTileWidth > position_.live_from;
  if (matters && (everything || first != last)) unread_.insert(bundle);
  if (matters) waiting_.insert(first, last);
  due_.erase(first, last);
}

bool LogIntake::fresh(const ClockReading& reading) const {
  return seen_at_ && reading.synchronised && *seen_at_ <= reading.wall + kMaxAheadOfUs &&
         reading.wall - *seen_at_ <= trust_.max_age;
}

std::string LogIntake::why_stale(const ClockReading& reading) const {
  if (fresh(reading)) return {};
  if (!seen_at_) return "no head of the log was seen yet: does hallpass-fetch run?";
  if (!reading.synchronised)
    return "this host's clock is not synchronised, so nothing proves how old the log's head is";
  if (*seen_at_ > reading.wall + kMaxAheadOfUs)
    return "the log's head is dated " + format_duration(*seen_at_ - reading.wall) + " ahead of this host's clock";
  return "the newest head of the log was vouched for " + format_duration(reading.wall - *seen_at_) + " ago";
}

}  // namespace hallpass
