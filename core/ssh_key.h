// SSH public keys: parsing, fingerprints, and the OpenSSL key to verify with.
//
// Source of the formats: RFC 4253 section 6.6, RFC 8709, RFC 5656, OpenSSH PROTOCOL.u2f; docs/formats.md.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/values/bytes.h"
#include "core/values/result.h"

struct evp_pkey_st;

namespace hallpass {

enum class KeyType { ed25519, ecdsa_p256, rsa, sk_ed25519, sk_ecdsa_p256 };

// A parsed, valid key of a supported type: a P-256 point is on the curve, RSA is 2048..8192 bits with an odd exponent
// of at most 32 bits. A security key's application is "ssh:" or begins with it; a sk-ecdsa key whose application is a
// domain is a passkey, which verifies signatures made in a browser and nothing else. (Ed25519 keys are any 32 bytes, as
// everywhere: those that are no point verify nothing.) Cheap to copy (shared, immutable). Equality is of the blob's
// bytes.
class PublicKey {
 public:
  // blob: the SSH wire form, nothing after it. Errors: malformed, unsupported (type named; certificates are not keys).
  static Result<PublicKey> from_blob(ByteView blob);
  // A line as in id_ed25519.pub: `<type> <base64> [comment]`, the type word equal to the blob's; no options before it.
  static Result<PublicKey> from_line(std::string_view line);

  KeyType type() const;
  std::string_view type_name() const;  // "ssh-ed25519"
  const Bytes& blob() const;
  const std::string& fingerprint() const;  // "SHA256:" and unpadded base64 of SHA-256(blob)
  std::string line() const;                // "<type> <base64>", no comment
  bool is_security_key() const;            // FIDO: signatures carry presence flags
  const std::string& application() const;  // security keys only, else empty
  evp_pkey_st* evp() const;                // borrowed; lives as long as any copy of this key

  bool operator==(const PublicKey& other) const { return blob() == other.blob(); }

 private:
  struct Parts;
  explicit PublicKey(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;
};

// The words after the base64 of a key line, "" if none.
std::string_view key_comment(std::string_view line);

}  // namespace hallpass
