// Signatures made in a browser. The rows follow tests/vectors/webauthn/synthetic.json; those vectors have another
// challenge than SSHSIG's, so each row is signed here again with a key of our own. Rows of theirs without a place in
// OpenSSH's form: eddsa, rs256 and bad_alg (its webauthn algorithm is ES256 alone), authenticator data of another
// length (the form has no such field), DER against raw r and s (the form has SSH's two numbers).
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <memory>

#include "core/hash.h"
#include "core/ssh_wire.h"
#include "core/sshsig.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::Bytes;
using hallpass::Errc;
using hallpass::Presence;
using hallpass::PublicKey;
using hallpass::Result;
using hallpass::Sshsig;

constexpr std::string_view kNamespace = "decision@hallpass";
constexpr std::string_view kAlgorithm = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com";
const std::string kOrigin = "https://approve.example.org";
const std::string kMessage = "the bytes that are signed";
const std::vector<std::string> kOrigins = {"https://other.example.org", kOrigin};

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
EVP_PKEY* test_key() {
  static const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free);
  return key.get();
}

Bytes public_blob(std::string_view application) {
  std::uint8_t point[65];
  std::size_t length = 0;
  EVP_PKEY_get_octet_string_param(test_key(), "pub", point, sizeof point, &length);
  Bytes blob;
  hallpass::wire_put_string(blob, "sk-ecdsa-sha2-nistp256@openssh.com");
  hallpass::wire_put_string(blob, "nistp256");
  hallpass::wire_put_string(blob, hallpass::ByteView(point, length));
  hallpass::wire_put_string(blob, application);
  return blob;
}

void put_number(Bytes& out, const BIGNUM* number) {
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, bytes.data());
  if ((bytes[0] & 0x80) != 0) bytes.insert(bytes.begin(), 0);
  hallpass::wire_put_string(out, bytes);
}

Bytes sign_es256(const Bytes& data) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Bytes der(128);
  std::size_t length = der.size();
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, test_key());
  if (EVP_DigestSign(context.get(), der.data(), &length, data.data(), data.size()) != 1) std::abort();
  const std::uint8_t* at = der.data();
  ECDSA_SIG* numbers = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(length));
  Bytes out;
  put_number(out, ECDSA_SIG_get0_r(numbers));
  put_number(out, ECDSA_SIG_get0_s(numbers));
  ECDSA_SIG_free(numbers);
  return out;
}

Bytes sha512(std::string_view text) {
  Bytes out(64);
  EVP_Digest(text.data(), text.size(), out.data(), nullptr, EVP_sha512(), nullptr);
  return out;
}

std::string challenge(std::string_view message) {
  Bytes t;
  hallpass::wire_put_raw(t, as_bytes("SSHSIG"));
  hallpass::wire_put_string(t, kNamespace);
  hallpass::wire_put_string(t, "");
  hallpass::wire_put_string(t, "sha512");
  hallpass::wire_put_string(t, sha512(message));
  return hallpass::base64url_encode(t);
}

// `$C` is the challenge, `$O` the origin.
std::string client_data(std::string text) {
  const std::pair<std::string_view, std::string> holes[] = {{"$C", challenge(kMessage)}, {"$O", kOrigin}};
  for (const auto& [hole, value] : holes) {
    for (std::size_t at = 0; (at = text.find(hole, at)) != std::string::npos;) text.replace(at, hole.size(), value);
  }
  return text;
}

struct Row {
  const char* name;
  std::string client;
  std::uint8_t flags = 0x05;
  bool good = true;
  Presence presence = Presence::verified;
  std::string origin = kOrigin;
  std::string application = "approve.example.org";
  std::string signed_application = "approve.example.org";
  std::string extensions = "";
  bool extensions_signed = true;
};

Sshsig signature_of(const Row& row) {
  const std::string client = client_data(row.client);
  Bytes data;
  hallpass::wire_put_raw(data, hallpass::sha256(row.signed_application).bytes);
  data.push_back(row.flags);
  hallpass::wire_put_u32(data, 9);
  if (row.extensions_signed) hallpass::wire_put_raw(data, as_bytes(row.extensions));
  hallpass::wire_put_raw(data, hallpass::sha256(client).bytes);
  Bytes value;
  hallpass::wire_put_string(value, sign_es256(data));
  value.push_back(row.flags);
  hallpass::wire_put_u32(value, 9);
  hallpass::wire_put_string(value, row.origin);
  hallpass::wire_put_string(value, client);
  hallpass::wire_put_string(value, row.extensions);
  return {PublicKey::from_blob(public_blob(row.application)).value(), std::string(kNamespace), "sha512",
          std::string(kAlgorithm), std::move(value)};
}

const std::string kUsual = R"({"type":"webauthn.get","challenge":"$C","origin":"$O","crossOrigin":false})";
const Row kRows[] = {
    {"es256", kUsual},
    {"es256_extra_members",
     R"({"type":"webauthn.get","challenge":"$C","origin":"$O","crossOrigin":false,"other_keys_can_be_added_here":"x"})"},
    {"members in another order, as WebKit wrote them", R"({"origin":"$O","challenge":"$C","type":"webauthn.get"})"},
    {"es256_up_only", kUsual, 0x01, true, Presence::touch},
    {"es256_backed_up_passkey", kUsual, 0x1d},
    {"may be backed up", kUsual, 0x0d},
    {"bad_no_up", kUsual, 0x04, false},
    {"es256_with_extensions: refused here",
     kUsual,
     0x85,
     false,
     {},
     kOrigin,
     "approve.example.org",
     "approve.example.org",
     "\xa0"},
    {"flag ED without extensions", kUsual, 0x85, false},
    {"extensions without flag ED",
     kUsual,
     0x05,
     false,
     {},
     kOrigin,
     "approve.example.org",
     "approve.example.org",
     "\xa0"},
    {"extensions that nobody signed",
     kUsual,
     0x05,
     false,
     {},
     kOrigin,
     "approve.example.org",
     "approve.example.org",
     "\xa0",
     false},
    {"bad_type_create", R"({"type":"webauthn.create","challenge":"$C","origin":"$O","crossOrigin":false})", 5, false},
    {"bad_type_payment", R"({"type":"payment.get","challenge":"$C","origin":"$O","crossOrigin":false})", 5, false},
    {"no type", R"({"challenge":"$C","origin":"$O"})", 5, false},
    {"bad_challenge", R"({"type":"webauthn.get","challenge":"AAAA","origin":"$O","crossOrigin":false})", 5, false},
    {"bad_challenge_padded", R"({"type":"webauthn.get","challenge":"$C=","origin":"$O","crossOrigin":false})", 5,
     false},
    {"no challenge", R"({"type":"webauthn.get","origin":"$O","crossOrigin":false})", 5, false},
    {"challenge of another type", R"({"type":"webauthn.get","challenge":["$C"],"origin":"$O"})", 5, false},
    {"bad_origin",
     R"({"type":"webauthn.get","challenge":"$C","origin":"https://evil.example.org","crossOrigin":false})", 5, false},
    {"bad_origin, both say so",
     R"({"type":"webauthn.get","challenge":"$C","origin":"https://evil.example.org"})",
     5,
     false,
     {},
     "https://evil.example.org"},
    {"an allowed origin, but not the one the client data names", kUsual, 5, false, {}, "https://other.example.org"},
    {"bad_origin_suffix",
     R"({"type":"webauthn.get","challenge":"$C","origin":"$O.evil.com"})",
     5,
     false,
     {},
     kOrigin + ".evil.com"},
    {"bad_origin_http",
     R"({"type":"webauthn.get","challenge":"$C","origin":"http://approve.example.org"})",
     5,
     false,
     {},
     "http://approve.example.org"},
    {"no origin", R"({"type":"webauthn.get","challenge":"$C"})", 5, false},
    {"bad_cross_origin", R"({"type":"webauthn.get","challenge":"$C","origin":"$O","crossOrigin":true})", 5, false},
    {"crossOrigin that is no boolean", R"({"type":"webauthn.get","challenge":"$C","origin":"$O","crossOrigin":0})", 5,
     false},
    {"crossOrigin null", R"({"type":"webauthn.get","challenge":"$C","origin":"$O","crossOrigin":null})", 5, false},
    {"bad_top_origin",
     R"({"type":"webauthn.get","challenge":"$C","origin":"$O","crossOrigin":false,"topOrigin":"https://evil.example"})",
     5, false},
    {"topOrigin null", R"({"type":"webauthn.get","challenge":"$C","origin":"$O","topOrigin":null})", 5, false},
    {"bad_duplicate_member", R"({"challenge":"$C","type":"webauthn.get","challenge":"AAAA","origin":"$O"})", 5, false},
    {"the same member twice with the same value",
     R"({"challenge":"$C","type":"webauthn.get","challenge":"$C","origin":"$O"})", 5, false},
    {"a repeated member of nobody's", R"({"type":"webauthn.get","challenge":"$C","origin":"$O","x":1,"\u0078":2})", 5,
     false},
    {"not JSON", R"({"type":"webauthn.get","challenge":"$C","origin":"$O")", 5, false},
    {"bytes after the JSON", kUsual + "x", 5, false},
    {"a list", "[" + kUsual + "]", 5, false},
    {"empty", "", 5, false},
    {"bad_rpid", kUsual, 5, false, {}, kOrigin, "approve.example.org", "evil.example.org"},
    {"a key made for ssh", kUsual, 5, false, {}, kOrigin, "ssh:", "ssh:"},
    {"bad_bs_without_be", kUsual, 0x15, false},
    {"bad_at_flag", kUsual, 0x45, false},
    {"reserved flag 02", kUsual, 0x07, false},
    {"reserved flag 20", kUsual, 0x25, false},
};

Result<Presence> verify(const Sshsig& s, const std::vector<std::string>& origins) {
  return hallpass::verify_sshsig(s, s.key, kNamespace, as_bytes(kMessage), origins);
}

int wrong_rows() {
  int wrong = 0;
  for (const Row& row : kRows) {
    const Sshsig s = signature_of(row);
    const Result<Presence> presence = verify(s, kOrigins);
    wrong += wrong_if(row.good ? !presence || presence.value() != row.presence : presence.has_value(), row.name);
    wrong += wrong_if(verify(s, {}).has_value(), row.name);
    wrong += wrong_if(verify(s, {"https://approve.example.or", "*", ""}).has_value(), row.name);
    const auto other = hallpass::verify_sshsig(s, s.key, kNamespace, as_bytes("another message"), kOrigins);
    wrong += wrong_if(other.has_value(), row.name);
  }
  return wrong;
}
void test_rows(void**) {
  assert_int_equal(wrong_rows(), 0);
}

int damaged_that_verify() {
  Sshsig s = signature_of(kRows[0]);
  int wrong = wrong_if(!verify(s, kOrigins), "undamaged");
  for (std::size_t i = 0; i < s.signature.size() * 8; ++i) {
    s.signature[i / 8] = static_cast<std::uint8_t>(s.signature[i / 8] ^ 1U << i % 8);
    wrong += wrong_if(verify(s, kOrigins).has_value(), "flipped");
    s.signature[i / 8] = static_cast<std::uint8_t>(s.signature[i / 8] ^ 1U << i % 8);
  }
  const Bytes whole = s.signature;
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    s.signature.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    wrong += wrong_if(verify(s, kOrigins).has_value(), "cut");
  }
  s.signature = whole;
  s.signature.push_back(0);
  return wrong + wrong_if(verify(s, kOrigins).has_value(), "extended");
}
void test_damaged(void**) {
  assert_int_equal(damaged_that_verify(), 0);
}

// A passkey's key may not sign as if it stood in a USB port, where nothing says which page asked.
int passkey_without_browser() {
  Sshsig s = signature_of(kRows[0]);
  s.algorithm = "sk-ecdsa-sha2-nistp256@openssh.com";
  const Result<Presence> presence = verify(s, kOrigins);
  return wrong_if(presence || presence.error().code != Errc::mismatch, "plain FIDO signature by a passkey");
}
void test_passkey(void**) {
  assert_int_equal(passkey_without_browser(), 0);
}

// OpenSSH's own: made by its code, read by ours.
int wrong_vector() {
  const std::string line = read_vector("sshsig/id_sk_ecdsa_webauthn.pub");
  const PublicKey key = PublicKey::from_line(line.substr(0, line.find('\n'))).value();
  const Bytes blob = hallpass::parse_sshsig_armor(read_vector("sshsig/sk_ecdsa.webauthn.sig")).value();
  const std::string message = read_vector("sshsig/message.txt");
  const std::vector<std::string> allowed = {"https://example.org"};
  const auto check = [&](hallpass::ByteView bytes, const std::vector<std::string>& origins) {
    const Result<Sshsig> s = hallpass::parse_sshsig(bytes);
    return s && hallpass::verify_sshsig(s.value(), key, "approve@example.org", as_bytes(message), origins).has_value();
  };
  int wrong = wrong_if(!check(blob, allowed), "the vector, its origin allowed");
  wrong += wrong_if(check(blob, {}), "the vector, no origin allowed");
  Bytes damaged = blob;
  for (std::size_t i = 0; i < blob.size() * 8; ++i) {
    damaged[i / 8] = static_cast<std::uint8_t>(damaged[i / 8] ^ 1U << i % 8);
    wrong += wrong_if(check(damaged, allowed), "the vector, a bit flipped");
    damaged[i / 8] = blob[i / 8];
  }
  return wrong;
}
void test_vector(void**) {
  assert_int_equal(wrong_vector(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_passkey),
      cmocka_unit_test(test_vector),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
