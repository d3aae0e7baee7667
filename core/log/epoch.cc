#include "core/log/epoch.h"

#include <algorithm>

#include "core/dsse.h"
#include "core/json.h"
#include "core/log/merkle.h"
#include "core/log/tiles.h"
#include "core/policy_trust.h"
#include "core/statement.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::string_view kEpochVersion = "epoch/1";
constexpr auto kMaxIndex = static_cast<std::int64_t>(kMaxLogSize);
constexpr std::int64_t kMaxPolicyVersion = std::int64_t{1} << 53;

std::uint64_t read_index(JsonReader& reader, std::string_view name) {
  return static_cast<std::uint64_t>(reader.integer(name, 0, kMaxIndex));
}

Json index_json(std::uint64_t index) {
  return static_cast<std::int64_t>(index);
}

Result<Epoch> read_epoch(ByteView payload) {
  const Result<Json> json = parse_json(as_text(payload));
  if (!json) return Error{Errc::malformed, "an epoch: " + json.error().message};
  JsonReader reader(*json, "an epoch");
  if (reader.string("hallpass") != kEpochVersion) reader.fail("hallpass", "is not \"epoch/1\"");
  Epoch epoch;
  epoch.fleet = reader.string("fleet");
  epoch.log = reader.string("log");
  epoch.live_from = read_index(reader, "live_from");
  epoch.policy = read_index(reader, "policy");
  const Result<UnixTime> at = parse_time(reader.string("at"));
  if (!at) reader.fail("at", "is not a time as 2026-01-31T12:00:00Z");
  if (const Status finished = reader.finish(); !finished) return finished.error();
  epoch.at = *at;
  return epoch;
}

Result<PolicyHint> read_policy_hint(const Json& json) {
  JsonReader reader(json, "a policy of the list");
  PolicyHint hint;
  hint.version = reader.integer("version", 1, kMaxPolicyVersion);
  const Result<Digest> digest = parse_digest("sha256:" + reader.string("sha256"));
  if (!digest) reader.fail("sha256", "is not 64 hexadecimal digits");
  hint.index = read_index(reader, "index");
  if (const Status finished = reader.finish(); !finished) return finished.error();
  hint.sha256 = *digest;
  return hint;
}

}  // namespace

std::string format_epoch(const Epoch& epoch, const NoteSigner& log_key) {
  const std::string payload = to_json(JsonObject{{"hallpass", Json(kEpochVersion)},
                                                 {"fleet", Json(epoch.fleet)},
                                                 {"log", Json(epoch.log)},
                                                 {"live_from", index_json(epoch.live_from)},
                                                 {"policy", index_json(epoch.policy)},
                                                 {"at", Json(format_time(epoch.at))}});
  Envelope envelope;
  envelope.payload_type = kEpochPayloadType;
  envelope.payload.assign(payload.begin(), payload.end());
  const Bytes message = pre_authentication_encoding(envelope.payload_type, envelope.payload);
  envelope.signatures.push_back({log_key.verifier().name, log_key.sign_raw(message)});
  return format_envelope(envelope);
}

// Reads the one spelling that format_envelope writes; what is spelled otherwise is nothing of ours.
EntryKind entry_kind(std::string_view entry) {
  constexpr std::string_view kHead = R"({"payload":")", kMiddle = R"(","payloadType":")";
  if (entry.substr(0, kHead.size()) != kHead) return EntryKind::unknown;
  entry.remove_prefix(kHead.size());
  entry.remove_prefix(std::min(entry.find('"'), entry.size()));
  if (entry.substr(0, kMiddle.size()) != kMiddle) return EntryKind::unknown;
  entry.remove_prefix(kMiddle.size());
  const std::string_view type = entry.substr(0, entry.find('"'));
  if (type == kEpochPayloadType) return EntryKind::epoch;
  if (type == kPolicyPayloadType) return EntryKind::policy;
  for (const StatementKind kind : {StatementKind::request, StatementKind::decision, StatementKind::revocation}) {
    if (type == payload_type(kind)) return EntryKind::statement;
  }
  return EntryKind::unknown;
}

Result<Epoch> open_epoch(std::string_view entry, std::string_view fleet, const NoteKey& log_key) {
  const Result<Envelope> envelope = parse_envelope(entry);
  if (!envelope) return Error{Errc::malformed, "an epoch: " + envelope.error().message};
  if (envelope->payload_type != kEpochPayloadType || envelope->signatures.size() != 1 ||
      format_envelope(*envelope) != entry) {
    return Error{Errc::malformed, "not an epoch, or not one envelope with one signature, spelled as we spell it"};
  }
  const EnvelopeSignature& signature = envelope->signatures.front();
  if (signature.keyid != log_key.name ||
      !verify_ed25519(log_key.key, pre_authentication_encoding(kEpochPayloadType, envelope->payload),
                      signature.signature)) {
    return Error{Errc::bad_signature, "the epoch is not signed by the log \"" + printable(log_key.name, 80) + "\""};
  }
  Result<Epoch> epoch = read_epoch(envelope->payload);
  if (!epoch) return epoch;
  if (epoch->fleet != fleet) {
    return Error{Errc::mismatch, "the epoch is of the fleet \"" + printable(epoch->fleet, 80) + "\", not of \"" +
                                     printable(fleet, 80) + "\""};
  }
  if (epoch->log != log_key.name) {
    return Error{Errc::mismatch, "the epoch is of the log \"" + printable(epoch->log, 80) + "\", not of \"" +
                                     printable(log_key.name, 80) + "\""};
  }
  return epoch;
}

std::string format_epoch_hint(const EpochHint& hint) {
  return to_json(JsonObject{{"index", index_json(hint.index)},
                            {"live_from", index_json(hint.live_from)},
                            {"policy", index_json(hint.policy)}}) +
         "\n";
}

Result<EpochHint> parse_epoch_hint(std::string_view text) {
  if (text.size() > kMaxEpochHintBytes) return Error{Errc::too_large, "the epoch's hint is over 512 bytes"};
  const Result<Json> json = parse_json(text);
  if (!json) return Error{Errc::malformed, "the epoch's hint: " + json.error().message};
  JsonReader reader(*json, "the epoch's hint");
  EpochHint hint;
  hint.index = read_index(reader, "index");
  hint.live_from = read_index(reader, "live_from");
  hint.policy = read_index(reader, "policy");
  if (const Status finished = reader.finish(); !finished) return finished.error();
  return hint;
}

std::string format_policy_hints(const std::vector<PolicyHint>& hints) {
  JsonArray list;
  for (const PolicyHint& hint : hints) {
    list.emplace_back(JsonObject{{"version", Json(hint.version)},
                                 {"sha256", Json(hex_encode(hint.sha256.bytes))},
                                 {"index", index_json(hint.index)}});
  }
  return to_json(std::move(list)) + "\n";
}

Result<std::vector<PolicyHint>> parse_policy_hints(std::string_view text) {
  if (text.size() > kMaxPolicyHintsBytes) return Error{Errc::too_large, "the list of policies is over 1 MiB"};
  const Result<Json> json = parse_json(text);
  if (!json) return Error{Errc::malformed, "the list of policies: " + json.error().message};
  const JsonArray* list = json->as_array();
  if (list == nullptr) return Error{Errc::malformed, "the list of policies is not a JSON list"};
  std::vector<PolicyHint> hints;
  for (const Json& row : *list) {
    const Result<PolicyHint> hint = read_policy_hint(row);
    if (!hint) return hint.error();
    if (!hints.empty() && hint->version <= hints.back().version) {
      return Error{Errc::malformed, "the list of policies is not in the order of their versions"};
    }
    hints.push_back(*hint);
  }
  return hints;
}

std::string policy_text_path(const Digest& sha256) {
  return "policy/" + hex_encode(sha256.bytes) + ".toml";
}

std::string policy_signature_path(const Digest& sha256) {
  return "policy/" + hex_encode(sha256.bytes) + ".sig";
}

}  // namespace hallpass
