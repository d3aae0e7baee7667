#include "hub/landmarks.h"

#include <algorithm>

#include "core/dsse.h"
#include "core/json.h"
#include "core/policy_trust.h"

namespace hallpass::hub {

Result<PolicyClaim> policy_claim(std::string_view entry) {
  const Result<Envelope> envelope = parse_envelope(entry);
  if (!envelope) return envelope.error();
  if (envelope->payload_type != kPolicyPayloadType) {
    return Error{Errc::malformed, "the envelope does not hold a policy's signatures"};
  }
  const Result<Json> json = parse_json(as_text(envelope->payload));
  if (!json) return json.error();
  JsonReader reader(*json, "a policy statement");
  PolicyClaim claim;
  reader.string("hallpass");
  reader.string("fleet");
  claim.version = reader.integer("version", 1, std::int64_t{1} << 53);
  const Result<Digest> digest = parse_digest("sha256:" + reader.string("sha256"));
  if (!digest) reader.fail("sha256", "must be 64 small hexadecimal digits");
  if (const Status done = reader.finish(); !done) return done.error();
  claim.sha256 = *digest;
  return claim;
}

Status Landmarks::saw(std::uint64_t index, std::string_view entry) {
  switch (entry_kind(entry)) {
    case EntryKind::epoch: {
      const Result<Epoch> epoch = open_epoch(entry, fleet, log_key);
      if (!epoch) return epoch.error();
      return epochs.saw_epoch(index, *epoch);
    }
    case EntryKind::policy: {
      const Result<PolicyClaim> claim = policy_claim(entry);
      if (!claim) return claim.error();
      epochs.saw_policy(index);
      const bool listed =
          std::any_of(policies.begin(), policies.end(), [index](const PolicyHint& p) { return p.index == index; });
      if (!listed) policies.push_back({claim->version, claim->sha256, index});
      return Unit{};
    }
    case EntryKind::statement:
    case EntryKind::unknown:
      break;
  }
  return Unit{};
}

}  // namespace hallpass::hub
