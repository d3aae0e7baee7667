#include "core/json.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/values/text.h"

namespace hallpass {
namespace {

// Sorting keeps a huge object of distinct names from costing quadratic time; the name returned stands there twice.
const std::string* repeated_name(const JsonObject& object) {
  std::vector<const std::string*> names;
  names.reserve(object.size());
  for (const JsonMember& member : object) names.push_back(&member.first);
  std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto found =
      std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
  return found == names.end() ? nullptr : *found;
}

// Builds a Json from the parser's events. Names arrive unescaped, so "a" and "\u0061" are one name here.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  // Non-negative numbers come as unsigned, so a zero here was written "-0".
  bool number_integer(number_integer_t value) override { return value == 0 ? fail("the number -0") : add(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<number_unsigned_t>(INT64_MAX)) return fail("a number that is too large");
    return add(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t, const string_t&) override { return fail("a number that is not a 64-bit integer"); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return fail("binary data"); }
  bool start_object(std::size_t) override { return open(JsonObject{}); }
  bool key(string_t& value) override {
    open_.back().name = std::move(value);
    return true;
  }
  bool end_object() override {
    const Frame& frame = open_.back();
    if (const std::string* name = repeated_name(std::get<JsonObject>(frame.value))) {
      return fail("the member \"" + printable(*name, 60) + "\" twice in one object");
    }
    return close();
  }
  bool start_array(std::size_t) override { return open(JsonArray{}); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    // position counts the bytes read, so the offending byte is the one before.
    return fail("a syntax error at byte " + std::to_string(position == 0 ? 0 : position - 1));
  }

  Json take() { return std::move(result_); }
  Error error() const { return error_; }

 private:
  struct Frame {
    std::variant<JsonArray, JsonObject> value;
    std::string name;  // of the member being read
  };

  bool fail(const std::string& what, Errc code = Errc::malformed) {
    error_ = {code, "the JSON holds " + what};
    return false;
  }
  template <class T>
  bool open(T container) {
    if (open_.size() == kMaxJsonDepth) {
      return fail("more than " + std::to_string(kMaxJsonDepth) + " levels of nesting", Errc::too_large);
    }
    open_.push_back({std::move(container), {}});
    return true;
  }
  bool close() {
    Json value = std::visit([](auto& container) { return Json(std::move(container)); }, open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }
  bool add(Json value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (auto* array = std::get_if<JsonArray>(&open_.back().value)) {
      array->push_back(std::move(value));
    } else {
      std::get<JsonObject>(open_.back().value).emplace_back(std::move(open_.back().name), std::move(value));
    }
    return true;
  }

  std::vector<Frame> open_;
  Json result_;
  Error error_{Errc::malformed, "the JSON cannot be read"};
};

void write_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kShort = "\"\\\b\f\n\r\t";
  constexpr std::string_view kShortNames = "\"\\bfnrt";
  out += '"';
  for (const char c : text) {
    if (const std::size_t known = kShort.find(c); known != std::string_view::npos) {
      out += '\\';
      out += kShortNames[known];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

// UTF-16 code units of valid UTF-8, for the order of RFC 8785: characters over U+FFFF sort by their surrogates, so
// before U+E000.
std::u16string utf16(std::string_view text) {
  std::u16string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t code = length == 1 ? lead : lead & (0x7fU >> length);
    for (std::size_t k = 1; k < length; ++k) code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
    i += length;
    if (code < 0x10000) {
      out += static_cast<char16_t>(code);
    } else {
      out += static_cast<char16_t>(0xd7c0 + (code >> 10));
      out += static_cast<char16_t>(0xdc00 + (code & 0x3ff));
    }
  }
  return out;
}

enum class Style { compact, pretty, canonical };

class Writer {
 public:
  explicit Writer(Style style) : style_(style) {}

  void write(const Json& json) {
    std::visit([this](const auto& value) { put(value); }, json.value());
  }
  std::string take() { return std::move(out_); }

 private:
  void put(std::nullptr_t) { out_ += "null"; }
  void put(bool value) { out_ += value ? "true" : "false"; }
  void put(std::int64_t value) {
    constexpr std::int64_t kLargest = std::int64_t{1} << 53;
    if (style_ == Style::canonical && (value > kLargest || value < -kLargest)) std::abort();
    out_ += std::to_string(value);
  }
  void put(const std::string& value) { put_string(value); }
  void put(const JsonArray& array) {
    put_list('[', array, ']', [this](const Json& element) { write(element); });
  }
  void put(const JsonObject& object) {
    if (style_ == Style::canonical) return put_sorted(object);
    put_list('{', object, '}', [this](const JsonMember& member) { put_member(member); });
  }

  void put_string(const std::string& text) {
    if (style_ == Style::canonical && !is_utf8(text)) std::abort();
    write_string(out_, text);
  }
  void put_member(const JsonMember& member) {
    put_string(member.first);
    out_ += style_ == Style::pretty ? ": " : ":";
    write(member.second);
  }
  void put_sorted(const JsonObject& object) {
    std::vector<std::pair<std::u16string, const JsonMember*>> members;
    for (const JsonMember& member : object) {
      if (!is_utf8(member.first)) std::abort();
      members.emplace_back(utf16(member.first), &member);
    }
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    if (std::adjacent_find(members.begin(), members.end(), same) != members.end()) std::abort();
    put_list('{', members, '}', [this](const auto& entry) { put_member(*entry.second); });
  }

  template <class List, class Put>
  void put_list(char begin, const List& list, char end, Put put_one) {
    out_ += begin;
    ++depth_;
    bool first = true;
    for (const auto& element : list) {
      if (!first) out_ += ',';
      first = false;
      new_line();
      put_one(element);
    }
    --depth_;
    if (!first) new_line();
    out_ += end;
  }
  void new_line() {
    if (style_ != Style::pretty) return;
    out_ += '\n';
    out_.append(depth_ * 2, ' ');
  }

  Style style_;
  std::size_t depth_ = 0;
  std::string out_;
};

std::string write_json(const Json& value, Style style) {
  Writer writer(style);
  writer.write(value);
  return writer.take();
}

}  // namespace

const Json* Json::find(std::string_view name) const {
  const JsonObject* object = as_object();
  if (object == nullptr) return nullptr;
  const auto found = std::find_if(object->begin(), object->end(), [&](const JsonMember& m) { return m.first == name; });
  return found == object->end() ? nullptr : &found->second;
}

Result<Json> parse_json(std::string_view text) {
  // nlohmann takes a NUL for the end of the input, whatever follows, and skips a byte order mark.
  if (text.find('\0') != std::string_view::npos) return Error{Errc::malformed, "the JSON holds a NUL byte"};
  if (text.substr(0, 3) == "\xef\xbb\xbf") return Error{Errc::malformed, "the JSON begins with a byte order mark"};
  Builder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return builder.error();
  return builder.take();
}

std::string to_json(const Json& value) {
  return write_json(value, Style::compact);
}
std::string to_pretty_json(const Json& value) {
  return write_json(value, Style::pretty) + "\n";
}
std::string to_canonical_json(const Json& value) {
  return write_json(value, Style::canonical);
}

}  // namespace hallpass
