// Command patterns: one token an argument; docs/formats.md, "Command patterns", is the language.
//
// A pattern never joins, splits or quotes: argument boundaries are what they were in execve. Anything that looks like a
// shell or regular expression and is not part of the language is a parse error, never a literal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

struct PatternLiteral {
  std::string text;
};
struct PatternStar {};
struct PatternChoice {
  std::vector<std::string> texts;
};
using PatternPiece = std::variant<PatternLiteral, PatternStar, PatternChoice>;

struct TokenEmpty {};  // ""
struct TokenRest {};   // **, last only
// <int:LO..HI>
struct TokenInt {
  std::int64_t low;
  std::int64_t high;
};
// <path:/p/> or <path:/p/**>
struct TokenPath {
  std::string prefix;
  bool deep;
};
// literals, *, {a,b}
struct TokenGlob {
  std::vector<PatternPiece> pieces;
};
using Token = std::variant<TokenGlob, TokenInt, TokenPath, TokenEmpty, TokenRest>;

// One token as written in a policy. Errors: malformed, saying which character and what to write instead.
Result<Token> parse_token(std::string_view text);

struct ArgumentPattern {
  std::vector<Token> tokens;
};
// All tokens of a command's arguments (without the executable). `**` anywhere but last is an error.
Result<ArgumentPattern> parse_arguments(std::span<const std::string> tokens);

// Escapes a value so that parse_token reads it back as exactly that literal: how a chosen parameter value enters a
// pattern. The empty value becomes `""`. Control characters cannot be expressed: malformed.
Result<std::string> literal_token(std::string_view value);

// Opens what a <path:...> token names and says whether it may be handed to the command. A seam: the default walks with
// openat2 and demands root-owned directories that no one else may write (the sudo plugin); core itself does no I/O.
class PathCheck {
 public:
  virtual ~PathCheck() = default;
  // prefix ends in '/'; tail is one or more components, none empty, "." or "..".
  virtual bool allows(std::string_view prefix, std::string_view tail) const = 0;
};

// Why arguments do not match, for the refusal's sentence.
struct MatchFailure {
  enum class What { count, argument, forbidden_bytes, too_long } what = What::argument;
  std::size_t index = 0;  // which argument (0 is the first after the executable)
};

// True when every argument matches its token. Arguments over 4096 bytes or with bytes < 0x20 or 0x7f match nothing, not
// even `**`. Runs in time linear in pattern times argument length; never recurses on input.
bool match_arguments(const ArgumentPattern& pattern, std::span<const std::string_view> arguments,
                     const PathCheck& paths, MatchFailure* failure = nullptr);

}  // namespace hallpass
