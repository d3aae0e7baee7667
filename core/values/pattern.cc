#include "core/values/pattern.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxArgumentBytes = 4096;

// Each means something to a shell or to a regular expression. Unescaped they are refused, so that nobody believes they
// mean it here.
constexpr std::string_view kReserved = "?[]()|^$~!\"'`;&<>";
constexpr std::string_view kIntOpen = "<int:";
constexpr std::string_view kPathOpen = "<path:";

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
bool is_reserved(char c) {
  return kReserved.find(c) != std::string_view::npos;
}
// May stand for itself in a token, in a choice and in a path.
bool is_plain(char c) {
  return !is_control(c) && c != ' ' && !is_reserved(c) && c != '*' && c != '{' && c != '}' && c != '\\';
}
// May follow a backslash: visible ASCII that is neither letter nor digit, and the space.
bool is_escapable(char c) {
  const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  return c >= ' ' && c < 0x7f && !alphanumeric;
}

Error malformed(std::string_view token, const std::string& why) {
  return {Errc::malformed, "the token \"" + printable(token, 120) + "\": " + why};
}

std::string quoted(char c) {
  return "'" + printable(std::string_view(&c, 1)) + "'";
}

// A decimal number in its one canonical form: no plus sign, no leading zero, no -0.
std::optional<std::int64_t> parse_canonical_int(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, value);
  if (fault != std::errc() || stop != end || std::to_string(value) != text) return std::nullopt;
  return value;
}

template <class Visit>
bool every_component(std::string_view path, Visit good) {
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (!good(path.substr(begin, end - begin))) return false;
    begin = end + 1;
  }
  return true;
}

bool is_dots(std::string_view component) {
  return component == "." || component == "..";
}

Result<Token> parse_int_token(std::string_view token) {
  const std::string_view range = token.substr(kIntOpen.size(), token.size() - kIntOpen.size() - 1);
  const std::size_t dots = range.find("..");
  if (dots == std::string_view::npos) return malformed(token, "write <int:LOW..HIGH>");
  const std::optional<std::int64_t> low = parse_canonical_int(range.substr(0, dots));
  const std::optional<std::int64_t> high = parse_canonical_int(range.substr(dots + 2));
  if (!low || !high)
    return malformed(token, "its bounds must be whole numbers of at most 64 bits, without leading zeros");
  if (*low > *high) return malformed(token, "its lower bound is greater than its upper bound");
  return Token(TokenInt{*low, *high});
}

Result<Token> parse_path_token(std::string_view token) {
  std::string_view prefix = token.substr(kPathOpen.size(), token.size() - kPathOpen.size() - 1);
  const bool deep = prefix.size() >= 2 && prefix.substr(prefix.size() - 2) == "**";
  if (deep) prefix.remove_suffix(2);
  if (prefix.size() < 3 || prefix.front() != '/' || prefix.back() != '/') {
    return malformed(token, "write <path:/DIRECTORY/> or <path:/DIRECTORY/**>, from the root and ending in a slash");
  }
  const auto unplain = std::find_if_not(prefix.begin(), prefix.end(), is_plain);
  if (unplain != prefix.end()) return malformed(token, "the character " + quoted(*unplain) + " cannot stand in a path");
  const auto good = [](std::string_view component) { return !component.empty() && !is_dots(component); };
  if (!every_component(prefix.substr(1, prefix.size() - 2), good)) {
    return malformed(token, "its path has an empty component, \".\" or \"..\"");
  }
  return Token(TokenPath{std::string(prefix), deep});
}

// Reads a token of literals, `*` and `{a,b}` from left to right.
class GlobParser {
 public:
  explicit GlobParser(std::string_view token) : token_(token) {}

  Result<Token> parse() {
    while (at_ < token_.size()) {
      const std::string fault = step();
      if (!fault.empty()) return malformed(token_, fault);
    }
    end_literal();
    return Token(std::move(glob_));
  }

 private:
  // Each reads one element; what is wrong with it, or nothing.
  std::string step() {
    const char c = token_[at_];
    if (c == '\\') return escape();
    if (c == '*') return star();
    if (c == '{') return choice();
    if (!is_plain(c))
      return "the character " + quoted(c) + " must be escaped with a backslash, or an argument of its own";
    literal_ += c;
    ++at_;
    return {};
  }

  std::string escape() {
    if (at_ + 1 == token_.size()) return "it ends in a backslash";
    const char c = token_[at_ + 1];
    if (!is_escapable(c)) return "a backslash may only stand before punctuation";
    literal_ += c;
    at_ += 2;
    return {};
  }

  std::string star() {
    end_literal();
    if (!glob_.pieces.empty() && std::holds_alternative<PatternStar>(glob_.pieces.back())) {
      return "** may only stand alone, as the last token";
    }
    glob_.pieces.emplace_back(PatternStar{});
    ++at_;
    return {};
  }

  std::string choice() {
    const std::size_t close = token_.find('}', at_);
    if (close == std::string_view::npos) return "a brace is not closed";
    const std::string_view body = token_.substr(at_ + 1, close - at_ - 1);
    PatternChoice choice;
    for (std::size_t begin = 0; begin <= body.size();) {
      const std::size_t end = std::min(body.find(',', begin), body.size());
      const std::string_view text = body.substr(begin, end - begin);
      if (text.empty()) return "a choice in braces is empty";
      if (!std::all_of(text.begin(), text.end(), is_plain)) return "a choice in braces may hold plain characters only";
      choice.texts.emplace_back(text);
      begin = end + 1;
    }
    if (choice.texts.size() < 2) return "braces need at least two choices";
    std::vector<std::string> sorted = choice.texts;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      return "a choice in braces stands there twice";
    end_literal();
    glob_.pieces.emplace_back(std::move(choice));
    at_ = close + 1;
    return {};
  }

  void end_literal() {
    if (!literal_.empty()) glob_.pieces.emplace_back(PatternLiteral{std::move(literal_)});
    literal_.clear();
  }

  std::string_view token_;
  std::size_t at_ = 0;
  std::string literal_;
  TokenGlob glob_;
};

// Which positions of an argument the pieces so far can have reached: position i is before byte i. Going piece by piece
// over the whole set keeps the cost at pattern length times argument length whatever the pattern.
class GlobMatcher {
 public:
  explicit GlobMatcher(std::string_view argument) : argument_(argument) { reached_[0] = true; }

  void operator()(const PatternLiteral& piece) {
    Positions next{};
    advance(piece.text, next);
    reached_ = next;
  }
  void operator()(const PatternChoice& piece) {
    Positions next{};
    for (const std::string& text : piece.texts) advance(text, next);
    reached_ = next;
  }
  void operator()(const PatternStar&) {
    for (std::size_t i = 0; i < argument_.size(); ++i) {
      if (reached_[i] && star_takes(i)) reached_[i + 1] = true;
    }
  }

  bool matched() const { return reached_[argument_.size()]; }

 private:
  using Positions = std::array<bool, kMaxArgumentBytes + 1>;

  void advance(std::string_view text, Positions& next) const {
    for (std::size_t i = 0; i + text.size() <= argument_.size(); ++i) {
      if (reached_[i] && argument_.compare(i, text.size(), text) == 0) next[i + text.size()] = true;
    }
  }
  // A star takes no slash, and no dot that hides a file or climbs: at the start and after a slash.
  bool star_takes(std::size_t i) const {
    if (argument_[i] == '/') return false;
    return argument_[i] != '.' || (i != 0 && argument_[i - 1] != '/');
  }

  std::string_view argument_;
  Positions reached_{};
};

bool glob_matches(const TokenGlob& glob, std::string_view argument) {
  const auto is_star = [](const PatternPiece& piece) { return std::holds_alternative<PatternStar>(piece); };
  if (std::any_of(glob.pieces.begin(), glob.pieces.end(), is_star)) {
    if (!every_component(argument, [](std::string_view component) { return !is_dots(component); })) return false;
    if (is_star(glob.pieces.front()) && argument.front() == '-') return false;  // a wildcard never makes an option
  }
  GlobMatcher matcher(argument);
  for (const PatternPiece& piece : glob.pieces) std::visit(matcher, piece);
  return matcher.matched();
}

bool path_matches(const TokenPath& path, std::string_view argument, const PathCheck& paths) {
  if (argument.substr(0, path.prefix.size()) != path.prefix) return false;
  const std::string_view tail = argument.substr(path.prefix.size());
  if (!path.deep && tail.find('/') != std::string_view::npos) return false;
  const auto good = [](std::string_view component) { return !component.empty() && !is_dots(component); };
  return every_component(tail, good) && paths.allows(path.prefix, tail);
}

struct TokenMatcher {
  std::string_view argument;  // not empty, but for TokenEmpty
  const PathCheck& paths;

  bool operator()(const TokenEmpty&) const { return argument.empty(); }
  bool operator()(const TokenRest&) const {
    return false;
  }  // matched by match_arguments, which knows that it is the last
  bool operator()(const TokenInt& token) const {
    const std::optional<std::int64_t> value = parse_canonical_int(argument);
    return value && *value >= token.low && *value <= token.high;
  }
  bool operator()(const TokenPath& token) const { return !argument.empty() && path_matches(token, argument, paths); }
  bool operator()(const TokenGlob& token) const { return !argument.empty() && glob_matches(token, argument); }
};

bool is_rest(const Token& token) {
  return std::holds_alternative<TokenRest>(token);
}

std::optional<MatchFailure> find_failure(const ArgumentPattern& pattern, std::span<const std::string_view> arguments,
                                         const PathCheck& paths) {
  using What = MatchFailure::What;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].size() > kMaxArgumentBytes) return MatchFailure{What::too_long, i};
    if (std::any_of(arguments[i].begin(), arguments[i].end(), is_control))
      return MatchFailure{What::forbidden_bytes, i};
  }
  const bool open_ended = !pattern.tokens.empty() && is_rest(pattern.tokens.back());
  const std::size_t fixed = pattern.tokens.size() - (open_ended ? 1 : 0);
  if (arguments.size() < fixed || (arguments.size() > fixed && !open_ended)) {
    return MatchFailure{What::count, std::min(arguments.size(), fixed)};
  }
  for (std::size_t i = 0; i < fixed; ++i) {
    if (!std::visit(TokenMatcher{arguments[i], paths}, pattern.tokens[i])) return MatchFailure{What::argument, i};
  }
  return std::nullopt;
}

}  // namespace

Result<Token> parse_token(std::string_view text) {
  if (text == "\"\"") return Token(TokenEmpty{});
  if (text == "**") return Token(TokenRest{});
  if (text.empty()) return malformed(text, "it is empty; write \"\" (two quotes) for an empty argument");
  if (!is_utf8(text)) return malformed(text, "it is not UTF-8");
  // Twice, because every byte of a literal may be escaped.
  if (text.size() > 2 * kMaxArgumentBytes) return malformed(text, "it is longer than any argument that could match");
  if (text.substr(0, kIntOpen.size()) == kIntOpen && text.back() == '>') return parse_int_token(text);
  if (text.substr(0, kPathOpen.size()) == kPathOpen && text.back() == '>') return parse_path_token(text);
  return GlobParser(text).parse();
}

Result<ArgumentPattern> parse_arguments(std::span<const std::string> tokens) {
  ArgumentPattern pattern;
  for (const std::string& text : tokens) {
    if (!pattern.tokens.empty() && is_rest(pattern.tokens.back())) {
      return malformed("**", "it may only be the last token");
    }
    Result<Token> token = parse_token(text);
    if (!token) return token.error();
    pattern.tokens.push_back(std::move(token).value());
  }
  return pattern;
}

Result<std::string> literal_token(std::string_view value) {
  if (value.empty()) return std::string("\"\"");
  std::string token;
  for (const char c : value) {
    if (is_control(c)) return malformed(value, "a control character cannot stand in an argument");
    if (!is_plain(c)) token += '\\';
    token += c;
  }
  return token;
}

bool match_arguments(const ArgumentPattern& pattern, std::span<const std::string_view> arguments,
                     const PathCheck& paths, MatchFailure* failure) {
  const std::optional<MatchFailure> found = find_failure(pattern, arguments, paths);
  if (found && failure != nullptr) *failure = *found;
  return !found;
}

}  // namespace hallpass
