// TOML files as a tree that knows its lines, and a reader that collects every mistake instead of stopping at the first.
// The only place that includes toml++; policies and every configuration file are read through it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

inline constexpr std::size_t kMaxTomlBytes = std::size_t{4} * 1024 * 1024;

// One finding in a file, for people: `policy.toml:12: error: max_duration "8d" is over 7 days; write "7d" or less`.
struct Diagnostic {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  int line = 0;         // 1-based; 0: the file as a whole
  std::string message;  // what is wrong
  std::string cure;     // what to write instead
};
std::string format_diagnostic(std::string_view file, const Diagnostic& d);
// Among those from the `from`-th on: what one reader found in a list that others have added to.
bool has_errors(const std::vector<Diagnostic>& diagnostics, std::size_t from = 0);

class Toml;
using TomlArray = std::vector<Toml>;
using TomlTable = std::vector<std::pair<std::string, Toml>>;  // in file order

class Toml {
 public:
  using Value = std::variant<std::string, std::int64_t, bool, UnixTime, TomlArray, TomlTable>;
  Toml(Value value, int line) : value_(std::move(value)), line_(line) {}
  int line() const { return line_; }
  const Value& value() const { return value_; }
  const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&value_); }
  const bool* as_bool() const { return std::get_if<bool>(&value_); }
  const UnixTime* as_time() const { return std::get_if<UnixTime>(&value_); }
  const TomlArray* as_array() const { return std::get_if<TomlArray>(&value_); }
  const TomlTable* as_table() const { return std::get_if<TomlTable>(&value_); }
  const char* type_name() const;  // "a string", "an integer", ...

 private:
  Value value_;
  int line_;
};

// Parses UTF-8 text. Floats, local dates and times, offsets other than Z are diagnostics, like syntax errors (with
// line). Returns nullopt when there was any error.
std::optional<Toml> parse_toml(std::string_view text, std::vector<Diagnostic>& out);

// Reads one table; every member asked for is marked known, finish() reports the unknown ones with the nearest known
// name.
class TomlReader {
 public:
  TomlReader(const Toml& table, std::string where, std::vector<Diagnostic>& out);  // where: "[runbooks.restart-web]"
  // The member if it is there, marked known.
  const Toml* optional(std::string_view name);
  // As above; its absence is an error whose cure is `example` (a line to write).
  const Toml* required(std::string_view name, std::string_view example);
  // Typed; a wrong type is an error and gives nullopt.
  std::optional<std::string> string(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t low, std::int64_t high);
  std::optional<bool> boolean(std::string_view name);
  std::optional<UnixTime> time(std::string_view name);
  std::optional<Seconds> duration(std::string_view name);
  // The same, at most `longest`; what stands in `into` is the default.
  void duration(std::string_view name, Seconds longest, Seconds& into);
  // Array of strings with the line of each; absent: empty. `present` tells absent from empty.
  std::vector<std::pair<std::string, int>> strings(std::string_view name, bool* present = nullptr);
  void error(int line, std::string message, std::string cure);
  void warning(int line, std::string message, std::string cure);
  int line() const { return table_.line(); }
  const std::string& where() const { return where_; }
  void finish();

 private:
  const Toml& table_;
  std::string where_;
  std::vector<Diagnostic>& out_;
  std::vector<std::string> known_;
};

// A basic string with TOML's escapes, quotes included: what writers of TOML print.
std::string toml_quote(std::string_view text);

}  // namespace hallpass
