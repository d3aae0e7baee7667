// Command patterns. Input: tokens, each ended by a newline; then a NUL; then arguments, separated by the byte ff.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>

#include "core/values/pattern.h"

namespace {

using hallpass::ArgumentPattern;
using hallpass::Result;
using Views = std::vector<std::string_view>;

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

Views split(std::string_view text, char separator) {
  Views parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool has_bad_component(std::string_view path, bool empty_is_bad) {
  std::string_view rest = path;
  for (;;) {
    const std::string_view component = rest.substr(0, rest.find('/'));
    if (component == "." || component == ".." || (empty_is_bad && component.empty())) return true;
    if (component.size() == rest.size()) return false;
    rest.remove_prefix(component.size() + 1);
  }
}

// Answers the same for every path, and demands what the header promises about what it is asked.
class Check : public hallpass::PathCheck {
 public:
  explicit Check(bool answer) : answer_(answer) {}
  bool allows(std::string_view prefix, std::string_view tail) const override {
    require(prefix.size() > 2 && prefix.front() == '/' && prefix.back() == '/' && !has_bad_component(tail, true));
    return answer_;
  }

 private:
  bool answer_;
};

bool has_star(const hallpass::Token& token) {
  const auto* glob = std::get_if<hallpass::TokenGlob>(&token);
  return glob != nullptr && std::any_of(glob->pieces.begin(), glob->pieces.end(), [](const auto& piece) {
           return std::holds_alternative<hallpass::PatternStar>(piece);
         });
}

void check_match(const ArgumentPattern& pattern, const Views& arguments) {
  hallpass::MatchFailure failure;
  const bool matched = hallpass::match_arguments(pattern, arguments, Check(true), &failure);
  if (!matched) {
    require(!hallpass::match_arguments(pattern, arguments, Check(false)));
    require(failure.index <= std::max(arguments.size(), pattern.tokens.size()));
    return;
  }
  const bool rest = !pattern.tokens.empty() && std::holds_alternative<hallpass::TokenRest>(pattern.tokens.back());
  require(rest ? arguments.size() + 1 >= pattern.tokens.size() : arguments.size() == pattern.tokens.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    require(arguments[i].size() <= 4096 && std::none_of(arguments[i].begin(), arguments[i].end(), is_control));
    if (i >= pattern.tokens.size() || std::holds_alternative<hallpass::TokenRest>(pattern.tokens[i])) continue;
    require(arguments[i].empty() == std::holds_alternative<hallpass::TokenEmpty>(pattern.tokens[i]));
    require(!has_star(pattern.tokens[i]) || !has_bad_component(arguments[i], false));
  }
}

void check_literal(std::string_view value) {
  const Result<std::string> token = hallpass::literal_token(value);
  require(token.has_value() == std::none_of(value.begin(), value.end(), is_control));
  if (!token) return;
  const std::string tokens[] = {token.value()};
  const Result<ArgumentPattern> pattern = hallpass::parse_arguments(tokens);
  if (!pattern) return;  // not UTF-8, or too long
  const std::string_view same[] = {value};
  require(hallpass::match_arguments(pattern.value(), same, Check(false)) == (value.size() <= 4096));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t middle = std::min(text.find('\0'), text.size());
  const Views token_views = split(text.substr(0, middle), '\n');
  const std::vector<std::string> tokens(token_views.begin(), token_views.end());
  const Views arguments = split(text.substr(std::min(middle + 1, text.size())), '\xff');
  for (const std::string_view argument : arguments) check_literal(argument);
  const Result<ArgumentPattern> pattern = hallpass::parse_arguments(tokens);
  if (pattern) {
    check_match(pattern.value(), arguments);
  } else {
    require(std::none_of(pattern.error().message.begin(), pattern.error().message.end(), is_control));
  }
  return 0;
}
