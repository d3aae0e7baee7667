#include "agent/fetch/policy_keeper.h"

#include <algorithm>

#include "agent/fetch/log_source.h"
#include "core/dsse.h"
#include "core/hash.h"
#include "core/log/merkle.h"
#include "core/log/tile_reader.h"
#include "core/log/tiles.h"
#include "core/policy_trust.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxVersions = 1000;  // as many as the agent reads

PolicyKeeper::Fault damaged(const std::string& what) {
  return {false, "damaged: " + what};
}

// Of a file that the list of policies promises.
PolicyKeeper::Fault of_download(const Error& error) {
  return {false, (error.code == Errc::not_found ? "missing: " : "unavailable: ") + error.message};
}

}  // namespace

std::vector<PolicyHint> policies_needed(const std::vector<PolicyHint>& all, const std::set<std::int64_t>& have,
                                        std::int64_t in_force, bool newest_waits) {
  std::vector<PolicyHint> needed;
  if (all.empty()) return needed;
  const auto first = all.size() > kMaxVersions ? all.end() - kMaxVersions : all.begin();
  for (auto hint = first; hint != all.end(); ++hint) {
    const bool newest = hint + 1 == all.end();
    const bool wanted = in_force > 0 ? hint->version > in_force : newest || newest_waits;
    if (wanted && have.count(hint->version) == 0) needed.push_back(*hint);
  }
  return needed;
}

bool PolicyKeeper::newest_waits(std::int64_t in_force) const {
  if (newest_ == 0 || in_force >= newest_) return false;
  const std::optional<std::chrono::seconds> age = mirror_.age_of_policy(newest_);
  return age && *age >= kPatience;
}

bool PolicyKeeper::wants(std::int64_t in_force) const {
  // In force was more than now: the agent's ledger was given up.
  return expects_more_ || in_force < asked_for_ || (missing_ > 0 && newest_waits(in_force));
}

std::optional<PolicyKeeper::Fault> PolicyKeeper::fetch(Carrier& carrier, const Checkpoint& head,
                                                       std::int64_t in_force) {
  const std::string list_path(kPolicyHintsPath);
  const Result<std::string> text = carrier.file(list_path, kMaxPolicyHintsBytes);
  if (!text) return of_download(text.error());
  Result<std::vector<PolicyHint>> all = parse_policy_hints(*text);
  if (!all) return Fault{false, "malformed: " + list_path + ": " + all.error().message};
  // What came after the head that is being taken comes with a later one.
  std::erase_if(*all, [&](const PolicyHint& hint) { return hint.index >= head.size; });
  newest_ = all->empty() ? 0 : all->back().version;
  std::set<std::int64_t> have = mirror_.policies();
  // Its tiles are not kept: only the hashes on the way of a proof are verified, not all of each tile.
  LogSource source(mirror_, carrier, false, false);
  TileReader tiles(source.files(), head.size);
  for (const PolicyHint& hint : policies_needed(*all, have, in_force, newest_waits(in_force))) {
    if (std::optional<Fault> fault = fetch_one(carrier, tiles, head, hint)) return fault;
    have.insert(hint.version);
  }
  missing_ = policies_needed(*all, have, in_force, true).size();
  asked_for_ = in_force;
  if (newest_ != 0 && have.count(newest_) != 0) {
    if (const Status put = mirror_.put_newest_policy(newest_); !put) return Fault{true, put.error().message};
  }
  expects_more_ = false;
  return std::nullopt;
}

std::optional<PolicyKeeper::Fault> PolicyKeeper::fetch_one(Carrier& carrier, TileReader& tiles, const Checkpoint& head,
                                                           const PolicyHint& hint) {
  const std::string text_path = policy_text_path(hint.sha256), sig_path = policy_signature_path(hint.sha256);
  const Result<std::string> sig = carrier.file(sig_path, kMaxEntryBytes);
  if (!sig) return of_download(sig.error());
  const Result<std::string> toml = carrier.file(text_path, kMaxPolicyBytes);
  if (!toml) return of_download(toml.error());
  if (!(sha256(*toml) == hint.sha256)) return damaged(text_path + " is not the text that its name tells");
  const Result<Envelope> envelope = parse_envelope(*sig);
  if (!envelope || envelope->payload_type != kPolicyPayloadType ||
      as_text(envelope->payload) != policy_payload(fleet_, hint.version, hint.sha256)) {
    return damaged(sig_path + " does not hold signatures of version " + std::to_string(hint.version) + " of fleet " +
                   fleet_);
  }
  const Result<std::vector<Digest>> proof = tiles.inclusion_proof(hint.index);
  if (!proof) return of_download(proof.error());
  if (!verify_inclusion(hint.index, head.size, leaf_hash(as_bytes(*sig)), *proof, head.root)) {
    return damaged(sig_path + " is not entry " + std::to_string(hint.index) + " of the log");
  }
  if (const Status put = mirror_.put_policy(hint.version, *toml, *sig); !put) return Fault{true, put.error().message};
  return std::nullopt;
}

}  // namespace hallpass
