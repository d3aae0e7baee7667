// SHA-256 over bytes, by OpenSSL.
#pragma once

#include "core/values/bytes.h"
#include "core/values/digest.h"

namespace hallpass {

Digest sha256(ByteView bytes);
inline Digest sha256(std::string_view text) {
  return sha256(as_bytes(text));
}

}  // namespace hallpass
