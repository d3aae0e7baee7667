#include "core/toml.h"

// toml++ 3.3 asserts what files can break, and without assertions assumes it. Here they hold in every build, and are
// errors.
#undef NDEBUG
#include <stdexcept>
namespace hallpass {
[[noreturn]] static void not_toml() {
  throw std::logic_error("toml++");
}
}  // namespace hallpass
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : hallpass::not_toml())
#include <toml++/toml.h>

#include <algorithm>

#include "core/nearest.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

// toml++ 3.3 recurses once a level of nesting, both in parsing and in freeing; dotted keys nest without any limit of
// its own. So depth and number of values are bounded before it sees the text.
constexpr int kMaxBrackets = 32;
constexpr int kMaxDots = 16;        // in one key
constexpr int kMaxParts = 250'000;  // keys, values and brackets: bounds the memory of the tree

// More findings than these help nobody. Warnings stop first, so that they can never crowd out the error that refuses a
// file.
constexpr std::size_t kMaxWarnings = 500;
constexpr std::size_t kMaxDiagnostics = 1000;

std::string quoted(std::string_view text) {
  return '"' + printable(text, 80) + '"';
}

void add(std::vector<Diagnostic>& out, Diagnostic d) {
  const std::size_t limit = d.severity == Diagnostic::Severity::error ? kMaxDiagnostics : kMaxWarnings;
  if (out.size() < limit) out.push_back(std::move(d));
}

// Walks TOML's tokens just closely enough to know strings and comments from structure. On text that is not TOML it may
// count wrongly; toml++ stops at the first fault, so it never goes deeper than what was counted up to there.
class Bounds {
 public:
  explicit Bounds(std::string_view text) : text_(text) {
    if (text.substr(0, 3) == "\xef\xbb\xbf") at_ = 3;  // a byte order mark, which toml++ skips
  }

  // The first bound that is broken.
  std::optional<Diagnostic> check() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      // Never TOML, and in toml++ 3.3 the way into undefined behaviour (is_unicode_letter), found by fuzzing.
      if (static_cast<unsigned char>(c) >= 0x80) {
        return finding("a letter that is not ASCII stands outside of quotes", "put it in quotes");
      }
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        step(c);
        ++at_;
      }
      if (odd_escape_)
        return finding("a backslash stands before a letter that is not ASCII", "write \\\\ for a backslash");
      if (brackets_ > kMaxBrackets || dots_ > kMaxDots)
        return finding("values are nested too deeply", "write it flatter");
      if (parts_ > kMaxParts) return finding("there are too many values", "write it shorter");
    }
    return std::nullopt;
  }

 private:
  Diagnostic finding(const char* message, const char* cure) const {
    return {Diagnostic::Severity::error, line_, message, cure};
  }

  void step(char c) {
    switch (c) {
      case '\n':
        ++line_;
        dots_ = 0;
        break;
      case '[':
      case '{':
        ++brackets_;
        ++parts_;
        dots_ = 0;
        break;
      case ']':
      case '}':
        brackets_ = std::max(0, brackets_ - 1);
        dots_ = 0;
        break;
      case '=':
      case ',':
        ++parts_;
        dots_ = 0;
        break;
      case '.':
        ++dots_;
        ++parts_;
        break;
      default:
        break;
    }
  }

  void skip_string(char quote) {
    const std::string fence(3, quote);
    const bool multi = text_.substr(at_, 3) == fence;
    at_ += multi ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        if (!multi) return;  // toml++ reports the unclosed string
        ++line_;
      }
      if (c == '\\' && quote == '"') {
        if (at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++line_;
        if (at_ + 1 < text_.size() && static_cast<unsigned char>(text_[at_ + 1]) >= 0x80) odd_escape_ = true;
        at_ += 2;
      } else if (multi && text_.substr(at_, 3) == fence) {
        at_ += 3;
        for (int extra = 0; extra < 2 && at_ < text_.size() && text_[at_] == quote; ++extra) ++at_;
        return;
      } else if (!multi && c == quote) {
        ++at_;
        return;
      } else {
        ++at_;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  int brackets_ = 0;
  int dots_ = 0;
  int parts_ = 0;
  bool odd_escape_ = false;
};

int line_of(const toml::source_region& region, int fallback) {
  const auto line = region.begin.line;
  return line == 0 ? fallback : static_cast<int>(line);
}

class Converter {
 public:
  explicit Converter(std::vector<Diagnostic>& out) : out_(out) {}
  bool failed() const { return failed_; }

  Toml convert(const toml::node& node, int fallback_line) {
    const int line = line_of(node.source(), fallback_line);
    switch (node.type()) {
      case toml::node_type::table:
        return {table(*node.as_table(), line), line};
      case toml::node_type::array:
        return {array(*node.as_array(), line), line};
      case toml::node_type::string:
        return {node.as_string()->get(), line};
      case toml::node_type::integer:
        return {node.as_integer()->get(), line};
      case toml::node_type::boolean:
        return {node.as_boolean()->get(), line};
      case toml::node_type::date_time:
        return {time(node.as_date_time()->get(), line), line};
      case toml::node_type::floating_point:
        return refuse(line, "numbers with a fraction or exponent are not used here", "write a whole number");
      case toml::node_type::date:
      case toml::node_type::time:
        return refuse(line, "a date or time alone is not used here", kTimeCure);
      default:
        return refuse(line, "this value is of no known type", "remove it");
    }
  }

 private:
  static constexpr const char* kTimeCure = "write date, time and Z, without quotes: 2027-06-30T00:00:00Z";

  Toml refuse(int line, std::string message, std::string cure) {
    failed_ = true;
    add(out_, {Diagnostic::Severity::error, line, std::move(message), std::move(cure)});
    return {false, line};
  }

  UnixTime time(const toml::date_time& t, int line) {
    if (!t.offset || t.offset->minutes != 0) {
      refuse(line, "this time is not in UTC", kTimeCure);
    } else if (t.time.nanosecond != 0) {
      refuse(line, "this time has fractions of a second", kTimeCure);
    } else if (t.date.year < 1970) {
      refuse(line, "this time lies before 1970", kTimeCure);
    } else {
      const auto day = std::chrono::sys_days{std::chrono::year{t.date.year} / t.date.month / t.date.day};
      return UnixTime{day} + std::chrono::hours{t.time.hour} + std::chrono::minutes{t.time.minute} +
             Seconds{t.time.second};
    }
    return {};
  }

  TomlArray array(const toml::array& from, int line) {
    TomlArray result;
    result.reserve(from.size());
    for (const toml::node& element : from) result.push_back(convert(element, line));
    return result;
  }

  // toml++ keeps a table sorted by name; people find their way by the order in which they wrote it.
  TomlTable table(const toml::table& from, int line) {
    struct Entry {
      const toml::key* key;
      const toml::node* node;
    };
    std::vector<Entry> entries;
    entries.reserve(from.size());
    for (auto it = from.cbegin(); it != from.cend(); ++it) entries.push_back({&it->first, &it->second});
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      const auto& x = a.key->source().begin;
      const auto& y = b.key->source().begin;
      return x.line != y.line ? x.line < y.line : x.column < y.column;
    });
    TomlTable result;
    result.reserve(entries.size());
    for (const Entry& e : entries) {
      result.emplace_back(std::string(e.key->str()), convert(*e.node, line_of(e.key->source(), line)));
    }
    return result;
  }

  std::vector<Diagnostic>& out_;
  bool failed_ = false;
};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::string format_diagnostic(std::string_view file, const Diagnostic& d) {
  std::string text(file);
  if (d.line > 0) text += ':' + std::to_string(d.line);
  text += d.severity == Diagnostic::Severity::error ? ": error: " : ": warning: ";
  text += d.message;
  if (!d.cure.empty()) text += "; " + d.cure;
  return text;
}

bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::error; });
}

const char* Toml::type_name() const {
  static constexpr const char* kNames[] = {"a string", "an integer", "a boolean", "a date-time", "an array", "a table"};
  return kNames[value_.index()];
}

std::optional<Toml> parse_toml(std::string_view text, std::vector<Diagnostic>& out) {
  constexpr auto kError = Diagnostic::Severity::error;
  if (text.size() > kMaxTomlBytes) {
    add(out,
        {kError, 0, "the file is larger than " + std::to_string(kMaxTomlBytes >> 20) + " MiB", "split or shorten it"});
    return std::nullopt;
  }
  if (auto broken = Bounds(text).check()) {
    add(out, *std::move(broken));
    return std::nullopt;
  }
  try {
    const toml::table root = toml::parse(text);
    Converter converter(out);
    Toml tree = converter.convert(root, 1);
    if (converter.failed()) return std::nullopt;
    return tree;
  } catch (const std::logic_error&) {
    add(out,
        {kError, 0, "not valid TOML: the parser cannot make sense of it", "look for a value or a key that is cut off"});
    return std::nullopt;
  } catch (const toml::parse_error& e) {
    add(out, {kError, line_of(e.source(), 0), "not valid TOML: " + printable(e.description(), 300), ""});
    return std::nullopt;
  }
}

TomlReader::TomlReader(const Toml& table, std::string where, std::vector<Diagnostic>& out)
    : table_(table), where_(std::move(where)), out_(out) {
  if (table.as_table() == nullptr) {
    error(table.line(), where_ + " must be a table, found " + table.type_name(),
          "write a table: name = value, one a line");
  }
}

const Toml* TomlReader::optional(std::string_view name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.emplace_back(name);
  const TomlTable* table = table_.as_table();
  if (table == nullptr) return nullptr;
  const auto it = std::find_if(table->begin(), table->end(), [&](const auto& m) { return m.first == name; });
  return it == table->end() ? nullptr : &it->second;
}

const Toml* TomlReader::required(std::string_view name, std::string_view example) {
  const Toml* found = optional(name);
  if (found == nullptr && table_.as_table() != nullptr) {
    error(table_.line(), std::string(name) + " is missing in " + where_, "write: " + std::string(example));
  }
  return found;
}

std::optional<std::string> TomlReader::string(std::string_view name) {
  const Toml* v = optional(name);
  if (v == nullptr) return std::nullopt;
  if (const std::string* s = v->as_string()) return *s;
  const std::string n(name);
  error(v->line(), n + " in " + where_ + " must be a string, found " + v->type_name(),
        "put it in quotes: " + n + " = \"...\"");
  return std::nullopt;
}

std::optional<std::int64_t> TomlReader::integer(std::string_view name, std::int64_t low, std::int64_t high) {
  const Toml* v = optional(name);
  if (v == nullptr) return std::nullopt;
  const std::string n(name);
  const std::string cure = "write a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  const std::int64_t* i = v->as_int();
  if (i == nullptr) {
    error(v->line(), n + " in " + where_ + " must be an integer, found " + v->type_name(), cure);
    return std::nullopt;
  }
  if (*i < low || *i > high) {
    error(v->line(), n + " = " + std::to_string(*i) + " in " + where_ + " is out of range", cure);
    return std::nullopt;
  }
  return *i;
}

std::optional<bool> TomlReader::boolean(std::string_view name) {
  const Toml* v = optional(name);
  if (v == nullptr) return std::nullopt;
  if (const bool* b = v->as_bool()) return *b;
  const std::string n(name);
  error(v->line(), n + " in " + where_ + " must be a boolean, found " + v->type_name(),
        "write: " + n + " = true, or false");
  return std::nullopt;
}

std::optional<UnixTime> TomlReader::time(std::string_view name) {
  const Toml* v = optional(name);
  if (v == nullptr) return std::nullopt;
  if (const UnixTime* t = v->as_time()) return *t;
  const std::string n(name);
  error(v->line(), n + " in " + where_ + " must be a date-time, found " + v->type_name(),
        "write it without quotes: " + n + " = 2027-06-30T00:00:00Z");
  return std::nullopt;
}

std::optional<Seconds> TomlReader::duration(std::string_view name) {
  const Toml* v = optional(name);
  if (v == nullptr) return std::nullopt;
  const std::string n(name);
  const std::string cure = "write for example: " + n + " = \"30m\" (units d, h, m, s)";
  const std::string* s = v->as_string();
  if (s == nullptr) {
    error(v->line(), n + " in " + where_ + " must be a string, found " + v->type_name(), cure);
    return std::nullopt;
  }
  const Result<Seconds> parsed = parse_duration(*s);
  if (parsed) return *parsed;
  error(v->line(), n + " = " + quoted(*s) + " in " + where_ + " is not a duration", cure);
  return std::nullopt;
}

std::vector<std::pair<std::string, int>> TomlReader::strings(std::string_view name, bool* present) {
  const Toml* v = optional(name);
  if (present != nullptr) *present = v != nullptr;
  std::vector<std::pair<std::string, int>> result;
  if (v == nullptr) return result;
  const std::string n(name);
  const std::string cure = "write: " + n + " = [\"...\", \"...\"]";
  const TomlArray* array = v->as_array();
  if (array == nullptr) {
    error(v->line(), n + " in " + where_ + " must be an array of strings, found " + v->type_name(), cure);
    return result;
  }
  for (const Toml& element : *array) {
    if (const std::string* s = element.as_string()) {
      result.emplace_back(*s, element.line());
    } else {
      error(element.line(), n + " in " + where_ + " must hold strings only, found " + element.type_name(), cure);
    }
  }
  return result;
}

void TomlReader::error(int line, std::string message, std::string cure) {
  add(out_, {Diagnostic::Severity::error, line, std::move(message), std::move(cure)});
}

void TomlReader::warning(int line, std::string message, std::string cure) {
  add(out_, {Diagnostic::Severity::warning, line, std::move(message), std::move(cure)});
}

void TomlReader::finish() {
  const TomlTable* table = table_.as_table();
  if (table == nullptr) return;
  for (const auto& [name, value] : *table) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    const std::string near = nearest_name(name, known_);
    error(value.line(), "unknown member " + quoted(name) + " in " + where_,
          near.empty() ? "remove it, or write one of: " + join(known_) : "write " + near);
  }
}

std::string toml_quote(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  const bool utf8 = is_utf8(text);
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      result += "\\u00";
      result += kHex[byte >> 4];
      result += kHex[byte & 15];
    } else if (byte >= 0x80 && !utf8) {
      result += "\\uFFFD";  // TOML is UTF-8; a byte that is not has no other form
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace hallpass
