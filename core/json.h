// JSON as statements use it: objects, arrays, strings, booleans, null and 64-bit integers, nothing else.
//
// parse_json refuses repeated members, fractions and exponents, invalid UTF-8, nesting over kMaxJsonDepth, and bytes
// after the value. Built on nlohmann's SAX parser, which alone would keep the last of repeated members silently.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

inline constexpr int kMaxJsonDepth = 16;

class Json;
using JsonArray = std::vector<Json>;
using JsonMember = std::pair<std::string, Json>;
using JsonObject = std::vector<JsonMember>;  // in the order written; names are distinct

class Json {
 public:
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, std::string, JsonArray, JsonObject>;

  Json() : value_(nullptr) {}
  Json(std::nullptr_t) : value_(nullptr) {}              // NOLINT(google-explicit-constructor)
  Json(bool b) : value_(b) {}                            // NOLINT(google-explicit-constructor)
  Json(int n) : value_(static_cast<std::int64_t>(n)) {}  // NOLINT(google-explicit-constructor)
  Json(std::int64_t n) : value_(n) {}                    // NOLINT(google-explicit-constructor)
  Json(std::string s) : value_(std::move(s)) {}          // NOLINT(google-explicit-constructor)
  Json(std::string_view s) : value_(std::string(s)) {}   // NOLINT(google-explicit-constructor)
  Json(const char* s) : value_(std::string(s)) {}        // NOLINT(google-explicit-constructor)
  Json(JsonArray a) : value_(std::move(a)) {}            // NOLINT(google-explicit-constructor)
  Json(JsonObject o) : value_(std::move(o)) {}           // NOLINT(google-explicit-constructor)

  bool is_null() const { return value_.index() == 0; }
  const bool* as_bool() const { return std::get_if<bool>(&value_); }
  const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&value_); }
  const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  const JsonArray* as_array() const { return std::get_if<JsonArray>(&value_); }
  const JsonObject* as_object() const { return std::get_if<JsonObject>(&value_); }
  // The member of an object, or nullptr (also when this is no object).
  const Json* find(std::string_view name) const;
  const Value& value() const { return value_; }

 private:
  Value value_;
};

// Errors: malformed (what and at which byte), too_large (depth).
Result<Json> parse_json(std::string_view text);

// Compact, members in the order given, UTF-8 as it is, only the escapes JSON demands: what we sign and print.
std::string to_json(const Json& value);
// For people: two spaces of indentation, a final newline.
std::string to_pretty_json(const Json& value);
// RFC 8785 (JSON Canonicalization Scheme), for digests: members sorted by UTF-16 code units. Integers over 2^53 are a
// bug of ours.
std::string to_canonical_json(const Json& value);

// Reads an object member by member and remembers the first fault, so that a payload's reader is a list of its members.
// After the last member call finish(): it reports the first missing, mistyped or unknown member by name.
class JsonReader {
 public:
  explicit JsonReader(const Json& object, std::string what);  // what: "a request", for messages

  std::string string(std::string_view name);
  std::int64_t integer(std::string_view name, std::int64_t low, std::int64_t high);
  // nullptr when the member is null; it must still be there.
  const Json* nullable(std::string_view name);
  const Json* any(std::string_view name);
  bool has(std::string_view name) const;
  void fail(std::string_view name, const std::string& why);  // keeps the first
  Status finish();

 private:
  const Json* take(std::string_view name);
  const JsonObject* object_;
  std::string what_;
  std::vector<bool> used_;
  std::string fault_;
};

}  // namespace hallpass
