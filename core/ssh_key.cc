#include "core/ssh_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "core/hash.h"
#include "core/ssh_wire.h"
#include "core/values/text.h"

namespace hallpass {

namespace {
using Evp = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
}

struct PublicKey::Parts {
  KeyType type = KeyType::ed25519;
  Bytes blob;
  std::string fingerprint;
  std::string application;
  Evp evp{nullptr, EVP_PKEY_free};
};

namespace {

constexpr std::size_t kMaxKeyBlobBytes = 4096;  // RSA of 8192 bits needs 1 KiB
constexpr std::size_t kMaxApplicationBytes = 255;
constexpr std::size_t kEd25519Bytes = 32;
constexpr std::size_t kPointBytes = 65;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr std::size_t kMaxRsaExponentBytes = 4;

struct TypeName {
  KeyType type;
  std::string_view name;
};
constexpr TypeName kTypes[] = {
    {KeyType::ed25519, "ssh-ed25519"},
    {KeyType::ecdsa_p256, "ecdsa-sha2-nistp256"},
    {KeyType::rsa, "ssh-rsa"},
    {KeyType::sk_ed25519, "sk-ssh-ed25519@openssh.com"},
    {KeyType::sk_ecdsa_p256, "sk-ecdsa-sha2-nistp256@openssh.com"},
};

const TypeName* find_type(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

Error unsupported_type(std::string_view name) {
  const bool certificate = name.find("-cert-v0") != std::string_view::npos;
  return {Errc::unsupported, "keys of type \"" + printable(name, 60) + "\" are not supported; " +
                                 (certificate ? "enrol the key that the certificate certifies"
                                              : "use ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa or a FIDO key")};
}

Error malformed(const std::string& why) {
  return {Errc::malformed, "the SSH public key is malformed: " + why};
}

// Leaves OpenSSL's error queue as it was: what a peer sent is our Error, not the caller's.
class QuietOpenssl {
 public:
  QuietOpenssl() { ERR_set_mark(); }
  ~QuietOpenssl() { ERR_pop_to_mark(); }
  QuietOpenssl(const QuietOpenssl&) = delete;
  QuietOpenssl& operator=(const QuietOpenssl&) = delete;
};

Evp evp_from_parameters(const char* type, OSSL_PARAM* parameters) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    return {nullptr, EVP_PKEY_free};
  }
  return {key, EVP_PKEY_free};
}

Evp ed25519_key(ByteView key) {
  return {EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()), EVP_PKEY_free};
}

// The quick check proves that the point is on the curve; the slow one adds its order, which on P-256 (cofactor 1)
// follows.
Evp p256_key(ByteView point) {
  std::string group = "prime256v1";
  Bytes octets(point.begin(), point.end());
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets.data(), octets.size()),
      OSSL_PARAM_construct_end(),
  };
  Evp key = evp_from_parameters("EC", parameters);
  if (!key) return key;
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> check(
      EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr), EVP_PKEY_CTX_free);
  if (!check || EVP_PKEY_public_check_quick(check.get()) != 1) key.reset();
  return key;
}

// No primality test of n's factors: it takes milliseconds, anyone may make us read a key, and whoever enrols a weak
// modulus of his own could as well publish his private key.
Evp rsa_key(ByteView exponent, ByteView modulus) {
  using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
  const Number e(BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr), BN_free);
  const Number n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr), BN_free);
  if (!e || !n || !BN_is_odd(e.get()) || BN_is_one(e.get()) || !BN_is_odd(n.get())) return {nullptr, EVP_PKEY_free};
  if (BN_num_bits(n.get()) < kMinRsaBits || BN_num_bits(n.get()) > kMaxRsaBits) return {nullptr, EVP_PKEY_free};
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(),
                                                                                OSSL_PARAM_BLD_free);
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return {nullptr, EVP_PKEY_free};
  }
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(OSSL_PARAM_BLD_to_param(builder.get()),
                                                                           OSSL_PARAM_free);
  if (!parameters) return {nullptr, EVP_PKEY_free};
  return evp_from_parameters("RSA", parameters.get());
}

Evp read_ed25519(WireReader& in) {
  const ByteView key = in.string();
  return key.size() == kEd25519Bytes ? ed25519_key(key) : Evp(nullptr, EVP_PKEY_free);
}

// Only the uncompressed form, so that a point has one encoding and infinity none.
Evp read_p256(WireReader& in) {
  const bool curve = in.text() == "nistp256";
  const ByteView point = in.string();
  return curve && point.size() == kPointBytes && point[0] == 4 ? p256_key(point) : Evp(nullptr, EVP_PKEY_free);
}

Evp read_rsa(WireReader& in) {
  const ByteView exponent = in.positive_mpint(kMaxRsaExponentBytes);
  const ByteView modulus = in.positive_mpint(kMaxRsaBits / 8);
  return in.ok() ? rsa_key(exponent, modulus) : Evp(nullptr, EVP_PKEY_free);
}

Evp read_key(KeyType type, WireReader& in) {
  switch (type) {
    case KeyType::ed25519:
    case KeyType::sk_ed25519:
      return read_ed25519(in);
    case KeyType::ecdsa_p256:
    case KeyType::sk_ecdsa_p256:
      return read_p256(in);
    case KeyType::rsa:
      return read_rsa(in);
  }
  return {nullptr, EVP_PKEY_free};
}

bool is_sk(KeyType type) {
  return type == KeyType::sk_ed25519 || type == KeyType::sk_ecdsa_p256;
}

// A passkey's application is the domain (relying party id) that the browser made it for.
bool is_domain(std::string_view text) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool is_application(KeyType type, std::string_view application) {
  if (application.size() > kMaxApplicationBytes) return false;
  if (application.substr(0, 4) != "ssh:") return type == KeyType::sk_ecdsa_p256 && is_domain(application);
  return std::all_of(application.begin(), application.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string fingerprint_of(ByteView blob) {
  std::string text = base64_encode(sha256(blob).bytes);
  text.pop_back();  // 32 bytes leave exactly one '='
  return "SHA256:" + text;
}

}  // namespace

Result<PublicKey> PublicKey::from_blob(ByteView blob) {
  const QuietOpenssl quiet;
  if (blob.size() > kMaxKeyBlobBytes) return Error{Errc::too_large, "the SSH public key is too long"};
  WireReader in(blob);
  const std::string_view name = in.text();
  if (!in.ok()) return malformed("it does not begin with the name of its type");
  const TypeName* type = find_type(name);
  if (type == nullptr) return unsupported_type(name);

  auto parts = std::make_shared<Parts>();
  parts->type = type->type;
  parts->evp = read_key(type->type, in);
  if (!parts->evp) return malformed("no valid " + std::string(name) + " key");
  if (is_sk(type->type)) parts->application = in.text();
  if (!in.done()) return malformed("it has the wrong length");
  if (is_sk(type->type) && !is_application(type->type, parts->application)) {
    return Error{Errc::unsupported, "the security key's application \"" + printable(parts->application, 60) +
                                        "\" is neither \"ssh:...\" nor, for a passkey, a domain"};
  }
  parts->blob.assign(blob.begin(), blob.end());
  parts->fingerprint = fingerprint_of(blob);
  return PublicKey(std::move(parts));
}

Result<PublicKey> PublicKey::from_line(std::string_view line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string_view type = line.substr(0, space);
  if (find_type(type) == nullptr) return unsupported_type(type);
  const std::string_view rest = line.substr(std::min(space + 1, line.size()));
  const Result<Bytes> blob = base64_decode(rest.substr(0, rest.find(' ')));
  if (!blob) return malformed(blob.error().message);
  if (const Status comment = check_text(key_comment(line)); !comment) return malformed(comment.error().message);
  Result<PublicKey> key = from_blob(blob.value());
  if (key && key->type_name() != type) return malformed("its type is not " + std::string(type) + ", as the line says");
  return key;
}

KeyType PublicKey::type() const {
  return parts_->type;
}

std::string_view PublicKey::type_name() const {
  for (const TypeName& t : kTypes) {
    if (t.type == parts_->type) return t.name;
  }
  std::abort();
}

const Bytes& PublicKey::blob() const {
  return parts_->blob;
}
const std::string& PublicKey::fingerprint() const {
  return parts_->fingerprint;
}
std::string PublicKey::line() const {
  return std::string(type_name()) + " " + base64_encode(parts_->blob);
}
bool PublicKey::is_security_key() const {
  return is_sk(parts_->type);
}
const std::string& PublicKey::application() const {
  return parts_->application;
}
evp_pkey_st* PublicKey::evp() const {
  return parts_->evp.get();
}

std::string_view key_comment(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  return second == std::string_view::npos ? std::string_view() : line.substr(second + 1);
}

}  // namespace hallpass
