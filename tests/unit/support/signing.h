// Keys and signatures for tests, made in this process by OpenSSL: what ssh-keygen, a FIDO key or a browser would make,
// thousands a second. An independent writer of the formats in docs/formats.md: it shares no code with core's readers
// but base64 and SHA-256.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "core/hash.h"
#include "core/statement.h"
#include "core/values/bytes.h"

namespace hallpass::testing {

inline void demand(bool condition) {
  if (!condition) std::abort();  // a test's own tools failed: nothing that it says would count
}

inline std::string u32(std::size_t n) {
  return {static_cast<char>(n >> 24 & 0xff), static_cast<char>(n >> 16 & 0xff), static_cast<char>(n >> 8 & 0xff),
          static_cast<char>(n & 0xff)};
}
inline std::string ssh_string(std::string_view s) {
  return u32(s.size()) + std::string(s);
}
inline std::string text_digest(std::string_view s) {
  const Digest d = sha256(s);
  return std::string(as_text(d.bytes));
}

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

constexpr unsigned char kTouched = 0x01;
constexpr unsigned char kVerified = 0x05;  // touched and verified

// A private key of a test's own.
class TestKey {
 public:
  // The same name gives the same key, so that a failure can be repeated.
  static TestKey plain(std::string_view name) { return ed25519(Kind::plain, name); }
  static TestKey security(std::string_view name) { return ed25519(Kind::security, name); }
  // A passkey in a browser; another key at every run. Signatures come from `origin`, "https://" and the domain.
  static TestKey browser(std::string origin) {
    TestKey key;
    key.application_ = origin.substr(origin.rfind('/') + 1);
    key.kind_ = Kind::browser;
    key.origin_ = std::move(origin);
    key.pkey_.reset(EVP_EC_gen("P-256"), FreePkey());
    unsigned char point[65];
    std::size_t size = 0;
    demand(EVP_PKEY_get_octet_string_param(key.pkey_.get(), OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &size) == 1);
    key.type_ = "sk-ecdsa-sha2-nistp256@openssh.com";
    key.blob_ = ssh_string(key.type_) + ssh_string("nistp256") +
                ssh_string({reinterpret_cast<const char*>(point), size}) + ssh_string(key.application_);
    return key;
  }

  std::string line() const { return type_ + " " + base64_encode(as_bytes(blob_)); }
  std::string fingerprint() const {
    std::string text = base64_encode(as_bytes(text_digest(blob_)));
    while (text.back() == '=') text.pop_back();
    return "SHA256:" + text;
  }

  // A raw SSHSIG blob over sha512. flags: what a security key reports, kTouched or kVerified or 0.
  Bytes sign(std::string_view name_space, ByteView message, unsigned char flags = kTouched,
             std::string_view hash = "sha512") const {
    const std::string h = digest_of(hash, message);
    const std::string covered = "SSHSIG" + ssh_string(name_space) + ssh_string("") + ssh_string(hash) + ssh_string(h);
    const std::string blob = "SSHSIG" + u32(1) + ssh_string(blob_) + ssh_string(name_space) + ssh_string("") +
                             ssh_string(hash) + ssh_string(signature_field(covered, flags));
    return {blob.begin(), blob.end()};
  }

 private:
  enum class Kind { plain, security, browser };

  static TestKey ed25519(Kind kind, std::string_view name) {
    TestKey key;
    key.kind_ = kind;
    const std::string seed = text_digest("hallpass test key:" + std::string(name));
    key.pkey_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                                 reinterpret_cast<const unsigned char*>(seed.data()), seed.size()),
                    FreePkey());
    unsigned char raw[32];
    std::size_t size = sizeof raw;
    demand(key.pkey_ != nullptr && EVP_PKEY_get_raw_public_key(key.pkey_.get(), raw, &size) == 1 && size == 32);
    key.type_ = kind == Kind::plain ? "ssh-ed25519" : "sk-ssh-ed25519@openssh.com";
    key.blob_ = ssh_string(key.type_) + ssh_string({reinterpret_cast<const char*>(raw), size});
    if (kind == Kind::security) key.blob_ += ssh_string(key.application_);
    return key;
  }

  static std::string digest_of(std::string_view name, ByteView message) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const EVP_MD* md = EVP_get_digestbyname(std::string(name).c_str());
    demand(md != nullptr && EVP_Digest(message.data(), message.size(), out, &size, md, nullptr) == 1);
    return {reinterpret_cast<const char*>(out), size};
  }

  std::string raw_signature(const EVP_MD* md, std::string_view data) const {
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> ctx(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::string out(256, '\0');
    std::size_t size = out.size();
    demand(EVP_DigestSignInit(ctx.get(), nullptr, md, nullptr, pkey_.get()) == 1 &&
           EVP_DigestSign(ctx.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                          reinterpret_cast<const unsigned char*>(data.data()), data.size()) == 1);
    out.resize(size);
    return out;
  }

  static std::string mpint(const BIGNUM* n) {
    std::string bytes(static_cast<std::size_t>(BN_num_bytes(n)), '\0');
    BN_bn2bin(n, reinterpret_cast<unsigned char*>(bytes.data()));
    if ((static_cast<unsigned char>(bytes.front()) & 0x80U) != 0) bytes.insert(bytes.begin(), '\0');
    return ssh_string(bytes);
  }

  std::string signature_field(const std::string& covered, unsigned char flags) const {
    if (kind_ == Kind::plain) return ssh_string(type_) + ssh_string(raw_signature(nullptr, covered));
    const std::string state = std::string(1, static_cast<char>(flags)) + u32(7);  // 7: the key's counter
    if (kind_ == Kind::security) {
      return ssh_string(type_) +
             ssh_string(raw_signature(nullptr, text_digest(application_) + state + text_digest(covered))) + state;
    }
    const std::string client = R"({"type":"webauthn.get","challenge":")" + base64url_encode(as_bytes(covered)) +
                               R"(","origin":")" + origin_ + R"(","crossOrigin":false})";
    const std::string der = raw_signature(EVP_sha256(), text_digest(application_) + state + text_digest(client));
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)> sig(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
    demand(sig != nullptr);
    return ssh_string("webauthn-" + type_) +
           ssh_string(mpint(ECDSA_SIG_get0_r(sig.get())) + mpint(ECDSA_SIG_get0_s(sig.get()))) + state +
           ssh_string(origin_) + ssh_string(client) + ssh_string("");
  }

  Kind kind_ = Kind::plain;
  std::string type_;
  std::string blob_;
  std::string application_ = "ssh:";
  std::string origin_;
  std::shared_ptr<EVP_PKEY> pkey_;
};

// "DSSEv1 <len> <type> <len> <body>"
inline std::string dsse_message(std::string_view type, std::string_view body) {
  return "DSSEv1 " + std::to_string(type.size()) + " " + std::string(type) + " " + std::to_string(body.size()) + " " +
         std::string(body);
}

inline std::string envelope_line(std::string_view type, std::string_view payload, std::string_view keyid,
                                 ByteView signature) {
  return R"({"payload":")" + base64_encode(as_bytes(payload)) + R"(","payloadType":")" + std::string(type) +
         R"(","signatures":[{"keyid":")" + std::string(keyid) + R"(","sig":")" + base64_encode(signature) + R"("}]})";
}

// One line of a grant file.
inline std::string sign_payload(const TestKey& key, StatementKind kind, std::string_view payload,
                                unsigned char flags = kTouched) {
  const std::string type(payload_type(kind));
  const Bytes sig = key.sign(signature_namespace(kind), as_bytes(dsse_message(type, payload)), flags);
  return envelope_line(type, payload, key.fingerprint(), sig);
}

inline StatementKind kind_of(const Payload& payload) {
  return static_cast<StatementKind>(payload.index());
}

// Signs and opens; aborts when it is refused, so only for statements that are meant to be good.
inline Statement make_statement(const TestKey& key, const Payload& payload, std::string_view fleet, const KeyRing& keys,
                                unsigned char flags = kTouched) {
  Result<Statement> statement =
      open_statement(sign_payload(key, kind_of(payload), format_payload(payload), flags), fleet, keys);
  demand(statement.has_value());
  return *std::move(statement);
}

}  // namespace hallpass::testing
