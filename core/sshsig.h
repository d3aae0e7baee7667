// SSHSIG signatures (OpenSSH PROTOCOL.sshsig), verified with OpenSSL EVP only, stricter than ssh-keygen where it is
// lax. The order of checks and what is refused: docs/formats.md, "SSH signatures".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/ssh_key.h"
#include "core/values/bytes.h"
#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxSshsigBytes = std::size_t{16} * 1024;

// What the signer proved beyond holding the key. Plain keys prove `none`.
enum class Presence { none, touch, verified };
std::string_view to_string(Presence presence);  // as the policy spells it

struct Sshsig {
  PublicKey key;  // as embedded: NOT trusted until the caller finds it enrolled
  std::string name_space;
  std::string hash;       // "sha256" or "sha512"
  std::string algorithm;  // "ssh-ed25519", "rsa-sha2-512", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com" ...
  Bytes signature;        // what follows the algorithm
};

// Parses a raw blob; nothing is verified. Errors: too_large, malformed, unsupported.
Result<Sshsig> parse_sshsig(ByteView blob);

// Between "-----BEGIN SSH SIGNATURE-----" lines, as `ssh-keygen -Y sign` prints it. Strict: canonical base64, nothing
// around it.
Result<Bytes> parse_sshsig_armor(std::string_view armored);
std::string format_sshsig_armor(ByteView blob);

// Verifies that `signature` over `message` was made by `enrolled` for `name_space`. `webauthn_origins`: origins from
// which a browser's signature is accepted (exact match), normally empty. Flags that are not UP, UV, BE, BS are refused;
// a security key's signature without UP (touch) is refused, whatever the policy asks. Errors: unknown_key (embedded key
// is another), mismatch (namespace, origin), malformed, unsupported, bad_signature.
Result<Presence> verify_sshsig(const Sshsig& signature, const PublicKey& enrolled, std::string_view name_space,
                               ByteView message, std::span<const std::string> webauthn_origins);

}  // namespace hallpass
