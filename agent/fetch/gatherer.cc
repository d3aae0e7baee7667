#include "agent/fetch/gatherer.h"

#include <algorithm>
#include <utility>

#include "agent/fetch/log_source.h"
#include "core/log/tiles.h"

namespace hallpass {
namespace {

constexpr std::chrono::seconds kTidyEvery{60};
constexpr std::chrono::seconds kWithoutPolicies{60};  // that no source could give, and then entries come without them
constexpr std::chrono::seconds kStillRead{120};       // how long an agent may look at a checkpoint that was replaced

std::uint64_t whole_bundle(std::uint64_t index) {
  return index / kTileWidth * kTileWidth;
}

FetchFault local_fault(const Status& failed) {
  return {true, failed.error().message};
}

FetchFault fault_of(const PolicyKeeper::Fault& fault) {
  return {fault.local, fault.message};
}

const char* word_for(Errc code) {
  switch (code) {
    case Errc::too_large:
      return "too large: ";
    case Errc::malformed:
      return "malformed: ";
    case Errc::not_found:
      return "missing: ";
    default:
      return "unavailable: ";
  }
}

FetchFault fault_of_head(const Error& error) {
  const bool form = error.code == Errc::malformed || error.code == Errc::too_large;
  return {false, std::string(form ? "malformed: " : "untrusted: ") + "checkpoint: " + error.message};
}

// The first bundle that was read may begin with entries which this reader has verified long ago and advance() does not
// look at. Other readers of the mirror will: they must be those that the frontier stands on.
std::optional<std::string> wrong_before(const Frontier& known, const LogAdvance& advanced, const LogFiles& files) {
  const std::uint64_t before = advanced.from % kTileWidth, size = advanced.head.checkpoint.size;
  if (before == 0 || advanced.jumped || advanced.from >= size) return std::nullopt;
  const Result<TileReader::Bundle> bundle = TileReader(files, size).bundle(advanced.from / kTileWidth);
  if (!bundle) return bundle.error().message;
  const Result<std::vector<std::string_view>> entries = decode_bundle(bundle->bytes, bundle->count);
  if (!entries) return bundle->path + ": " + entries.error().message;
  Frontier part;
  for (std::uint64_t i = 0; i < before; ++i) part.add(leaf_hash(as_bytes((*entries)[i])));
  // The smaller subtrees of the whole are those of its last, incomplete bundle.
  if (std::equal(part.nodes().rbegin(), part.nodes().rend(), known.nodes().rbegin())) return std::nullopt;
  return bundle->path + ": one of its first " + std::to_string(before) + " entries is not what it was before";
}

// The mirror alone.
class NoCarrier : public Carrier {
 public:
  Result<std::string> file(const std::string& path, std::size_t) override {
    return Error{Errc::not_found, path + " is not in the mirror"};
  }
};

}  // namespace

Gatherer::Gatherer(Mirror& mirror, std::string fleet, LogTrust trust)
    : mirror_(mirror), fleet_(std::move(fleet)), trust_(std::move(trust)), policies_(mirror, fleet_) {}

std::optional<std::string> Gatherer::restore() {
  const std::optional<std::string> note = mirror_.note();
  if (!note) {
    const Status emptied = mirror_.forget_log();
    return emptied ? std::nullopt : std::optional(emptied.error().message);
  }
  Result<VerifiedCheckpoint> head = verify_checkpoint(*note, trust_);
  if (!head) {
    const Status emptied = mirror_.forget_log();
    return "the mirror's checkpoint is not of the log in trust.toml (" + head.error().message + "): begun anew" +
           (emptied ? "" : "; " + emptied.error().message);
  }
  head_ = std::move(*head);
  const std::optional<LogPosition> known = mirror_.position();
  if (known && known->origin == head_->checkpoint.origin && known->frontier.size() <= head_->checkpoint.size) {
    position_ = *known;
    return std::nullopt;
  }
  NoCarrier nothing;
  bool used = false;
  Attempt again = follow({}, *note, nothing, true, mirror_.hint(), &used);
  unsaved_ = std::holds_alternative<LogAdvance>(again);
  if (unsaved_) position_ = std::get<LogAdvance>(again).next;
  if (unsaved_) return std::nullopt;
  return "the mirror is not complete (" + std::get<FetchFault>(again).message + "): what is missing is fetched again";
}

Gatherer::Attempt Gatherer::follow(const LogPosition& from, const std::string& note, Carrier& carrier, bool use_mirror,
                                   const std::optional<EpochHint>& hint, bool* used_mirror) {
  LogSource source(mirror_, carrier, use_mirror, true);
  std::variant<LogAdvance, LogRefusal> result = advance(from, note, trust_, fleet_, source.files(), hint);
  *used_mirror = source.used_mirror();
  if (auto* advanced = std::get_if<LogAdvance>(&result)) {
    const std::optional<std::string> wrong = wrong_before(from.frontier, *advanced, source.files());
    if (!wrong) return std::move(*advanced);
    mirror_.drop();
    return FetchFault{false, "damaged: " + *wrong};
  }
  mirror_.drop();
  if (const auto& trouble = source.trouble()) {
    *used_mirror = false;
    return FetchFault{trouble->local, word_for(trouble->error.code) + trouble->error.message};
  }
  const LogRefusal& refusal = std::get<LogRefusal>(result);
  return FetchFault{false, std::string(to_string(refusal.fault)) + ": " + refusal.message};
}

// A power cut may have damaged the mirror's own files, so they are doubted before the carrier is.
Gatherer::Attempt Gatherer::follow_twice(const LogPosition& from, const std::string& note, Carrier& carrier,
                                         const std::optional<EpochHint>& hint) {
  bool used = false;
  Attempt first = follow(from, note, carrier, true, hint, &used);
  if (std::holds_alternative<LogAdvance>(first) || !used) return first;
  return follow(from, note, carrier, false, hint, &used);
}

std::optional<FetchFault> Gatherer::check_head(const VerifiedCheckpoint& head) const {
  if (!head_) return std::nullopt;
  const Checkpoint &now = head.checkpoint, &before = head_->checkpoint;
  if (now.size < before.size) {
    return FetchFault{false, "rollback: checkpoint: a head of " + std::to_string(now.size) + " entries, and one of " +
                                 std::to_string(before.size) + " was seen before"};
  }
  if (now.size == before.size && !(now.root == before.root)) {
    return FetchFault{false, "fork: checkpoint: another history: two heads of " + std::to_string(now.size) +
                                 " entries with different roots, both signed by the log's key"};
  }
  return std::nullopt;
}

std::variant<Taken, FetchFault> Gatherer::take(const std::string& note, Carrier& from, Moment now) {
  Result<VerifiedCheckpoint> head = verify_checkpoint(note, trust_);
  if (!head) return fault_of_head(head.error());
  if (std::optional<FetchFault> fault = check_head(*head)) return *fault;
  const bool known = head_ && head_->checkpoint == head->checkpoint && position_.origin == head->checkpoint.origin &&
                     position_.frontier.size() == head->checkpoint.size;
  std::variant<Taken, FetchFault> taken = known ? same_head(*head, from) : new_head(*head, from, now);
  if (std::holds_alternative<Taken>(taken)) bridge(from);
  return taken;
}

std::variant<Taken, FetchFault> Gatherer::same_head(const VerifiedCheckpoint& head, Carrier& carrier) {
  if (head.seen_at && (!head_->seen_at || *head.seen_at > *head_->seen_at)) {
    if (const Status published = mirror_.publish(head.note); !published) return local_fault(published);
    head_ = head;
  }
  if (wants_policies()) {
    if (const std::optional<FetchFault> fault = take_policies(carrier)) return *fault;
  }
  if (const std::optional<FetchFault> fault = move_hint(carrier)) return *fault;
  return Taken{false, head.checkpoint.size, 0, head_->seen_at};
}

// Where a reader with nothing begins, or one that is far behind; not asked for otherwise.
std::variant<std::optional<EpochHint>, FetchFault> Gatherer::hint_for(const Checkpoint& head, Carrier& carrier) const {
  if (!position_.origin.empty() && head.size <= size() + kTileWidth) return std::optional<EpochHint>();
  const std::string path(kEpochHintPath);
  const Result<std::string> text = carrier.file(path, kMaxEpochHintBytes);
  if (!text && text.error().code == Errc::not_found) return std::optional<EpochHint>();
  if (!text) return FetchFault{false, word_for(text.error().code) + text.error().message};
  const Result<EpochHint> hint = parse_epoch_hint(*text);
  if (!hint) return FetchFault{false, "malformed: " + path + ": " + hint.error().message};
  return std::optional<EpochHint>(*hint);
}

std::variant<Taken, FetchFault> Gatherer::new_head(const VerifiedCheckpoint& head, Carrier& carrier, Moment now) {
  const auto hint = hint_for(head.checkpoint, carrier);
  if (const auto* fault = std::get_if<FetchFault>(&hint)) return *fault;
  const Attempt attempt = follow_twice(position_, head.note, carrier, std::get<0>(hint));
  if (const auto* fault = std::get_if<FetchFault>(&attempt)) return *fault;
  const LogAdvance& advanced = std::get<LogAdvance>(attempt);
  std::optional<FetchFault> fault = look_for_policies(advanced), of_policy;
  if (!fault) of_policy = policies_first(head.checkpoint, carrier, now);
  if (!fault && of_policy && !policies_can_wait(*of_policy, now)) fault = of_policy;
  if (fault) {
    mirror_.drop();
    return *fault;
  }
  fault = settle(advanced, now);
  if (!fault) fault = of_policy;
  if (!fault) fault = move_hint(carrier);
  if (fault) return *fault;
  return Taken{true, head.checkpoint.size, head.checkpoint.size - advanced.from, head.seen_at};
}

std::optional<FetchFault> Gatherer::policies_first(const Checkpoint& head, Carrier& carrier, Moment now) {
  if (!policies_.wants(agent_.policy)) return std::nullopt;
  const auto trouble = policies_.fetch(carrier, head, agent_.policy);
  if (!trouble) {
    no_policy_since_.reset();
    return std::nullopt;
  }
  if (!no_policy_since_) no_policy_since_ = now;
  return fault_of(*trouble);
}

// Another source may have it. But where none has, revocations must not wait until somebody repairs it: agents read what
// they can verify, and the rest again when the policy comes.
bool Gatherer::policies_can_wait(const FetchFault& fault, Moment now) const {
  return !fault.local && no_policy_since_ && now - *no_policy_since_ >= kWithoutPolicies;
}

// Is there a policy among the new entries? After a jump it may stand before them.
std::optional<FetchFault> Gatherer::look_for_policies(const LogAdvance& advanced) {
  if (advanced.jumped || position_.origin.empty()) policies_.expect_more();
  NoCarrier nothing;
  LogSource source(mirror_, nothing, true, false);
  const std::uint64_t end = advanced.head.checkpoint.size;
  for (std::uint64_t bundle = advanced.from / kTileWidth; advanced.from < end && bundle * kTileWidth < end; ++bundle) {
    const Result<std::vector<LogEntry>> entries = entries_of(advanced, bundle, source.files());
    if (!entries) return FetchFault{true, entries.error().message};
    for (const LogEntry& entry : *entries) {
      if (entry_kind(entry.bytes) == EntryKind::policy) policies_.expect_more();
    }
  }
  return std::nullopt;
}

// Files, then where to begin if there was a jump, then the checkpoint. An agent that reads the hint of the jump with
// the older checkpoint looks again when the newer one is there.
std::optional<FetchFault> Gatherer::settle(const LogAdvance& advanced, Moment now) {
  if (const Status kept = mirror_.keep(); !kept) return local_fault(kept);
  const bool first = position_.origin.empty();
  if (head_) published_[head_->checkpoint.size] = now;
  position_ = advanced.next;
  unsaved_ = true;
  const std::optional<VerifiedCheckpoint> before = std::exchange(head_, advanced.head);
  if ((first || advanced.jumped) && position_.epoch_at != UnixTime{}) {
    const Result<EpochHint> hint = epoch_in_mirror();
    if (hint && whole_bundle(hint->live_from) == whole_bundle(position_.read_from)) {
      if (const Status written = mirror_.write_hint(*hint); !written) return local_fault(written);
    }
  }
  if (const Status published = mirror_.publish(advanced.head.note); !published) {
    head_ = before;
    return local_fault(published);
  }
  return std::nullopt;
}

// The newest epoch, out of its entry.
Result<EpochHint> Gatherer::epoch_in_mirror() const {
  const LogFiles files = [this](const std::string& path, std::size_t limit) { return mirror_.read(path, limit); };
  TileReader reader(files, head_->checkpoint.size);
  const Result<TileReader::Bundle> bundle = reader.bundle(position_.epoch / kTileWidth);
  if (!bundle) return bundle.error();
  const Result<std::vector<std::string_view>> entries = decode_bundle(bundle->bytes, bundle->count);
  if (!entries) return entries.error();
  const std::size_t at = position_.epoch % kTileWidth;
  if (at >= entries->size()) return Error{Errc::mismatch, "the epoch lies beyond its bundle"};
  const Result<Epoch> epoch = open_epoch((*entries)[at], fleet_, trust_.log);
  if (!epoch) return epoch.error();
  return EpochHint{position_.epoch, epoch->live_from, epoch->policy};
}

// A newer epoch moves the place where a reader with nothing begins. Before that is written down, such a reader's way is
// gone once, so that the tiles it needs are there.
std::optional<FetchFault> Gatherer::move_hint(Carrier& carrier) {
  if (position_.epoch_at == UnixTime{}) return std::nullopt;
  const std::optional<EpochHint> present = mirror_.hint();
  if (present && present->index == position_.epoch) return std::nullopt;
  const Result<EpochHint> next = epoch_in_mirror();
  if (!next) return FetchFault{true, "the mirror's newest epoch cannot be read: " + next.error().message};
  const bool same_place = present && whole_bundle(present->live_from) == whole_bundle(next->live_from);
  if (!same_place) {
    const Attempt attempt = follow_twice({}, head_->note, carrier, next.value());
    if (const auto* fault = std::get_if<FetchFault>(&attempt)) return *fault;
    if (const Status kept = mirror_.keep(); !kept) return local_fault(kept);
  }
  const Status written = mirror_.write_hint(*next);
  return written ? std::nullopt : std::optional(local_fault(written));
}

// An agent that was off for so long that it begins anew at the epoch wants proof that the log still contains what it
// knows: the tiles of that proof. Where they cannot be had it says so itself.
void Gatherer::bridge(Carrier& carrier) {
  const std::optional<EpochHint> hint = mirror_.hint();
  const std::uint64_t size = head_->checkpoint.size;
  if (!hint || agent_.log_size == 0 || agent_.log_size >= whole_bundle(hint->live_from)) return;
  if (bridged_ == std::pair(agent_.log_size, size)) return;
  bridged_ = {agent_.log_size, size};
  LogSource source(mirror_, carrier, false, true);
  TileReader reader(source.files(), size);
  const Result<std::vector<Digest>> proof = reader.consistency_proof(agent_.log_size);
  const bool proven =
      proof && verify_consistency(agent_.log_size, size, agent_.log_root, head_->checkpoint.root, *proof);
  if (!proven || !mirror_.keep()) mirror_.drop();
}

std::optional<FetchFault> Gatherer::take_policies(Carrier& from) {
  if (!head_) return std::nullopt;
  const auto fault = policies_.fetch(from, head_->checkpoint, agent_.policy);
  return fault ? std::optional(fault_of(*fault)) : std::nullopt;
}

Status Gatherer::remember() {
  if (!unsaved_) return Unit{};
  Status written = mirror_.remember(position_);
  unsaved_ = !written;
  return written;
}

std::size_t Gatherer::tidy(Moment now) {
  if (!head_ || now - tidied_ < kTidyEvery) return 0;
  tidied_ = now;
  std::set<std::uint64_t> sizes{head_->checkpoint.size};
  for (auto old = published_.begin(); old != published_.end();) {
    if (now - old->second > kStillRead) {
      old = published_.erase(old);
    } else {
      sizes.insert((old++)->first);
    }
  }
  const std::optional<EpochHint> hint = mirror_.hint();
  const std::uint64_t live_from = hint ? whole_bundle(hint->live_from) : 0;
  if (live_from > head_->checkpoint.size) return 0;
  std::set<std::string> needed;
  const LogFiles noting = [&](const std::string& path, std::size_t limit) {
    Result<std::string> bytes = mirror_.read(path, limit);
    if (bytes) needed.insert(path);
    return bytes;
  };
  if (!TileReader(noting, head_->checkpoint.size).frontier_at(live_from)) return 0;
  return mirror_.prune(sizes, live_from, needed);
}

}  // namespace hallpass
