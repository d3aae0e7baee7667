#include "core/values/digest.h"

#include <algorithm>

namespace hallpass {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kIdCharacters = 12;

std::string id_characters(const Digest& request) {
  // 12 characters are 60 bits, so the first 8 bytes hold them all.
  return crockford_encode(ByteView(request.bytes).first(8)).substr(0, kIdCharacters);
}

// The canonical digit for what a person typed, or 0.
char crockford_digit(char c) {
  if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (c == 'o') return '0';
  if (c == 'i' || c == 'l') return '1';
  const bool known = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z' && c != 'u');
  return known ? c : '\0';
}

}  // namespace

std::string format_digest(const Digest& d) {
  return std::string(kPrefix) + hex_encode(d.bytes);
}

Result<Digest> parse_digest(std::string_view text) {
  const Error malformed{Errc::malformed, "a digest is written \"sha256:\" and 64 lower-case hexadecimal digits"};
  if (text.substr(0, kPrefix.size()) != kPrefix) return malformed;
  const Result<Bytes> bytes = hex_decode(text.substr(kPrefix.size()));
  Digest digest;
  if (!bytes || bytes.value().size() != digest.bytes.size()) return malformed;
  std::copy(bytes.value().begin(), bytes.value().end(), digest.bytes.begin());
  return digest;
}

std::string grant_id(const Digest& request) {
  const std::string id = id_characters(request);
  return id.substr(0, 4) + "-" + id.substr(4, 4) + "-" + id.substr(8, 4);
}

Result<std::string> parse_grant_id_prefix(std::string_view typed) {
  const Error malformed{Errc::malformed, "a grant's id is 1 to 12 letters and digits (no u), as in k7m3-9x2d-q4fh"};
  std::string canonical;
  for (const char c : typed) {
    if (c == '-') continue;
    const char digit = crockford_digit(c);
    if (digit == '\0' || canonical.size() == kIdCharacters) return malformed;
    canonical += digit;
  }
  if (canonical.empty()) return malformed;
  return canonical;
}

bool grant_id_has_prefix(const Digest& request, std::string_view canonical_prefix) {
  return std::string_view(id_characters(request)).substr(0, canonical_prefix.size()) == canonical_prefix;
}

}  // namespace hallpass
