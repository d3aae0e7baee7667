// Who is at the keyboard, and with which keys they can sign.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/signer.h"
#include "core/policy.h"
#include "core/values/result.h"

namespace hallpass::cli {

// A key file (private or public) or, beginning with SHA256:, a key that ssh-agent holds. Errors: not_found, malformed,
// unavailable.
Result<SigningKey> load_signing_key(const std::string& file_or_fingerprint);

// Every usable key here: ssh-agent's first (no passphrase to type), then ~/.ssh/*.pub whose private half is there. No
// duplicates.
std::vector<SigningKey> available_keys();

struct Identity {
  std::string name;
  bool service = false;
  std::vector<SigningKey> keys;  // enrolled for `name`, in the order to prefer; at least one
};

// `as` and `key` as given on the command line or in the configuration, either may be empty.
// Errors: not_found (no such person; none of our keys is enrolled), mismatch (the key is another's; several people
// could be meant).
Result<Identity> who_am_i(const Policy& policy, const std::string& as, const std::string& key);

// The first key that can prove `needed`; a plain key proves none. Falls back to any when `needed` is none.
// Error: untrusted, naming what the policy wants.
Result<SigningKey> choose_key(const Identity& me, Presence needed);

// The public half of an OpenSSH private key file ("-----BEGIN OPENSSH PRIVATE KEY-----"), which is never encrypted. For
// tests too.
Result<PublicKey> public_half(std::string_view private_key_file);

}  // namespace hallpass::cli
