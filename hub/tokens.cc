#include "hub/tokens.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cctype>

#include "core/hash.h"

namespace hallpass::hub {

bool Tokens::allow(std::string_view authorization) const {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return false;
  const bool bearer = std::equal(kScheme.begin(), kScheme.end(), authorization.begin(), [](char a, char b) {
    return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
  });
  if (!bearer) return false;
  const Digest given = sha256(authorization.substr(kScheme.size()));
  unsigned found = 0;
  for (const ReadToken& token : tokens_) {
    found |=
        static_cast<unsigned>(CRYPTO_memcmp(token.sha256.bytes.data(), given.bytes.data(), given.bytes.size()) == 0);
  }
  return found != 0;
}

}  // namespace hallpass::hub
