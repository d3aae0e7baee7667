// The vectors of tests/vectors/sshsig and tests/vectors/agent, and each of them damaged in every way that one byte can
// be.
#include "core/sshsig.h"

#include <openssl/evp.h>

#include <algorithm>

#include "core/json.h"
#include "core/ssh_wire.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::Bytes;
using hallpass::ByteView;
using hallpass::Errc;
using hallpass::Json;
using hallpass::Presence;
using hallpass::PublicKey;
using hallpass::Result;
using hallpass::Sshsig;

constexpr std::string_view kNamespace = "approve@example.org";
const std::vector<std::string> kNoOrigins;

PublicKey key_of(const std::string& file) {
  const std::string line = read_vector(file);
  return PublicKey::from_line(line.substr(0, line.find('\n'))).value();
}

Result<Presence> verify(ByteView blob, const PublicKey& key, ByteView message) {
  const Result<Sshsig> signature = hallpass::parse_sshsig(blob);
  if (!signature) return signature.error();
  return hallpass::verify_sshsig(signature.value(), key, kNamespace, message, kNoOrigins);
}
Result<Presence> verify_armored(std::string_view text, const PublicKey& key, ByteView message) {
  const Result<Bytes> blob = hallpass::parse_sshsig_armor(text);
  if (!blob) return blob.error();
  return verify(blob.value(), key, message);
}

struct Good {
  const char* file;
  const char* key;
  Presence presence;
};
const Good kGood[] = {
    {"sshsig/ed25519.sha256.sig", "sshsig/id_ed25519.pub", Presence::none},
    {"sshsig/ed25519.sha512.sig", "sshsig/id_ed25519.pub", Presence::none},
    {"sshsig/ecdsa.sha256.sig", "sshsig/id_ecdsa.pub", Presence::none},
    {"sshsig/ecdsa.sha512.sig", "sshsig/id_ecdsa.pub", Presence::none},
    {"sshsig/edge.ecdsa_high_s.sig", "sshsig/id_ecdsa.pub", Presence::none},
    {"sshsig/rsa.sha256.sig", "sshsig/id_rsa.pub", Presence::none},
    {"sshsig/rsa.sha512.sig", "sshsig/id_rsa.pub", Presence::none},
    {"sshsig/sk_ed25519.up.sig", "sshsig/id_sk_ed25519.pub", Presence::touch},
    {"sshsig/sk_ed25519.up_uv.sig", "sshsig/id_sk_ed25519.pub", Presence::verified},
    {"sshsig/sk_ecdsa.up.sig", "sshsig/id_sk_ecdsa.pub", Presence::touch},
    {"sshsig/sk_ecdsa.up_uv.sig", "sshsig/id_sk_ecdsa.pub", Presence::verified},
    {"agent/ed25519-test.sha256.sig", "sshsig/id_ed25519.pub", Presence::none},
    {"agent/ed25519-test.sha512.sig", "sshsig/id_ed25519.pub", Presence::none},
    {"agent/ecdsa-test.sha256.sig", "sshsig/id_ecdsa.pub", Presence::none},
    {"agent/ecdsa-test.sha512.sig", "sshsig/id_ecdsa.pub", Presence::none},
    {"agent/rsa-test.sha256.sig", "sshsig/id_rsa.pub", Presence::none},
    {"agent/rsa-test.sha512.sig", "sshsig/id_rsa.pub", Presence::none},
    {"agent/soft-app.sha256.sig", "agent/sk_app.pub", Presence::touch},
    {"agent/soft-app.sha512.sig", "agent/sk_app.pub", Presence::touch},
    {"agent/soft-ecdsa-sk.sha256.sig", "agent/sk_ecdsa-sk.pub", Presence::touch},
    {"agent/soft-ecdsa-sk.sha512.sig", "agent/sk_ecdsa-sk.pub", Presence::touch},
    {"agent/soft-ed25519-sk.sha256.sig", "agent/sk_ed25519-sk.pub", Presence::touch},
    {"agent/soft-ed25519-sk.sha512.sig", "agent/sk_ed25519-sk.pub", Presence::touch},
};

struct Bad {
  const char* file;
  const char* key;
  Errc code;
};
const Bad kBad[] = {
    {"sshsig/neg.bitflip.sig", "sshsig/id_ed25519.pub", Errc::bad_signature},
    {"sshsig/neg.ecdsa_negative_mpint.sig", "sshsig/id_ecdsa.pub", Errc::malformed},
    {"sshsig/neg.empty_namespace.sig", "sshsig/id_ed25519.pub", Errc::malformed},
    {"sshsig/neg.hash_sha1.sig", "sshsig/id_ed25519.pub", Errc::unsupported},
    {"sshsig/neg.namespace.sig", "sshsig/id_ed25519.pub", Errc::mismatch},
    {"sshsig/neg.point_off_curve.sig", "sshsig/id_ecdsa.pub", Errc::malformed},
    {"sshsig/neg.rsa_sha1.sig", "sshsig/id_rsa.pub", Errc::unsupported},
    {"sshsig/sk_ed25519.noup.sig", "sshsig/id_sk_ed25519.pub", Errc::bad_signature},
    {"sshsig/sk_ecdsa.noup.sig", "sshsig/id_sk_ecdsa.pub", Errc::bad_signature},
    {"sshsig/neg.sigtype_mismatch.sig", "sshsig/id_ed25519.pub", Errc::malformed},
    {"sshsig/neg.trailing.sig", "sshsig/id_ed25519.pub", Errc::malformed},
    {"sshsig/neg.version2.sig", "sshsig/id_ed25519.pub", Errc::unsupported},
    {"sshsig/edge.ecdsa_nonminimal_mpint.sig", "sshsig/id_ecdsa.pub", Errc::malformed},
    {"sshsig/edge.reserved_signed.sig", "sshsig/id_ed25519.pub", Errc::malformed},
    {"sshsig/edge.reserved_unsigned.sig", "sshsig/id_ed25519.pub", Errc::malformed},
    {"sshsig/sk_ecdsa.webauthn.sig", "sshsig/id_sk_ecdsa_webauthn.pub", Errc::mismatch},  // no origin is allowed here
    {"sshsig/sk_ecdsa.up.sig", "sshsig/id_sk_ed25519.pub", Errc::unknown_key},
};

int wrong_good() {
  const std::string message = read_vector("sshsig/message.txt");
  int wrong = 0;
  for (const Good& c : kGood) {
    const std::string text = read_vector(c.file);
    const Result<Presence> presence = verify_armored(text, key_of(c.key), as_bytes(message));
    wrong += wrong_if(!presence || presence.value() != c.presence, c.file);
    const Result<Bytes> blob = hallpass::parse_sshsig_armor(text);
    wrong += wrong_if(!blob || hallpass::format_sshsig_armor(blob.value()) != text, c.file);
  }
  return wrong;
}
void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}

int wrong_bad() {
  const std::string message = read_vector("sshsig/message.txt");
  int wrong = 0;
  for (const Bad& c : kBad) {
    const Result<Presence> presence = verify_armored(read_vector(c.file), key_of(c.key), as_bytes(message));
    wrong += wrong_if(presence || presence.error().code != c.code, c.file);
  }
  return wrong;
}
void test_bad(void**) {
  assert_int_equal(wrong_bad(), 0);
}

bool listed(const std::string& name) {
  const auto same = [&](const auto& c) { return c.file == "sshsig/" + name; };
  return std::any_of(std::begin(kGood), std::end(kGood), same) || std::any_of(std::begin(kBad), std::end(kBad), same);
}

// No vector is forgotten, and the tables above say what the strict column says.
int wrong_columns() {
  const Result<Json> results = hallpass::parse_json(read_vector("sshsig/openssh_results.json"));
  int wrong = wrong_if(!results || results.value().as_object()->size() != 27, "27 vectors");
  for (const hallpass::JsonMember& member : *results.value().as_object()) {
    const std::string& name = member.first;  // clang 14 cannot capture a structured binding
    wrong += wrong_if(!listed(name), name.c_str());
    const bool strict = *member.second.find("strict_evp")->as_string() == "accept";
    const bool good =
        std::any_of(std::begin(kGood), std::end(kGood), [&](const Good& c) { return c.file == "sshsig/" + name; });
    wrong += wrong_if(good != strict, name.c_str());
  }
  return wrong;
}
void test_columns(void**) {
  assert_int_equal(wrong_columns(), 0);
}

// Every bit flipped, every length cut, bytes appended: nothing of it verifies. No bit of a signature is without
// meaning.
int damaged_that_verify(const Good& c, ByteView message) {
  const PublicKey key = key_of(c.key);
  Bytes blob = hallpass::parse_sshsig_armor(read_vector(c.file)).value();
  int wrong = wrong_if(!verify(blob, key, message), c.file);
  for (std::size_t i = 0; i < blob.size() * 8; ++i) {
    blob[i / 8] = static_cast<std::uint8_t>(blob[i / 8] ^ 1U << i % 8);
    wrong += wrong_if(verify(blob, key, message).has_value(), c.file);
    blob[i / 8] = static_cast<std::uint8_t>(blob[i / 8] ^ 1U << i % 8);
  }
  for (std::size_t cut = 0; cut < blob.size(); ++cut) {
    wrong += wrong_if(verify(ByteView(blob).first(cut), key, message).has_value(), c.file);
  }
  for (const std::uint8_t extra : Bytes{0x00, 0x01, 0x41, 0xff}) {
    Bytes longer = blob;
    longer.push_back(extra);
    wrong += wrong_if(verify(longer, key, message).has_value(), c.file);
    Sshsig inner = hallpass::parse_sshsig(blob).value();
    inner.signature.push_back(extra);
    wrong += wrong_if(hallpass::verify_sshsig(inner, key, kNamespace, message, kNoOrigins).has_value(), c.file);
  }
  return wrong;
}

int damaged_armor_that_verifies(const Good& c, ByteView message) {
  const PublicKey key = key_of(c.key);
  std::string text = read_vector(c.file);
  int wrong = 0;
  for (std::size_t i = 0; i < text.size() * 8; ++i) {
    text[i / 8] = static_cast<char>(text[i / 8] ^ 1 << i % 8);
    wrong += wrong_if(verify_armored(text, key, message).has_value(), c.file);
    text[i / 8] = static_cast<char>(text[i / 8] ^ 1 << i % 8);
  }
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    wrong += wrong_if(verify_armored(std::string_view(text).substr(0, cut), key, message).has_value(), c.file);
  }
  return wrong;
}

int damaged_that_verify() {
  const std::string message = read_vector("sshsig/message.txt");
  int wrong = 0;
  for (const Good& c : kGood) {
    wrong += damaged_that_verify(c, as_bytes(message));
    wrong += damaged_armor_that_verifies(c, as_bytes(message));
  }
  return wrong;
}
void test_damaged(void**) {
  assert_int_equal(damaged_that_verify(), 0);
}

int other_messages_that_verify() {
  const std::string message = read_vector("sshsig/message.txt");
  int wrong = 0;
  for (const Good& c : kGood) {
    const PublicKey key = key_of(c.key);
    const Sshsig signature = hallpass::parse_sshsig(hallpass::parse_sshsig_armor(read_vector(c.file)).value()).value();
    for (const std::string& other : {message + "x", message.substr(1), std::string(), message + '\n'}) {
      const Result<Presence> p = hallpass::verify_sshsig(signature, key, kNamespace, as_bytes(other), kNoOrigins);
      wrong += wrong_if(p || p.error().code != Errc::bad_signature, c.file);
    }
    for (const std::string_view space : {"", "approve@example.or", "approve@example.org ", "request@hallpass"}) {
      const Result<Presence> p = hallpass::verify_sshsig(signature, key, space, as_bytes(message), kNoOrigins);
      wrong += wrong_if(p || p.error().code != Errc::mismatch, c.file);
    }
    Sshsig moved = signature;
    moved.name_space = "request@hallpass";
    const Result<Presence> p = hallpass::verify_sshsig(moved, key, moved.name_space, as_bytes(message), kNoOrigins);
    wrong += wrong_if(p || p.error().code != Errc::bad_signature, c.file);
  }
  return wrong;
}
void test_other_messages(void**) {
  assert_int_equal(other_messages_that_verify(), 0);
}

struct Armor {
  const char* name;
  std::string text;
  bool good;
};

// The table of docs/formats.md, "SSH signatures"; ssh-keygen takes some of what is refused here.
int wrong_armor() {
  const std::string text = read_vector("sshsig/ed25519.sha512.sig");
  const std::size_t body = text.find('\n') + 1;
  const std::size_t footer = text.find("\n-----END") + 1;
  std::string one_line = text.substr(body, footer - body);
  one_line.erase(std::remove(one_line.begin(), one_line.end(), '\n'), one_line.end());
  std::string crlf = text;
  for (std::size_t at = 0; (at = crlf.find('\n', at)) != std::string::npos; at += 2) crlf.replace(at, 1, "\r\n");
  const Armor cases[] = {
      {"as ssh-keygen writes it", text, true},
      {"base64 on one line", text.substr(0, body) + one_line + "\n" + text.substr(footer), true},
      {"blank line inside", text.substr(0, body) + "\n" + text.substr(body), true},
      {"text after the footer", text + "x", false},
      {"newline after the footer's", text + "\n", false},
      {"space inside", text.substr(0, body + 4) + " " + text.substr(body + 4), false},
      {"no newline after the footer", text.substr(0, text.size() - 1), false},
      {"text before the header", "x" + text, false},
      {"newline before the header", "\n" + text, false},
      {"CRLF", crlf, false},
      {"two signatures", text + text, false},
      {"no base64", text.substr(0, body) + text.substr(footer), false},
      {"empty", "", false},
      {"too long", text.substr(0, body) + std::string(64 * 1024, 'A') + "\n" + text.substr(footer), false},
  };
  int wrong = 0;
  for (const Armor& c : cases) wrong += wrong_if(hallpass::parse_sshsig_armor(c.text).has_value() != c.good, c.name);
  return wrong;
}
void test_armor(void**) {
  assert_int_equal(wrong_armor(), 0);
}

Bytes blob_with(std::string_view algorithm, std::string_view value, std::string_view hash, std::string_view space) {
  Bytes field, out;
  hallpass::wire_put_string(field, algorithm);
  hallpass::wire_put_raw(field, as_bytes(value));
  hallpass::wire_put_raw(out, as_bytes("SSHSIG"));
  hallpass::wire_put_u32(out, 1);
  hallpass::wire_put_string(out, key_of("sshsig/id_ed25519.pub").blob());
  hallpass::wire_put_string(out, space);
  hallpass::wire_put_string(out, "");
  hallpass::wire_put_string(out, hash);
  hallpass::wire_put_string(out, field);
  return out;
}

int wrong_parsed() {
  const auto code = [](const Bytes& blob) {
    const Result<Sshsig> s = hallpass::parse_sshsig(blob);
    return s ? -1 : static_cast<int>(s.error().code);
  };
  int wrong = wrong_if(code(blob_with("ssh-ed25519", "x", "sha512", "n")) != -1, "the smallest good one");
  wrong += wrong_if(code(blob_with("ssh-ed25519", "x", "SHA512", "n")) != static_cast<int>(Errc::unsupported),
                    "hash's case");
  wrong += wrong_if(code(blob_with("ssh-ed25519", "x", "", "n")) != static_cast<int>(Errc::unsupported), "no hash");
  wrong += wrong_if(code(blob_with("", "x", "sha512", "n")) != static_cast<int>(Errc::unsupported), "no algorithm");
  wrong += wrong_if(code(blob_with("ssh-rsa", "x", "sha512", "n")) != static_cast<int>(Errc::unsupported), "ssh-rsa");
  wrong +=
      wrong_if(code(blob_with("ssh-ed25519", "x", "sha512", "a b")) != static_cast<int>(Errc::malformed), "namespace");
  wrong +=
      wrong_if(code(blob_with("ssh-ed25519", "x", "sha512", {"a\0", 2})) != static_cast<int>(Errc::malformed), "NUL");
  const std::string large(hallpass::kMaxSshsigBytes, 'x');
  wrong +=
      wrong_if(code(blob_with("ssh-ed25519", large, "sha512", "n")) != static_cast<int>(Errc::too_large), "too large");
  return wrong;
}
void test_parsed(void**) {
  assert_int_equal(wrong_parsed(), 0);
}

// A security key's own secret signing as a plain key would: the arithmetic is right, but nothing vouches for a touch.
int plain_by_security_key() {
  EVP_PKEY* secret = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  Bytes raw(32), blob, value(64), hash(64), data, field;
  std::size_t length = raw.size();
  EVP_PKEY_get_raw_public_key(secret, raw.data(), &length);
  hallpass::wire_put_string(blob, "sk-ssh-ed25519@openssh.com");
  hallpass::wire_put_string(blob, raw);
  hallpass::wire_put_string(blob, "ssh:");
  EVP_Digest("m", 1, hash.data(), nullptr, EVP_sha512(), nullptr);
  hallpass::wire_put_raw(data, as_bytes("SSHSIG"));
  for (const std::string_view text : {kNamespace, std::string_view(), std::string_view("sha512")}) {
    hallpass::wire_put_string(data, text);
  }
  hallpass::wire_put_string(data, hash);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  length = value.size();
  EVP_DigestSignInit(context, nullptr, nullptr, nullptr, secret);
  const bool made = EVP_DigestSign(context, value.data(), &length, data.data(), data.size()) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(secret);
  hallpass::wire_put_string(field, value);
  const PublicKey key = PublicKey::from_blob(blob).value();
  const Sshsig plain{key, std::string(kNamespace), "sha512", "ssh-ed25519", field};
  const Result<Presence> p = hallpass::verify_sshsig(plain, key, kNamespace, as_bytes("m"), kNoOrigins);
  return wrong_if(!made || p || p.error().code != Errc::malformed, "plain signature by a security key");
}
void test_plain_by_security_key(void**) {
  assert_int_equal(plain_by_security_key(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
      cmocka_unit_test(test_columns),        cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_other_messages), cmocka_unit_test(test_armor),
      cmocka_unit_test(test_parsed),         cmocka_unit_test(test_plain_by_security_key),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
