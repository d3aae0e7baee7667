#include "core/dsse.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <set>

#include "core/hash.h"
#include "core/json.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/vectors.h"

namespace {

using hallpass::as_bytes;
using hallpass::as_text;
using hallpass::Bytes;
using hallpass::Envelope;
using hallpass::Json;
using hallpass::Result;

std::string text_of_hex(const Json* hex) {
  return std::string(as_text(hallpass::hex_decode(*hex->as_string()).value()));
}

int wrong_pae() {
  const Result<Json> rows = hallpass::parse_json(read_vector("dsse/pae_vectors.json"));
  int wrong = wrong_if(!rows || rows.value().as_array()->size() != 5, "5 vectors");
  for (const Json& row : *rows.value().as_array()) {
    const std::string type = text_of_hex(row.find("type_hex"));
    const std::string body = text_of_hex(row.find("body_hex"));
    const Bytes pae = hallpass::pre_authentication_encoding(type, as_bytes(body));
    wrong += wrong_if(as_text(pae) != text_of_hex(row.find("pae_hex")), type.c_str());
    wrong += wrong_if("sha256:" + *row.find("sha256")->as_string() != hallpass::format_digest(hallpass::sha256(pae)),
                      "digest");
  }
  return wrong;
}
void test_pae(void**) {
  assert_int_equal(wrong_pae(), 0);
}

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

bool verifies(EVP_PKEY* key, const EVP_MD* digest, const Bytes& data, std::string_view signature) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), as_bytes(signature).data(), signature.size(), data.data(), data.size()) == 1;
}

// The official envelope has no keyid, which DSSE allows and we do not; with one it is read, and its signature covers
// our encoding.
int wrong_official() {
  std::string text = read_vector("dsse/official.json");
  int wrong = wrong_if(hallpass::parse_envelope(text).has_value(), "without keyid");
  text.insert(text.find("\"sig\""), "\"keyid\": \"\", ");
  const Result<Envelope> envelope = hallpass::parse_envelope(text);
  if (!envelope) return wrong + wrong_if(true, "with keyid");
  const Envelope& e = envelope.value();
  const Bytes pae = hallpass::pre_authentication_encoding(e.payload_type, e.payload);
  wrong += wrong_if(as_text(e.payload) != "hello world" || e.signatures[0].signature.size() != 64, "fields");
  wrong += wrong_if(as_text(pae) != read_vector("dsse/official.pae.bin"), "encoding");
  const std::string pem = read_vector("dsse/official.pub.pem");
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  const Key key(PEM_read_bio_PUBKEY(bio, nullptr, nullptr, nullptr), EVP_PKEY_free);
  BIO_free(bio);
  return wrong + wrong_if(!verifies(key.get(), EVP_sha256(), pae, read_vector("dsse/official.sig.der")), "signature");
}
void test_official(void**) {
  assert_int_equal(wrong_official(), 0);
}

// How many of the trusted keys signed: the count of tests/vectors/dsse/threshold.json, over our reader and our
// encoding.
std::size_t distinct_signers(const Envelope& envelope, const std::vector<Key>& keys) {
  const Bytes pae = hallpass::pre_authentication_encoding(envelope.payload_type, envelope.payload);
  std::set<const EVP_PKEY*> signers;
  for (const auto& signature : envelope.signatures) {
    for (const Key& key : keys) {
      if (verifies(key.get(), nullptr, pae, as_text(signature.signature))) signers.insert(key.get());
    }
  }
  return signers.size();
}

// Rows that DSSE accepts and our strict form refuses: a missing keyid, the url-safe alphabet, a member that nobody
// knows. A row without keyid is judged a second time with an empty one.
bool stricter(std::string_view name) {
  return name == "ok_no_keyid" || name == "ok_urlsafe_and_extra_field";
}

std::string with_keyids(std::string text) {
  for (std::size_t at = 0; (at = text.find("{\"sig\"", at)) != std::string::npos; ++at)
    text.insert(at + 1, "\"keyid\":\"\",");
  return text;
}

int wrong_threshold() {
  const Result<Json> json = hallpass::parse_json(read_vector("dsse/threshold.json"));
  std::vector<Key> keys;
  for (const Json& hex : *json.value().find("trusted_ed25519_hex")->as_array()) {
    const std::string raw = text_of_hex(&hex);
    keys.emplace_back(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, as_bytes(raw).data(), raw.size()),
                      EVP_PKEY_free);
  }
  const std::string& expected_type = *json.value().find("payloadType")->as_string();
  const auto accepts = [&](const std::string& text) {
    const Result<Envelope> envelope = hallpass::parse_envelope(text);
    return envelope && envelope.value().payload_type == expected_type && distinct_signers(envelope.value(), keys) >= 2;
  };
  int wrong = wrong_if(json.value().find("cases")->as_array()->size() != 14, "14 rows");
  for (const Json& row : *json.value().find("cases")->as_array()) {
    const std::string& name = *row.find("name")->as_string();
    const std::string text = hallpass::to_json(*row.find("envelope"));
    const bool expected = *row.find("expect")->as_bool();
    wrong += wrong_if(accepts(text) != (expected && !stricter(name)), name.c_str());
    if (name == "ok_no_keyid") wrong += wrong_if(!accepts(with_keyids(text)), name.c_str());
  }
  return wrong;
}
void test_threshold(void**) {
  assert_int_equal(wrong_threshold(), 0);
}

struct Row {
  const char* name;
  std::string text;
  bool good;
};

std::string envelope_of(const std::string& payload, const std::string& signatures) {
  return R"({"payload":")" + payload + R"(","payloadType":"t","signatures":)" + signatures + "}";
}
std::string repeated(std::size_t count) {
  std::string list = "[";
  for (std::size_t i = 0; i < count; ++i) list += std::string(i == 0 ? "" : ",") + R"({"keyid":"","sig":"AA=="})";
  return list + "]";
}

int wrong_rows() {
  const std::string one = R"([{"keyid":"k","sig":"AA=="}])";
  const std::string most = hallpass::base64_encode(Bytes(hallpass::kMaxPayloadBytes));
  const std::string more = hallpass::base64_encode(Bytes(hallpass::kMaxPayloadBytes + 1));
  const Row rows[] = {
      {"the usual", envelope_of("AA==", one), true},
      {"empty payload", envelope_of("", one), true},
      {"white space", "\n " + envelope_of("AA==", one) + " \n", true},
      {"64 signatures", envelope_of("AA==", repeated(64)), true},
      {"65 signatures", envelope_of("AA==", repeated(65)), false},
      {"the largest payload", envelope_of(most, one), true},
      {"a larger payload", envelope_of(more, one), false},
      {"no signatures", envelope_of("AA==", "[]"), false},
      {"signatures that are no list", envelope_of("AA==", R"({"keyid":"","sig":"AA=="})"), false},
      {"a signature that is no object", envelope_of("AA==", R"(["AA=="])"), false},
      {"empty sig", envelope_of("AA==", R"([{"keyid":"","sig":""}])"), false},
      {"no sig", envelope_of("AA==", R"([{"keyid":""}])"), false},
      {"no keyid", envelope_of("AA==", R"([{"sig":"AA=="}])"), false},
      {"keyid null", envelope_of("AA==", R"([{"keyid":null,"sig":"AA=="}])"), false},
      {"control character in keyid", envelope_of("AA==", R"([{"keyid":"\u001b","sig":"AA=="}])"), false},
      {"keyid too long", envelope_of("AA==", R"([{"keyid":")" + std::string(200, 'k') + R"(","sig":"AA=="}])"), false},
      {"unknown member of a signature", envelope_of("AA==", R"([{"keyid":"","sig":"AA==","cert":""}])"), false},
      {"repeated member of a signature", envelope_of("AA==", R"([{"keyid":"","sig":"AA==","sig":"AA=="}])"), false},
      {"payload not base64", envelope_of("A", one), false},
      {"payload not canonical", envelope_of("AB==", one), false},
      {"payload with a newline", envelope_of("AA\\n==", one), false},
      {"payload url-safe", envelope_of("-_-_", one), false},
      {"payload is null", R"({"payload":null,"payloadType":"t","signatures":)" + one + "}", false},
      {"no payload", R"({"payloadType":"t","signatures":)" + one + "}", false},
      {"no payloadType", R"({"payload":"AA==","signatures":)" + one + "}", false},
      {"empty payloadType", R"({"payload":"AA==","payloadType":"","signatures":)" + one + "}", false},
      {"payloadType with a space", R"({"payload":"AA==","payloadType":"a b","signatures":)" + one + "}", false},
      {"no signatures member", R"({"payload":"AA==","payloadType":"t"})", false},
      {"unknown member", R"({"x":1,"payload":"AA==","payloadType":"t","signatures":)" + one + "}", false},
      {"repeated payload", R"({"payload":"AA==","payload":"AA==","payloadType":"t","signatures":)" + one + "}", false},
      {"repeated payload by an escape",
       R"({"payload":"AA==","\u0070ayload":"AA==","payloadType":"t","signatures":)" + one + "}", false},
      {"two envelopes", envelope_of("AA==", one) + envelope_of("AA==", one), false},
      {"a list", "[" + envelope_of("AA==", one) + "]", false},
      {"empty", "", false},
      {"too long", envelope_of("AA==", one) + std::string(hallpass::kMaxEnvelopeBytes, ' '), false},
  };
  int wrong = 0;
  for (const Row& r : rows) {
    const Result<Envelope> envelope = hallpass::parse_envelope(r.text);
    wrong += wrong_if(envelope.has_value() != r.good, r.name);
    if (!envelope) continue;
    const std::string formatted = hallpass::format_envelope(envelope.value());
    const Result<Envelope> again = hallpass::parse_envelope(formatted);
    wrong += wrong_if(!again || hallpass::format_envelope(again.value()) != formatted, r.name);
    wrong += wrong_if(formatted.find('\n') != std::string::npos, r.name);
    wrong += wrong_if(!again || again.value().payload != envelope.value().payload, r.name);
  }
  return wrong;
}
void test_rows(void**) {
  assert_int_equal(wrong_rows(), 0);
}

// The usual spelling is read without the JSON parser; a space in front sends the same text through it. Every byte
// changed, dropped or doubled: both answer alike.
int wrong_spellings() {
  const std::string usual = envelope_of("QUJD", R"([{"keyid":"SHA256:k","sig":"AAEC"}])");
  int wrong = 0;
  const auto compare = [&](const std::string& text) {
    const Result<Envelope> plain = hallpass::parse_envelope(text), json = hallpass::parse_envelope(" " + text);
    const bool alike = plain.has_value() == json.has_value() &&
                       (!plain || hallpass::format_envelope(*plain) == hallpass::format_envelope(*json));
    wrong += wrong_if(!alike, text.c_str());
  };
  compare(usual);
  for (std::size_t i = 0; i < usual.size(); ++i) {
    std::string text = usual;
    for (int byte = 1; byte < 256; ++byte) {
      text[i] = static_cast<char>(byte);
      compare(text);
    }
    compare(usual.substr(0, i));
    compare(usual.substr(0, i) + usual.substr(i + 1));
    compare(usual.substr(0, i) + usual.substr(i, 1) + usual.substr(i));
  }
  return wrong;
}
void test_spellings(void**) {
  assert_int_equal(wrong_spellings(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_pae),  cmocka_unit_test(test_official),  cmocka_unit_test(test_threshold),
      cmocka_unit_test(test_rows), cmocka_unit_test(test_spellings),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
