// Envelopes and the JSON under them: what parses, formats and parses again to the same.
#include <cstdint>
#include <cstdlib>

#include "core/dsse.h"
#include "core/json.h"

namespace {

using hallpass::Envelope;
using hallpass::Json;
using hallpass::Result;

void require(bool holds) {
  if (!holds) std::abort();
}

// to_canonical_json takes no number that a double cannot hold; whoever calls it sees to that.
bool has_canonical_form(const Json& json) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 53;
  if (const std::int64_t* number = json.as_int()) return *number <= kLargest && *number >= -kLargest;
  if (const hallpass::JsonArray* array = json.as_array()) {
    for (const Json& element : *array) {
      if (!has_canonical_form(element)) return false;
    }
  }
  if (const hallpass::JsonObject* object = json.as_object()) {
    for (const auto& member : *object) {
      if (!has_canonical_form(member.second)) return false;
    }
  }
  return true;
}

void check_json(std::string_view text) {
  const Result<Json> json = hallpass::parse_json(text);
  if (!json) return require(!json.error().message.empty());
  const std::string compact = hallpass::to_json(json.value());
  const Result<Json> again = hallpass::parse_json(compact);
  require(again && hallpass::to_json(again.value()) == compact);
  const Result<Json> pretty = hallpass::parse_json(hallpass::to_pretty_json(json.value()));
  require(pretty && hallpass::to_json(pretty.value()) == compact);
  if (!has_canonical_form(json.value())) return;
  const std::string canonical = hallpass::to_canonical_json(json.value());
  const Result<Json> sorted = hallpass::parse_json(canonical);
  require(sorted && hallpass::to_canonical_json(sorted.value()) == canonical);
}

void check_envelope(std::string_view text) {
  const Result<Envelope> parsed = hallpass::parse_envelope(text);
  if (!parsed) return require(!parsed.error().message.empty());
  const Envelope& envelope = parsed.value();
  require(!envelope.payload_type.empty() && envelope.payload.size() <= hallpass::kMaxPayloadBytes);
  require(!envelope.signatures.empty() && envelope.signatures.size() <= hallpass::kMaxEnvelopeSignatures);
  const Result<Envelope> again = hallpass::parse_envelope(hallpass::format_envelope(envelope));
  require(again && again.value().payload_type == envelope.payload_type && again.value().payload == envelope.payload);
  require(again.value().signatures.size() == envelope.signatures.size());
  for (std::size_t i = 0; i < envelope.signatures.size(); ++i) {
    require(again.value().signatures[i].keyid == envelope.signatures[i].keyid);
    require(again.value().signatures[i].signature == envelope.signatures[i].signature);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hallpass::as_text({data, size});
  check_json(text);
  check_envelope(text);
  return 0;
}
