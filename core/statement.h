// Statements: the signed documents of docs/architecture.md section 4 (bytes: docs/formats.md), and the only way to hold
// a verified one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/dsse.h"
#include "core/ssh_key.h"
#include "core/sshsig.h"
#include "core/values/digest.h"
#include "core/values/result.h"
#include "core/values/selector.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr Seconds kMaxClockAhead{120};       // how far ahead of ours a signer's clock may be
inline constexpr Seconds kMaxRespondBy{24 * 3600};  // after requested_at
inline constexpr Seconds kDefaultRespondBy{8 * 3600};
inline constexpr Seconds kMaxNotBefore{7 * 24 * 3600};
inline constexpr Seconds kMaxDuration{7 * 24 * 3600};

struct Request {
  std::string fleet;
  std::string subject;
  std::string runbook;
  Digest runbook_digest;
  std::map<std::string, std::vector<std::string>> parameters;  // name -> values chosen, as listed in the runbook
  std::vector<Selector> targets;                               // at least one
  Seconds duration{};
  std::string reason;
  std::string ticket;  // may be empty
  UnixTime requested_at{};
  UnixTime respond_by{};
  std::optional<UnixTime> not_before;
  std::string nonce;  // 22 base64url characters
};

struct Decision {
  std::string fleet;
  Digest request;
  std::string by;
  bool approve = false;
  std::optional<Seconds> duration;               // shorter than asked, or the same
  std::optional<std::vector<Selector>> targets;  // narrower than asked
  UnixTime decided_at{};
  std::string comment;
};

struct Revocation {
  enum class Form { request, subject, key };
  Form form = Form::request;
  std::string fleet;
  Digest request;       // Form::request
  std::string subject;  // Form::subject
  std::string key;      // Form::key: "SHA256:..."
  std::string by;
  UnixTime revoked_at{};
  std::string reason;
};

using Payload = std::variant<Request, Decision, Revocation>;
enum class StatementKind { request, decision, revocation };

// "application/vnd.hallpass.request.v1+json", "request@hallpass"
std::string_view payload_type(StatementKind kind);
std::string_view signature_namespace(StatementKind kind);

// The payload alone: what gets signed. Errors: malformed with the member named, unsupported (other versions),
// too_large.
Result<Payload> parse_payload(StatementKind kind, std::string_view json);
std::string format_payload(const Payload& payload);

// Who may have signed: finds enrolled keys, and says which origins a browser's signature may come from.
class KeyRing {
 public:
  virtual ~KeyRing() = default;
  // The enrolled key with these bytes and the name (person or service) that owns it; nullopt when nobody does.
  struct Owner {
    PublicKey key;
    std::string name;
  };
  virtual std::optional<Owner> find(const PublicKey& key) const = 0;
  virtual std::span<const std::string> webauthn_origins() const = 0;
};

// A verified statement. Nothing but open_statement makes one, so holding one proves: the envelope is well formed; type,
// namespace and `hallpass` member agree; the fleet is ours; the signature verifies under `key`, which belonged to
// `signer` in the key ring used, and `signer` is the payload's subject (request) or `by`. Cheap to copy; immutable.
class Statement {
 public:
  StatementKind kind() const;
  const Request* request() const;  // nullptr unless kind() is request; likewise below
  const Decision* decision() const;
  const Revocation* revocation() const;
  const Digest& payload_digest() const;  // SHA-256 of the payload bytes: for a request, the grant
  const PublicKey& key() const;
  const std::string& signer() const;
  Presence presence() const;
  UnixTime made_at() const;           // when its signer says: requested, decided or revoked
  const std::string& origin() const;  // webauthn signatures only: re-checked against the policy when judging
  // The envelope in our own canonical form, one line: what is stored and passed on.
  const std::string& envelope() const;
  // The same statement signed twice is one: order and equality by (payload digest, key fingerprint).
  friend bool operator==(const Statement& a, const Statement& b);
  friend bool operator<(const Statement& a, const Statement& b);

 private:
  struct Parts;
  friend Result<Statement> open_statement(std::string_view, std::string_view, const KeyRing&);
  explicit Statement(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;
};

// Verifies one envelope (one line of a grant file, without newline; carriage returns are refused), then decodes it;
// payload bytes that no enrolled key signed are never decoded.
//   wire   borrowed for the call; over kMaxStatementEnvelopeBytes is too_large
//   fleet  the only fleet accepted
// Errors: too_large, malformed, unsupported, unknown_key (may become known with a later policy), bad_signature,
// mismatch (fleet, signer, namespace or type). Throws only std::bad_alloc.
Result<Statement> open_statement(std::string_view wire, std::string_view fleet, const KeyRing& keys);

// Splits a grant file into its lines; empty lines are skipped. A "\r" before the newline stays, and
// open_statement refuses such a line.
std::vector<std::string_view> grant_file_lines(std::string_view file);

}  // namespace hallpass
