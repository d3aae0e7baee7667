#include "core/digester.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace hallpass {
namespace {

// Lives until the process ends; OpenSSL's own cleanup at exit may run before any destructor of ours.
const EVP_MD* fetch(const char* name) {
  const EVP_MD* algorithm = EVP_MD_fetch(nullptr, name, nullptr);
  if (algorithm == nullptr) std::abort();
  return algorithm;
}

}  // namespace

const evp_md_st* sha256_algorithm() {
  static const EVP_MD* const algorithm = fetch("SHA256");
  return algorithm;
}

const evp_md_st* sha512_algorithm() {
  static const EVP_MD* const algorithm = fetch("SHA512");
  return algorithm;
}

void digest_into(const evp_md_st* algorithm, ByteView bytes, std::uint8_t* out) {
  if (EVP_Digest(bytes.data(), bytes.size(), out, nullptr, algorithm, nullptr) != 1) std::abort();
}

}  // namespace hallpass
