#include "core/statement.h"

#include <algorithm>
#include <cstdlib>

#include "core/hash.h"
#include "core/ssh_wire.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

std::optional<StatementKind> kind_of_type(std::string_view type) {
  for (const StatementKind kind : {StatementKind::request, StatementKind::decision, StatementKind::revocation}) {
    if (payload_type(kind) == type) return kind;
  }
  return std::nullopt;
}

const std::string& fleet_of(const Payload& payload) {
  return std::visit([](const auto& p) -> const std::string& { return p.fleet; }, payload);
}

const std::string& signer_named_in(const Payload& payload) {
  if (const auto* request = std::get_if<Request>(&payload)) return request->subject;
  if (const auto* decision = std::get_if<Decision>(&payload)) return decision->by;
  return std::get<Revocation>(payload).by;
}

// Where a browser made the signature: behind the signature itself, flags and counter. For verified signatures only,
// which hold it.
std::string webauthn_origin(const Sshsig& sig) {
  if (sig.algorithm != "webauthn-sk-ecdsa-sha2-nistp256@openssh.com") return {};
  WireReader fields(sig.signature);
  fields.string();
  fields.u8();
  fields.u32();
  return std::string(fields.text());
}

// Is `wire`, which parse_envelope took for `envelope`, what format_envelope would write? Most are, and encoding them
// again costs more than all else here but the signature. Only what stands around the three strings is compared: where
// that is at its place, each string has the length of its decoded form, so no escape hides in it, and strict base64 has
// one spelling.
bool is_canonical(std::string_view wire, const Envelope& envelope, std::string_view fingerprint) {
  const auto encoded = [](const Bytes& bytes) { return (bytes.size() + 2) / 3 * 4; };
  const std::string before = R"({"payload":")";
  const std::string middle = R"(","payloadType":")" + envelope.payload_type + R"(","signatures":[{"keyid":")" +
                             std::string(fingerprint) + R"(","sig":")";
  const std::string_view after = R"("}]})";
  const std::size_t middle_at = before.size() + encoded(envelope.payload);
  const std::size_t after_at = middle_at + middle.size() + encoded(envelope.signatures.front().signature);
  return wire.size() == after_at + after.size() && wire.substr(0, before.size()) == before &&
         wire.substr(middle_at, middle.size()) == middle && wire.substr(after_at) == after;
}

// The envelope with the one spelling that we store: the keyid is a hint that its sender chose.
std::string canonical_envelope(std::string_view wire, Envelope envelope, const PublicKey& key) {
  if (is_canonical(wire, envelope, key.fingerprint())) return std::string(wire);
  envelope.signatures.front().keyid = key.fingerprint();
  return format_envelope(envelope);
}

Status check_meaning(const Payload& payload, std::string_view fleet, const std::string& owner) {
  if (fleet_of(payload) != fleet) {
    return Error{Errc::mismatch, "it belongs to the fleet " + fleet_of(payload) + ", not to " + std::string(fleet)};
  }
  if (signer_named_in(payload) != owner) {
    return Error{Errc::mismatch, "it speaks for " + signer_named_in(payload) + " but is signed with a key of " + owner};
  }
  return Unit{};
}

}  // namespace

struct Statement::Parts {
  StatementKind kind;
  Payload payload;
  Digest digest;
  PublicKey key;
  std::string signer;
  Presence presence;
  std::string origin;
  std::string envelope;
};

StatementKind Statement::kind() const {
  return parts_->kind;
}
const Request* Statement::request() const {
  return std::get_if<Request>(&parts_->payload);
}
const Decision* Statement::decision() const {
  return std::get_if<Decision>(&parts_->payload);
}
const Revocation* Statement::revocation() const {
  return std::get_if<Revocation>(&parts_->payload);
}
const Digest& Statement::payload_digest() const {
  return parts_->digest;
}
const PublicKey& Statement::key() const {
  return parts_->key;
}
const std::string& Statement::signer() const {
  return parts_->signer;
}
Presence Statement::presence() const {
  return parts_->presence;
}
UnixTime Statement::made_at() const {
  if (const Request* r = request()) return r->requested_at;
  if (const Decision* d = decision()) return d->decided_at;
  if (const Revocation* r = revocation()) return r->revoked_at;
  std::abort();
}
const std::string& Statement::origin() const {
  return parts_->origin;
}
const std::string& Statement::envelope() const {
  return parts_->envelope;
}

bool operator==(const Statement& a, const Statement& b) {
  return a.payload_digest() == b.payload_digest() && a.key().fingerprint() == b.key().fingerprint();
}

bool operator<(const Statement& a, const Statement& b) {
  if (a.payload_digest() != b.payload_digest()) return a.payload_digest() < b.payload_digest();
  return a.key().fingerprint() < b.key().fingerprint();
}

Result<Statement> open_statement(std::string_view wire, std::string_view fleet, const KeyRing& keys) {
  if (wire.size() > kMaxStatementEnvelopeBytes) return Error{Errc::too_large, "a statement may have 96 KiB at most"};
  // White space to JSON, but a statement is one line, and lines end in \n alone.
  if (wire.find_first_of("\r\n") != std::string_view::npos) {
    return Error{Errc::malformed, "a statement is one line without a carriage return; end lines with \\n, not \\r\\n"};
  }
  Result<Envelope> envelope = parse_envelope(wire);
  if (!envelope) return envelope.error();
  const std::optional<StatementKind> kind = kind_of_type(envelope->payload_type);
  if (!kind) {
    return Error{Errc::unsupported,
                 "no statement of ours has the payloadType " + printable(envelope->payload_type, 80)};
  }
  if (envelope->signatures.size() != 1) return Error{Errc::malformed, "a statement has exactly one signature"};
  if (envelope->payload.size() > kMaxPayloadBytes) return Error{Errc::too_large, "a payload may have 32 KiB at most"};

  const Result<Sshsig> signature = parse_sshsig(envelope->signatures.front().signature);
  if (!signature) return signature.error();
  if (signature->hash != "sha512") {
    return Error{Errc::unsupported, "statements are signed over sha512 (ssh-keygen -O hashalg=sha512), not " +
                                        printable(signature->hash, 20)};
  }
  const std::optional<KeyRing::Owner> owner = keys.find(signature->key);
  if (!owner) {
    return Error{Errc::unknown_key, "the key " + signature->key.fingerprint() + " belongs to nobody in the policy"};
  }
  const Bytes message = pre_authentication_encoding(envelope->payload_type, envelope->payload);
  const Result<Presence> presence =
      verify_sshsig(*signature, owner->key, signature_namespace(*kind), message, keys.webauthn_origins());
  if (!presence) return presence.error();

  Result<Payload> payload = parse_payload(*kind, as_text(envelope->payload));
  if (!payload) return payload.error();
  if (const Status ok = check_meaning(*payload, fleet, owner->name); !ok) return ok.error();
  const Digest digest = sha256(envelope->payload);
  return Statement(std::make_shared<const Statement::Parts>(
      Statement::Parts{*kind, std::move(*payload), digest, owner->key, owner->name, *presence,
                       webauthn_origin(*signature), canonical_envelope(wire, std::move(*envelope), owner->key)}));
}

std::vector<std::string_view> grant_file_lines(std::string_view file) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin < file.size();) {
    const std::size_t end = std::min(file.find('\n', begin), file.size());
    if (end > begin) lines.push_back(file.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace hallpass
