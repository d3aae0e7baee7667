// Signing. `ssh-keygen -Y sign` makes every signature (key file, ssh-agent, or a touch on a hardware key); this program
// never holds a private key. What comes back is verified before anybody is told that it worked.
#pragma once

#include <string>
#include <string_view>

#include "core/dsse.h"
#include "core/ssh_key.h"
#include "core/statement.h"
#include "core/values/result.h"

namespace hallpass::cli {

struct SigningKey {
  PublicKey key;
  std::string path;   // what ssh-keygen gets with -f; empty: the key is known from ssh-agent only
  std::string label;  // for people: "~/.ssh/id_ed25519", "alice laptop (ssh-agent)"
};

// A raw SSHSIG blob by `key` over `message`, verified. `what` names the thing signed for the prompt ("this request").
// Errors: bad_signature (nothing was signed, or what came back does not verify), unavailable (no ssh-keygen, no
// temporary file).
Result<Bytes> sign_message(const SigningKey& key, std::string_view name_space, ByteView message, std::string_view what);

// Checks the payload as a host would, signs it, and opens the result with open_statement: what is returned is what
// hosts will see. `needed`: the presence without which the signature would not count. Errors: malformed (payload),
// bad_signature, unavailable.
Result<Statement> sign_statement(const Payload& payload, const SigningKey& key, Presence needed, std::string_view fleet,
                                 const KeyRing& keys);

// One signature over a policy's payload, for its envelope.
Result<EnvelopeSignature> sign_policy_payload(const SigningKey& key, std::string_view payload);

}  // namespace hallpass::cli
