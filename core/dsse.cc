#include "core/dsse.h"

#include <algorithm>
#include <optional>

#include "core/json.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxPayloadTypeBytes = 128;
constexpr std::size_t kMaxKeyidBytes = 128;
constexpr std::size_t kMaxSignatureBytes = std::size_t{16} * 1024;

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Reads `name` as base64 of 1 to `limit` bytes (or of 0, where `may_be_empty`).
Bytes read_base64(JsonReader& reader, std::string_view name, std::size_t limit, bool may_be_empty) {
  const std::string text = reader.string(name);
  Result<Bytes> bytes = base64_decode(text);
  if (!bytes) {
    reader.fail(name, "is " + bytes.error().message);
    return {};
  }
  if (bytes->size() > limit) reader.fail(name, "is over " + std::to_string(limit) + " bytes");
  if (bytes->empty() && !may_be_empty) reader.fail(name, "is empty");
  return std::move(bytes).value();
}

Result<EnvelopeSignature> read_signature(const Json& json) {
  JsonReader reader(json, "a signature of the envelope");
  EnvelopeSignature signature;
  signature.keyid = reader.string("keyid");
  if (signature.keyid.size() > kMaxKeyidBytes || !is_printable_ascii(signature.keyid)) {
    reader.fail("keyid", "is too long or not plain text");
  }
  signature.signature = read_base64(reader, "sig", kMaxSignatureBytes, false);
  const Status finished = reader.finish();
  if (!finished) return finished.error();
  return signature;
}

Status read_signatures(const Json* json, std::vector<EnvelopeSignature>& out) {
  const JsonArray* list = json == nullptr ? nullptr : json->as_array();
  if (list == nullptr || list->empty()) {
    return Error{Errc::malformed, "the envelope: the member \"signatures\" must be a list of at least one"};
  }
  if (list->size() > kMaxEnvelopeSignatures) {
    return Error{Errc::too_large,
                 "the envelope has more than " + std::to_string(kMaxEnvelopeSignatures) + " signatures"};
  }
  out.reserve(list->size());
  for (const Json& entry : *list) {
    Result<EnvelopeSignature> signature = read_signature(entry);
    if (!signature) return signature.error();
    out.push_back(std::move(signature).value());
  }
  return Unit{};
}

// Takes literals and plain strings off the front of a text.
class PlainReader {
 public:
  explicit PlainReader(std::string_view text) : rest_(text) {}

  void skip(std::string_view literal) {
    good_ = good_ && rest_.substr(0, literal.size()) == literal;
    if (good_) rest_.remove_prefix(literal.size());
  }
  // A JSON string without escapes, of ASCII: what stands there is what it means.
  std::string_view string() {
    skip("\"");
    const std::string_view text = rest_.substr(0, good_ ? rest_.find('"') : 0);
    good_ = good_ && std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != '\\'; });
    if (good_) rest_.remove_prefix(text.size());
    skip("\"");
    return good_ ? text : std::string_view();
  }
  bool done() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

// Nearly every envelope is spelled as format_envelope spells it, with one signature, and reading JSON costs more than
// all else in opening a statement but the signature. nullopt: something else, good or bad, for the JSON parser.
std::optional<Envelope> read_plain_envelope(std::string_view text) {
  PlainReader in(text);
  in.skip(R"({"payload":)");
  const std::string_view payload = in.string();
  in.skip(R"(,"payloadType":)");
  const std::string_view type = in.string();
  in.skip(R"(,"signatures":[{"keyid":)");
  const std::string_view keyid = in.string();
  in.skip(R"(,"sig":)");
  const std::string_view sig = in.string();
  in.skip("}]}");
  if (!in.done()) return std::nullopt;
  const bool type_good = !type.empty() && type.size() <= kMaxPayloadTypeBytes && is_printable_ascii(type);
  if (!type_good || keyid.size() > kMaxKeyidBytes || !is_printable_ascii(keyid)) return std::nullopt;
  Result<Bytes> body = base64_decode(payload), signature = base64_decode(sig);
  if (!body || !signature || signature->empty()) return std::nullopt;
  if (body->size() > kMaxPayloadBytes || signature->size() > kMaxSignatureBytes) return std::nullopt;
  Envelope envelope;
  envelope.payload_type = type;
  envelope.payload = std::move(body).value();
  envelope.signatures.push_back({std::string(keyid), std::move(signature).value()});
  return envelope;
}

}  // namespace

Result<Envelope> parse_envelope(std::string_view text) {
  if (text.size() > kMaxEnvelopeBytes) return Error{Errc::too_large, "the envelope is too long"};
  if (std::optional<Envelope> plain = read_plain_envelope(text)) return std::move(*plain);
  const Result<Json> json = parse_json(text);
  if (!json) return Error{json.error().code, "the envelope: " + json.error().message};
  JsonReader reader(json.value(), "the envelope");
  Envelope envelope;
  envelope.payload_type = reader.string("payloadType");
  if (envelope.payload_type.empty() || envelope.payload_type.size() > kMaxPayloadTypeBytes ||
      !is_printable_ascii(envelope.payload_type)) {
    reader.fail("payloadType", "is empty, too long or not plain text");
  }
  envelope.payload = read_base64(reader, "payload", kMaxPayloadBytes, true);
  const Json* signatures = reader.any("signatures");
  if (const Status finished = reader.finish(); !finished) return finished.error();
  if (const Status read = read_signatures(signatures, envelope.signatures); !read) return read.error();
  return envelope;
}

std::string format_envelope(const Envelope& envelope) {
  JsonArray signatures;
  for (const EnvelopeSignature& signature : envelope.signatures) {
    signatures.emplace_back(
        JsonObject{{"keyid", Json(signature.keyid)}, {"sig", Json(base64_encode(signature.signature))}});
  }
  return to_json(JsonObject{{"payload", Json(base64_encode(envelope.payload))},
                            {"payloadType", Json(envelope.payload_type)},
                            {"signatures", Json(std::move(signatures))}});
}

Bytes pre_authentication_encoding(std::string_view payload_type, ByteView payload) {
  std::string head = "DSSEv1 " + std::to_string(payload_type.size()) + " ";
  head += payload_type;
  head += " " + std::to_string(payload.size()) + " ";
  Bytes out;
  out.reserve(head.size() + payload.size());
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

}  // namespace hallpass
