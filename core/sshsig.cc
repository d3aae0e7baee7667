#include "core/sshsig.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <new>

#include "core/digester.h"
#include "core/json.h"
#include "core/ssh_wire.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::string_view kMagic = "SSHSIG";
constexpr std::string_view kHeader = "-----BEGIN SSH SIGNATURE-----\n";
constexpr std::string_view kFooter = "\n-----END SSH SIGNATURE-----\n";
constexpr std::size_t kArmorColumns = 70;  // as ssh-keygen wraps
constexpr std::size_t kMaxNamespaceBytes = 128;
constexpr std::size_t kEd25519SignatureBytes = 64;
constexpr std::size_t kP256NumberBytes = 32;

// FIDO flags, as authenticators set them.
constexpr std::uint8_t kUserPresent = 0x01;
constexpr std::uint8_t kUserVerified = 0x04;
constexpr std::uint8_t kBackupEligible = 0x08;
constexpr std::uint8_t kBackedUp = 0x10;
constexpr std::uint8_t kKnownFlags = kUserPresent | kUserVerified | kBackupEligible | kBackedUp;

enum class Scheme { ed25519, ecdsa, rsa, sk_ed25519, sk_ecdsa, webauthn };

struct Algorithm {
  std::string_view name;
  KeyType key;
  Scheme scheme;
  const evp_md_st* (*digest)();  // nullptr: the scheme hashes by itself
};
constexpr Algorithm kAlgorithms[] = {
    {"ssh-ed25519", KeyType::ed25519, Scheme::ed25519, nullptr},
    {"ecdsa-sha2-nistp256", KeyType::ecdsa_p256, Scheme::ecdsa, sha256_algorithm},
    {"rsa-sha2-256", KeyType::rsa, Scheme::rsa, sha256_algorithm},
    {"rsa-sha2-512", KeyType::rsa, Scheme::rsa, sha512_algorithm},
    {"sk-ssh-ed25519@openssh.com", KeyType::sk_ed25519, Scheme::sk_ed25519, nullptr},
    {"sk-ecdsa-sha2-nistp256@openssh.com", KeyType::sk_ecdsa_p256, Scheme::sk_ecdsa, sha256_algorithm},
    {"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", KeyType::sk_ecdsa_p256, Scheme::webauthn, sha256_algorithm},
};

const Algorithm* find_algorithm(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms), [&](const Algorithm& a) { return a.name == name; });
  return found == std::end(kAlgorithms) ? nullptr : found;
}

Error malformed(std::string_view why) {
  return {Errc::malformed, "the SSH signature is malformed: " + std::string(why)};
}
Error bad_signature() {
  return {Errc::bad_signature, "the SSH signature does not verify"};
}

bool is_namespace(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNamespaceBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// What ssh-keygen hands to the key: the hash of the message under its namespace, without version or key.
Bytes to_be_signed(const Sshsig& signature, ByteView message) {
  const bool sha512 = signature.hash == "sha512";
  std::array<std::uint8_t, kSha512Bytes> hash{};
  digest_into(sha512 ? sha512_algorithm() : sha256_algorithm(), message, hash.data());
  Bytes out;
  out.reserve(kMagic.size() + signature.name_space.size() + 32 + hash.size());
  wire_put_raw(out, as_bytes(kMagic));
  wire_put_string(out, signature.name_space);
  wire_put_string(out, std::string_view());  // reserved
  wire_put_string(out, signature.hash);
  wire_put_string(out, ByteView(hash).first(sha512 ? kSha512Bytes : kSha256Bytes));
  return out;
}

// The end of every path: 1 is the only success OpenSSL knows.
bool evp_verify(const PublicKey& key, const Algorithm& algorithm, ByteView signature, ByteView data) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context) throw std::bad_alloc();
  ERR_set_mark();
  const EVP_MD* digest = algorithm.digest == nullptr ? nullptr : algorithm.digest();
  const bool good = EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.evp()) == 1 &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()) == 1;
  ERR_pop_to_mark();
  return good;
}

// SSH's pair of mpints as the DER that OpenSSL reads; empty when malformed.
Bytes ecdsa_der(ByteView pair) {
  WireReader in(pair);
  const ByteView r = in.positive_mpint(kP256NumberBytes);
  const ByteView s = in.positive_mpint(kP256NumberBytes);
  if (!in.done()) return {};
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> numbers(ECDSA_SIG_new(), ECDSA_SIG_free);
  BIGNUM* r_number = BN_bin2bn(r.data(), static_cast<int>(r.size()), nullptr);
  BIGNUM* s_number = BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr);
  if (!numbers || ECDSA_SIG_set0(numbers.get(), r_number, s_number) != 1) {
    BN_free(r_number);
    BN_free(s_number);
    throw std::bad_alloc();
  }
  std::array<std::uint8_t, 2 * kP256NumberBytes + 16> der{};
  std::uint8_t* end = der.data();
  const int length = i2d_ECDSA_SIG(numbers.get(), &end);
  if (length <= 0) throw std::bad_alloc();
  return {der.data(), der.data() + length};
}

Result<Presence> verify_plain(const Sshsig& signature, const PublicKey& key, const Algorithm& algorithm,
                              ByteView data) {
  WireReader in(signature.signature);
  const ByteView value = in.string();
  if (!in.done()) return malformed("its value has the wrong length");
  bool good = false;
  if (algorithm.scheme == Scheme::ecdsa) {
    const Bytes der = ecdsa_der(value);
    if (der.empty()) return malformed("r and s are not two positive numbers in shortest form");
    good = evp_verify(key, algorithm, der, data);
  } else {
    const std::size_t length = algorithm.scheme == Scheme::ed25519
                                   ? kEd25519SignatureBytes
                                   : static_cast<std::size_t>(std::max(EVP_PKEY_get_size(key.evp()), 0));
    if (value.size() != length) return malformed("its value has the wrong length");
    good = evp_verify(key, algorithm, value, data);
  }
  if (!good) return bad_signature();
  return Presence::none;
}

// What a FIDO authenticator puts around the signature proper.
struct SecurityKeySignature {
  ByteView value;  // Ed25519: 64 bytes; ECDSA: the pair of mpints
  std::uint8_t flags = 0;
  std::uint32_t counter = 0;
};

Presence presence_of(std::uint8_t flags) {
  return (flags & kUserVerified) == 0 ? Presence::touch : Presence::verified;
}

// `ssh-keygen -Y verify` never looks at UP: that somebody was there is ours to ask.
Status check_flags(std::uint8_t flags) {
  if ((flags & kUserPresent) == 0) {
    return Error{Errc::bad_signature, "a security key must be touched, and its signature says that this one was not"};
  }
  if ((flags & ~kKnownFlags) != 0) return Error{Errc::unsupported, "the security key set flags that are not allowed"};
  if ((flags & kBackedUp) != 0 && (flags & kBackupEligible) == 0) {
    return malformed("the security key says \"backed up\" but not \"may be backed up\"");
  }
  return Unit{};
}

// SHA-256(application), flags, counter, SHA-256(signed_part): what the authenticator signed.
Bytes authenticator_data(const PublicKey& key, const SecurityKeySignature& parts, ByteView signed_part) {
  std::array<std::uint8_t, kSha256Bytes> hash{};
  Bytes out;
  out.reserve(2 * kSha256Bytes + 5);
  digest_into(sha256_algorithm(), as_bytes(key.application()), hash.data());
  wire_put_raw(out, hash);
  out.push_back(parts.flags);
  wire_put_u32(out, parts.counter);
  digest_into(sha256_algorithm(), signed_part, hash.data());
  wire_put_raw(out, hash);
  return out;
}

Result<Presence> verify_authenticator(const SecurityKeySignature& parts, const PublicKey& key,
                                      const Algorithm& algorithm, ByteView signed_part) {
  if (const Status flags = check_flags(parts.flags); !flags) return flags.error();
  const Bytes data = authenticator_data(key, parts, signed_part);
  bool good = false;
  if (algorithm.scheme == Scheme::sk_ed25519) {
    if (parts.value.size() != kEd25519SignatureBytes) return malformed("its value has the wrong length");
    good = evp_verify(key, algorithm, parts.value, data);
  } else {
    const Bytes der = ecdsa_der(parts.value);
    if (der.empty()) return malformed("r and s are not two positive numbers in shortest form");
    good = evp_verify(key, algorithm, der, data);
  }
  if (!good) return bad_signature();
  return presence_of(parts.flags);
}

SecurityKeySignature read_authenticator(WireReader& in) {
  SecurityKeySignature parts;
  parts.value = in.string();
  parts.flags = in.u8();
  parts.counter = in.u32();
  return parts;
}

Result<Presence> verify_security_key(const Sshsig& signature, const PublicKey& key, const Algorithm& algorithm,
                                     ByteView data) {
  if (key.application().substr(0, 4) != "ssh:") {
    return Error{Errc::mismatch, "a passkey signs in a browser only, and this signature was not made in one"};
  }
  WireReader in(signature.signature);
  const SecurityKeySignature parts = read_authenticator(in);
  if (!in.done()) return malformed("its value has the wrong length");
  return verify_authenticator(parts, key, algorithm, data);
}

bool is_string(const Json* json, std::string_view text) {
  const std::string* value = json == nullptr ? nullptr : json->as_string();
  return value != nullptr && *value == text;
}

// The browser's account of what it did. Members of which nobody here knows are allowed: browsers add some to make sure
// of that.
Status check_client_data(std::string_view text, std::string_view origin, ByteView data) {
  const Result<Json> parsed = parse_json(text);
  if (!parsed) return malformed("client data: " + parsed.error().message);
  const Json& client = parsed.value();
  if (!is_string(client.find("type"), "webauthn.get"))
    return malformed("client data of another type than webauthn.get");
  if (!is_string(client.find("challenge"), base64url_encode(data))) {
    return Error{Errc::bad_signature, "the browser signed another statement: its challenge differs"};
  }
  if (!is_string(client.find("origin"), origin)) {
    return Error{Errc::mismatch, "the browser's origin is not the one that the signature names"};
  }
  const Json* cross = client.find("crossOrigin");
  const bool same_origin = cross == nullptr || (cross->as_bool() != nullptr && !*cross->as_bool());
  if (!same_origin || client.find("topOrigin") != nullptr) {
    return Error{Errc::mismatch, "the browser signed for a page inside another site's page"};
  }
  return Unit{};
}

Result<Presence> verify_webauthn(const Sshsig& signature, const PublicKey& key, const Algorithm& algorithm,
                                 ByteView data, std::span<const std::string> origins) {
  if (key.application().substr(0, 4) == "ssh:") {
    return Error{Errc::mismatch, "a browser signs for a domain, and this key was made for ssh"};
  }
  WireReader in(signature.signature);
  const SecurityKeySignature parts = read_authenticator(in);
  const std::string_view origin = in.text();
  const ByteView client_data = in.string();
  const ByteView extensions = in.string();
  if (!in.done()) return malformed("its value has the wrong length");
  // Extension data is signed only where the flag ED announces it, and that flag is refused.
  if (!extensions.empty()) return Error{Errc::unsupported, "the browser's signature carries extensions"};
  if (std::find(origins.begin(), origins.end(), origin) == origins.end()) {
    return Error{Errc::mismatch, "signatures made in a browser at \"" + printable(origin, 80) + "\" are not accepted"};
  }
  if (const Status checked = check_client_data(as_text(client_data), origin, data); !checked) return checked.error();
  return verify_authenticator(parts, key, algorithm, client_data);
}

}  // namespace

Result<Sshsig> parse_sshsig(ByteView blob) {
  if (blob.size() > kMaxSshsigBytes) return Error{Errc::too_large, "the SSH signature is too long"};
  WireReader in(blob);
  if (as_text(in.raw(kMagic.size())) != kMagic) return malformed("it does not begin with SSHSIG");
  const std::uint32_t version = in.u32();
  const ByteView key_blob = in.string();
  const std::string_view name_space = in.text();
  const ByteView reserved = in.string();
  const std::string_view hash = in.text();
  const ByteView field = in.string();
  if (!in.done()) return malformed("it has the wrong length");
  if (version != 1) return Error{Errc::unsupported, "the SSH signature has version " + std::to_string(version)};
  if (!is_namespace(name_space)) return malformed("its namespace is empty, too long or not plain text");
  // OpenSSH ignores the field and signs it as empty: a value there is unauthenticated.
  if (!reserved.empty()) return malformed("its reserved field is not empty");
  if (hash != "sha256" && hash != "sha512") {
    return Error{Errc::unsupported, "the SSH signature's hash \"" + printable(hash, 40) + "\" is not supported"};
  }
  WireReader in_field(field);
  const std::string_view algorithm = in_field.text();
  if (!in_field.ok()) return malformed("it names no algorithm");
  if (find_algorithm(algorithm) == nullptr) {
    return Error{Errc::unsupported, "signatures by \"" + printable(algorithm, 60) + "\" are not supported"};
  }
  Result<PublicKey> key = PublicKey::from_blob(key_blob);
  if (!key) return key.error();
  const ByteView value = field.subspan(4 + algorithm.size());
  return Sshsig{std::move(key).value(), std::string(name_space), std::string(hash), std::string(algorithm),
                Bytes(value.begin(), value.end())};
}

Result<Bytes> parse_sshsig_armor(std::string_view armored) {
  if (armored.size() > 2 * kMaxSshsigBytes) return Error{Errc::too_large, "the SSH signature is too long"};
  const bool framed = armored.size() > kHeader.size() + kFooter.size() &&
                      armored.substr(0, kHeader.size()) == kHeader &&
                      armored.substr(armored.size() - kFooter.size()) == kFooter;
  if (!framed)
    return malformed("it must begin with BEGIN SSH SIGNATURE and end with END SSH SIGNATURE, and nothing else");
  std::string text(armored.substr(kHeader.size(), armored.size() - kHeader.size() - kFooter.size()));
  text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());
  Result<Bytes> blob = base64_decode(text);
  if (!blob) return malformed(blob.error().message);
  if (blob->size() > kMaxSshsigBytes) return Error{Errc::too_large, "the SSH signature is too long"};
  return blob;
}

std::string format_sshsig_armor(ByteView blob) {
  const std::string text = base64_encode(blob);
  std::string out(kHeader);
  for (std::size_t i = 0; i < text.size(); i += kArmorColumns) {
    if (i != 0) out += '\n';
    out += text.substr(i, kArmorColumns);
  }
  return out += kFooter;
}

Result<Presence> verify_sshsig(const Sshsig& signature, const PublicKey& enrolled, std::string_view name_space,
                               ByteView message, std::span<const std::string> webauthn_origins) {
  if (!(signature.key == enrolled)) {
    return Error{Errc::unknown_key,
                 "the SSH signature is by " + signature.key.fingerprint() + ", not by " + enrolled.fingerprint()};
  }
  if (signature.name_space != name_space) {
    return Error{Errc::mismatch, "the SSH signature is for \"" + printable(signature.name_space, 60) +
                                     "\", not for \"" + printable(name_space, 60) + "\""};
  }
  if (signature.hash != "sha256" && signature.hash != "sha512") return malformed("unknown hash");
  const Algorithm* algorithm = find_algorithm(signature.algorithm);
  if (algorithm == nullptr || algorithm->key != enrolled.type()) {
    return malformed("its algorithm is not one of its key's type");
  }
  const Bytes data = to_be_signed(signature, message);
  switch (algorithm->scheme) {
    case Scheme::ed25519:
    case Scheme::ecdsa:
    case Scheme::rsa:
      return verify_plain(signature, enrolled, *algorithm, data);
    case Scheme::sk_ed25519:
    case Scheme::sk_ecdsa:
      return verify_security_key(signature, enrolled, *algorithm, data);
    case Scheme::webauthn:
      return verify_webauthn(signature, enrolled, *algorithm, data, webauthn_origins);
  }
  return bad_signature();
}

std::string_view to_string(Presence presence) {
  switch (presence) {
    case Presence::none:
      return "none";
    case Presence::touch:
      return "touch";
    case Presence::verified:
      return "verified";
  }
  return "none";
}

}  // namespace hallpass
