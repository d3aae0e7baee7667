#include "core/hash.h"

#include "core/digester.h"

namespace hallpass {

Digest sha256(ByteView bytes) {
  Digest digest;
  static_assert(sizeof digest.bytes == kSha256Bytes);
  digest_into(sha256_algorithm(), bytes, digest.bytes.data());
  return digest;
}

}  // namespace hallpass
