#include "hub/log_check.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/hash.h"
#include "core/log/tiles.h"
#include "core/values/text.h"

namespace hallpass::hub {
namespace {

constexpr Seconds kClockSlack{120};
constexpr std::size_t kMaxPolicyBytes = std::size_t{4} * 1024 * 1024;

std::string entries(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " entry" : " entries");
}

Error damage(const Error& found, const char* what_name) {
  const std::string repair =
      ": restore that file from a backup or a mirror (files of the log never change), then start again";
  if (found.code == Errc::not_found) return refusal("file_missing", found.message + repair);
  if (found.code == Errc::unavailable) return refusal("unreadable", found.message + ": repair the disk or the rights");
  const bool bundle = found.message.rfind("tile/entries/", 0) == 0;
  return refusal(bundle ? "bundle_damaged" : what_name, found.message + repair);
}

struct SignedHead {
  LogHead head;
  std::optional<UnixTime> cosigned_at;  // by our own witness
};

// `name`: of what is wrong with a note that is no head of this log.
Result<SignedHead> open_head(const std::string& note, const StoreOptions& options, const char* where,
                             const char* name) {
  const NoteKey& key = options.log_key.verifier();
  const std::array<NoteKey, 2> known{key, options.witness};
  const Result<Note> opened = open_note(note, known);
  if (!opened && opened.error().code == Errc::unknown_key) {
    return refusal("other_key", std::string(where) + " is not signed by log.key (" + printable(key.name, 80) +
                                    "): give the hub the key that belongs to this log, or its own directories");
  }
  const auto undo =
      std::string(": ") + where + " must be restored from a backup that is not older than what hosts have";
  if (!opened) return refusal(name, opened.error().message + undo);
  const auto by = [&](const NoteKey& who) {
    return std::find_if(opened->signatures.begin(), opened->signatures.end(),
                        [&](const NoteSignature& s) { return s.key == who; });
  };
  if (by(key) == opened->signatures.end()) return refusal(name, "the log's own signature is missing" + undo);
  const Result<Checkpoint> checkpoint = parse_checkpoint(opened->text);
  if (!checkpoint) return refusal(name, checkpoint.error().message + undo);
  if (checkpoint->origin != key.name) {
    return refusal(name, "it is of the log " + printable(checkpoint->origin, 80) + undo);
  }
  SignedHead found{{*checkpoint, note}, std::nullopt};
  if (const auto ours = by(options.witness); ours != opened->signatures.end()) found.cosigned_at = ours->at;
  return found;
}

Result<LogHead> check_committed(const LogToCheck& log) {
  const Result<std::string> note = log.state(std::string(kCommittedName), kMaxNoteBytes);
  if (!note && note.error().code == Errc::not_found) {
    const bool is_log = log.log(std::string(kCheckpointPath), kMaxNoteBytes).has_value();
    if (!is_log) return refusal("not_initialised", "there is no log here yet: run `hallpass-hub init` once");
    return refusal("committed_missing",
                   "there is a log, but state/committed is gone, by which a hub knows what it has promised: restore it "
                   "from a backup that is not older than log/checkpoint");
  }
  if (!note) return refusal("unreadable", note.error().message + ": repair the disk or the rights");
  const Result<SignedHead> head = open_head(*note, log.options, "state/committed", "committed_damaged");
  if (!head) return head.error();
  return head->head;
}

// The partial tiles and the last bundle, and of each level the last full tile against its hash above.
Result<RightEdge> check_edge(TileReader& reader, const Checkpoint& head) {
  Result<RightEdge> edge = RightEdge::load(reader, head.size);
  if (!edge) {
    return damage(edge.error(), "tile_damaged");
  }
  std::uint64_t count = head.size / kTileWidth;
  for (unsigned level = 0; count > 0; ++level, count /= kTileWidth) {
    const std::uint64_t last = count - 1;
    const Result<std::vector<Digest>> below = reader.tile(level, last);
    if (!below) return damage(below.error(), "tile_damaged");
    const Result<std::vector<Digest>> above = reader.tile(level + 1, last / kTileWidth);
    if (!above) return damage(above.error(), "tile_damaged");
    if (root_of_tile(*below) != (*above)[static_cast<std::size_t>(last % kTileWidth)]) {
      return damage({Errc::mismatch, tile_path(level, last) + " and the tile above it do not fit each other"},
                    "tile_damaged");
    }
  }
  if (edge->frontier().root() != head.root) {
    return refusal("root_differs", "the tiles of the last of the " + entries(head.size) +
                                       " do not lead to the root that state/committed signs: restore tile/ and state/ "
                                       "from the same moment, not older than what hosts have");
  }
  return edge;
}

struct PublishedHead {
  std::optional<std::uint64_t> size;  // nullopt: none, it is published again
  UnixTime cosigned_at{};
};

Result<PublishedHead> check_published(const LogToCheck& log, TileReader& reader, const Checkpoint& head) {
  const Result<std::string> note = log.log(std::string(kCheckpointPath), kMaxNoteBytes);
  if (!note && note.error().code == Errc::not_found) return PublishedHead();
  if (!note) return refusal("unreadable", note.error().message + ": repair the disk or the rights");
  const Result<SignedHead> published = open_head(*note, log.options, "log/checkpoint", "published_damaged");
  if (!published) return published.error();
  const Checkpoint& theirs = published->head.checkpoint;
  if (theirs.size > head.size) {
    return refusal("published_newer", "log/checkpoint has " + entries(theirs.size) + ", state/committed only " +
                                          std::to_string(head.size) +
                                          ": state/ is an old copy; restore the newest, or hosts will see a fork");
  }
  const Result<Digest> ours = reader.root_at(theirs.size);
  if (!ours) return damage(ours.error(), "tile_damaged");
  if (*ours != theirs.root) {
    return refusal("published_fork", "log/checkpoint and the files tell two histories of the first " +
                                         entries(theirs.size) +
                                         ": find out who wrote the other; hosts believe log/checkpoint");
  }
  return PublishedHead{theirs.size, published->cosigned_at.value_or(UnixTime{})};
}

Status check_clock(UnixTime now, UnixTime last, const char* what) {
  if (now >= last - kClockSlack) return Unit{};
  return refusal("clock_behind", "this machine's clock says " + format_time(now) + ", but " + what + " is from " +
                                     format_time(last) + ": set the clock right, or wait if it was ahead then");
}

struct Hints {
  std::optional<EpochHint> epoch;
  std::vector<PolicyHint> policies;
};

Result<std::string> read_hint(const LogFiles& files, std::string_view path, std::size_t limit) {
  Result<std::string> text = files(std::string(path), limit);
  if (!text && text.error().code == Errc::not_found) return std::string();
  if (!text) return refusal("unreadable", text.error().message + ": repair the disk or the rights");
  return text;
}

Error rolled_back(std::string_view hint, std::uint64_t index, std::uint64_t size) {
  return refusal("rolled_back", "the file " + std::string(hint) + " names entry " + std::to_string(index) +
                                    ", and the log has only " + std::to_string(size) +
                                    ": log/ or state/ is an old copy; restore the newest, or hosts will see a fork");
}

Result<Hints> read_hints(const CheckedLog& found) {
  const std::uint64_t size = found.head.checkpoint.size;
  Hints hints;
  // A hint that cannot be read helps nobody and proves nothing: all is read, and it is written anew.
  if (const Result<EpochHint> epoch = parse_epoch_hint(found.epoch_hint)) hints.epoch = *epoch;
  if (hints.epoch && hints.epoch->index >= size) return rolled_back(kEpochHintPath, hints.epoch->index, size);
  if (found.policy_hints.empty()) return hints;
  Result<std::vector<PolicyHint>> policies = parse_policy_hints(found.policy_hints);
  if (!policies) {
    return refusal("policy_damaged", policies.error().message + ": restore log/policies from a backup or a mirror");
  }
  for (const PolicyHint& policy : *policies) {
    if (policy.index >= size) return rolled_back(kPolicyHintsPath, policy.index, size);
  }
  hints.policies = std::move(*policies);
  return hints;
}

// All entries from `from` on, against the committed root: frontier and entries must give it.
Status check_live(std::uint64_t from, TileReader& reader, const Checkpoint& head, Landmarks& landmarks,
                  const EachEntry& each) {
  const std::uint64_t first = from / kTileWidth;
  Result<Frontier> frontier = reader.frontier_at(first * kTileWidth);
  if (!frontier) return damage(frontier.error(), "tile_damaged");
  for (std::uint64_t b = first; b * kTileWidth < head.size; ++b) {
    const Result<TileReader::Bundle> bundle = reader.bundle(b);
    if (!bundle) return damage(bundle.error(), "bundle_damaged");
    const Result<std::vector<std::string_view>> list = decode_bundle(bundle->bytes, bundle->count);
    if (!list) return damage({Errc::malformed, bundle->path + ": " + list.error().message}, "bundle_damaged");
    const Result<std::vector<Digest>> hashes = reader.tile(0, b);
    if (!hashes) return damage(hashes.error(), "tile_damaged");
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::uint64_t index = b * kTileWidth + i;
      const Digest leaf = leaf_hash(as_bytes((*list)[i]));
      if (leaf != (*hashes)[i]) {
        return damage({Errc::mismatch, bundle->path + ": entry " + std::to_string(index) +
                                           " is not the one that its tile has the hash of"},
                      "bundle_damaged");
      }
      frontier->add(leaf);
      if (index < from) continue;
      if (const Status seen = landmarks.saw(index, (*list)[i]); !seen) {
        return refusal("epoch_wrong", "entry " + std::to_string(index) + ": " + seen.error().message +
                                          ": no hub of this log wrote that; look for who else has its key");
      }
      if (each) each(index, (*list)[i]);
    }
  }
  if (frontier->root() == head.root) return Unit{};
  return refusal("root_differs", "the entries from " + std::to_string(first * kTileWidth) +
                                     " on do not lead to the root that state/committed signs: restore tile/ from a "
                                     "backup or a mirror");
}

Status check_policy(const PolicyHint& policy, const LogFiles& files, TileReader& reader, const Checkpoint& head) {
  const auto wrong = [&](const std::string& why) {
    return refusal("policy_damaged", "policy " + std::to_string(policy.version) + " (entry " +
                                         std::to_string(policy.index) + "): " + why +
                                         ": restore policies and policy/ from a backup or a mirror");
  };
  const Result<std::string> text = files(policy_text_path(policy.sha256), kMaxPolicyBytes);
  if (!text) return wrong(text.error().message);
  if (sha256(*text) != policy.sha256) return wrong("its text does not have the SHA-256 of its name");
  const Result<std::string> sig = files(policy_signature_path(policy.sha256), kMaxEntryBytes);
  if (!sig) return wrong(sig.error().message);
  const Result<PolicyClaim> claim = policy_claim(*sig);
  if (!claim) return wrong(claim.error().message);
  if (claim->version != policy.version || claim->sha256 != policy.sha256) return wrong("its .sig is of another policy");
  const Result<std::vector<Digest>> proof = reader.inclusion_proof(policy.index);
  if (!proof) return wrong(proof.error().message);
  if (verify_inclusion(policy.index, head.size, leaf_hash(as_bytes(*sig)), *proof, head.root)) return Unit{};
  return wrong("its .sig is not that entry of the log");
}

Status check_landmarks(const Landmarks& landmarks, const Hints& hints, const LogToCheck& log, TileReader& reader,
                       const Checkpoint& head) {
  for (const PolicyHint& policy : landmarks.policies) {
    if (const Status good = check_policy(policy, log.log, reader, head); !good) return good;
  }
  const auto& policies = landmarks.policies;
  const auto in_force = landmarks.epochs.policy();
  if (in_force && std::none_of(policies.begin(), policies.end(), [&](const auto& p) { return p.index == *in_force; })) {
    return refusal("policy_damaged", "the file policies does not list the policy in force, entry " +
                                         std::to_string(*in_force) + ": restore it from a backup or a mirror");
  }
  if (!hints.epoch) return check_clock(log.now, landmarks.epochs.newest_at(), "the newest epoch in the log");
  const auto& newest = landmarks.epochs.newest();
  if (!newest || newest->index < hints.epoch->index || newest->live_from < hints.epoch->live_from) {
    return refusal("epoch_wrong", "the file epoch names entry " + std::to_string(hints.epoch->index) +
                                      ", which is no such epoch: remove the file, it is a hint and written anew");
  }
  return check_clock(log.now, landmarks.epochs.newest_at(), "the newest epoch in the log");
}

}  // namespace

Error refusal(std::string_view name, const std::string& sentence) {
  return {Errc::mismatch, std::string(name) + ": " + sentence};
}

Result<CheckedLog> check_log(const LogToCheck& log, Landmarks& landmarks, const EachEntry& each) {
  CheckedLog found;
  Result<LogHead> head = check_committed(log);
  if (!head) return head.error();
  found.head = std::move(*head);
  const Checkpoint& checkpoint = found.head.checkpoint;
  TileReader reader(log.log, checkpoint.size);
  Result<RightEdge> edge = check_edge(reader, checkpoint);
  if (!edge) return edge.error();
  found.edge = std::move(*edge);
  const Result<PublishedHead> published = check_published(log, reader, checkpoint);
  if (!published) return published.error();
  found.published = published->size;
  const Status timely = check_clock(log.now, published->cosigned_at, "our own last cosignature in log/checkpoint");
  if (!timely) return timely.error();
  Result<std::string> text = read_hint(log.log, kEpochHintPath, kMaxEpochHintBytes);
  if (!text) return text.error();
  found.epoch_hint = std::move(*text);
  text = read_hint(log.log, kPolicyHintsPath, kMaxPolicyHintsBytes);
  if (!text) return text.error();
  found.policy_hints = std::move(*text);
  const Result<Hints> hints = read_hints(found);
  if (!hints) return hints.error();
  landmarks.policies = hints->policies;
  const std::uint64_t from = hints->epoch ? std::min(hints->epoch->live_from, hints->epoch->index) : 0;
  if (const Status good = check_live(from, reader, checkpoint, landmarks, each); !good) return good.error();
  if (const Status good = check_landmarks(landmarks, *hints, log, reader, checkpoint); !good) return good.error();
  return found;
}

}  // namespace hallpass::hub
