// The language itself; the table of docs/formats.md runs in tests/unit/core/pattern_vectors_test.cc, which can read
// JSON.
#include "core/values/pattern.h"

#include <chrono>

#include "tests/unit/cmocka.h"

namespace {

using hallpass::ArgumentPattern;
using hallpass::MatchFailure;
using hallpass::Result;
using Words = std::vector<std::string>;

// Allows every path and remembers nothing: these tests are about what never reaches it, or must.
class AllowAll : public hallpass::PathCheck {
 public:
  bool allows(std::string_view, std::string_view) const override { return true; }
};
class AllowNone : public hallpass::PathCheck {
 public:
  bool allows(std::string_view, std::string_view) const override { return false; }
};

bool matches(const Words& tokens, const Words& arguments, const hallpass::PathCheck& paths, MatchFailure* failure) {
  const Result<ArgumentPattern> pattern = hallpass::parse_arguments(tokens);
  const std::vector<std::string_view> views(arguments.begin(), arguments.end());
  return pattern && hallpass::match_arguments(pattern.value(), views, paths, failure);
}

struct Row {
  const char* name;
  Words tokens;
  Words arguments;
  bool expected;
};

const Row kRows[] = {
    {"a star may be empty inside a token", {"a*b"}, {"ab"}, true},
    {"two stars with a literal between", {"*-*"}, {"a-b"}, true},
    {"two stars, literal missing", {"*-*"}, {"ab"}, false},
    {"a star never takes a slash", {"a*b"}, {"a/b"}, false},
    {"a star takes a dot inside a component", {"a*"}, {"a.b.c"}, true},
    {"a star takes no leading dot", {"*"}, {".ssh"}, false},
    {"a star takes no dot after a slash", {"/a/*"}, {"/a/.ssh"}, false},
    {"a literal dot after a slash, then a star", {"/a/.s*"}, {"/a/.ssh"}, true},
    {"an empty star before a literal dot", {"/a/*.conf"}, {"/a/.conf"}, true},
    {"a component .. beside a star", {"/a/../*"}, {"/a/../b"}, false},
    {"a component .. in a literal", {"/a/../b"}, {"/a/../b"}, true},
    {"a component . beside a star", {"./*"}, {"./a"}, false},
    {"three dots are a name", {"/a/..*"}, {"/a/..."}, true},
    {"a leading star, empty, before a dash", {"*-x"}, {"-x"}, false},
    {"a leading choice may begin with a dash", {"{-a,-b}*"}, {"-a1"}, true},
    {"choices of which one begins another, first", {"{a,ab}c"}, {"ac"}, true},
    {"choices of which one begins another, second", {"{a,ab}c"}, {"abc"}, true},
    {"choice after star", {"*{.gz,.xz}"}, {"x.xz"}, true},
    {"case matters", {"Nginx"}, {"nginx"}, false},
    {"a longer argument", {"nginx"}, {"nginxx"}, false},
    {"a shorter argument", {"nginx"}, {"ngin"}, false},
    {"high bytes are bytes", {"caf\xc3\xa9"}, {"caf\xc3\xa9"}, true},
    {"a star takes high bytes, UTF-8 or not", {"a*"}, {"a\xff"}, true},
    {"an escaped space", {"a\\ b"}, {"a b"}, true},
    {"a comma outside braces is a character", {"a,b"}, {"a,b"}, true},
    {"DEL matches nothing", {"*"}, {"a\x7f"}, false},
    {"a NUL matches nothing", {"**"}, {std::string("a\0b", 3)}, false},
    {"4096 bytes", {"a*"}, {std::string(4096, 'a')}, true},
    {"4097 bytes", {"a*"}, {std::string(4097, 'a')}, false},
    {"4097 bytes under **", {"**"}, {std::string(4097, 'a')}, false},
    {"the least number", {"<int:-9223372036854775808..0>"}, {"-9223372036854775808"}, true},
    {"less than the least number", {"<int:-9223372036854775808..0>"}, {"-9223372036854775809"}, false},
    {"minus zero", {"<int:-1..1>"}, {"-0"}, false},
    {"hexadecimal", {"<int:0..99>"}, {"0x1"}, false},
    {"a number and a newline", {"<int:0..99>"}, {"1\n"}, false},
    {"no number", {"<int:0..99>"}, {""}, false},
    {"only a sign", {"<int:-9..99>"}, {"-"}, false},
    {"** needs the tokens before it", {"a", "**"}, {}, false},
    {"** alone takes nothing", {"**"}, {}, true},
    {"** takes options", {"**"}, {"--root=/", "x"}, true},
    {"an empty argument under a number", {"<int:0..1>"}, {""}, false},
    {"an empty argument under a choice", {"{a,b}"}, {""}, false},
    {"an empty argument under a path", {"<path:/srv/**>"}, {""}, false},
    {"\"\" takes no other argument", {"\"\""}, {"x"}, false},
    {"path, one component", {"<path:/srv/>"}, {"/srv/a"}, true},
    {"path, dotted name", {"<path:/srv/>"}, {"/srv/.a"}, true},
    {"path, trailing slash", {"<path:/srv/**>"}, {"/srv/a/"}, false},
    {"path, a component .", {"<path:/srv/**>"}, {"/srv/./a"}, false},
};

int wrong_rows() {
  int wrong = 0;
  for (const Row& r : kRows)
    wrong += wrong_if(matches(r.tokens, r.arguments, AllowAll(), nullptr) != r.expected, r.name);
  wrong += wrong_if(matches({"<path:/srv/>"}, {"/srv/a"}, AllowNone(), nullptr), "what the path check refuses");
  return wrong;
}
void test_rows(void**) {
  assert_int_equal(wrong_rows(), 0);
}

struct Refusal {
  const char* name;
  Words tokens;
  Words arguments;
  MatchFailure::What what;
  std::size_t index;
};
const Refusal kRefusals[] = {
    {"too few", {"a", "b"}, {"a"}, MatchFailure::What::count, 1},
    {"too many", {"a"}, {"a", "b", "c"}, MatchFailure::What::count, 1},
    {"the second differs", {"a", "b"}, {"a", "c"}, MatchFailure::What::argument, 1},
    {"control character", {"a", "**"}, {"a", "b", "\x1b"}, MatchFailure::What::forbidden_bytes, 2},
    {"too long", {"**"}, {std::string(5000, 'a')}, MatchFailure::What::too_long, 0},
};
int wrong_refusals() {
  int wrong = 0;
  for (const Refusal& r : kRefusals) {
    MatchFailure failure;
    const bool matched = matches(r.tokens, r.arguments, AllowAll(), &failure);
    wrong += wrong_if(matched || failure.what != r.what || failure.index != r.index, r.name);
  }
  return wrong;
}
void test_refusals(void**) {
  assert_int_equal(wrong_refusals(), 0);
}

struct Bad {
  const char* name;
  std::string token;
};
const Bad kBad[] = {
    {"empty", ""},
    {"*** ", "***"},
    {"stars side by side", "a**b"},
    {"unopened brace", "a}"},
    {"unclosed brace", "{a,b"},
    {"nested braces", "{a,{b,c}}"},
    {"repeated choice", "{a,b,a}"},
    {"empty choice in the middle", "{a,,b}"},
    {"escape in a choice", "{a\\,b,c}"},
    {"space in a choice", "{a b,c}"},
    {"control in a choice", "{a\nb,c}"},
    {"variable", "${service}"},
    {"quote", "it's"},
    {"pipe", "a|b"},
    {"redirect", "a>b"},
    {"ampersand", "a&b"},
    {"tilde", "~/x"},
    {"backtick", "`id`"},
    {"newline", "a\nb"},
    {"escaped newline", "a\\\nb"},
    {"escaped letter", "\\a"},
    {"escaped high byte", "\\\xc3\xa9"},
    {"not UTF-8", "a\xff"},
    {"a NUL", std::string("a\0b", 3)},
    {"int without range", "<int:5>"},
    {"int with minus zero", "<int:-0..5>"},
    {"int with plus", "<int:+1..5>"},
    {"int with space", "<int: 1..5>"},
    {"int of three", "<int:1..2..3>"},
    {"int too large", "<int:0..9223372036854775808>"},
    {"int unclosed", "<int:1..5"},
    {"int with more behind", "<int:1..5>x"},
    {"path unclosed", "<path:/srv/"},
    {"path of nothing", "<path:>"},
    {"path of stars", "<path:**>"},
    {"path of the root, deep", "<path:/**>"},
    {"path without last slash", "<path:/srv>"},
    {"path with an empty component", "<path:/srv//x/>"},
    {"path with a component .", "<path:/srv/./>"},
    {"path with a star", "<path:/srv/*/>"},
    {"path with a variable", "<path:/srv/$x/>"},
    {"path with braces", "<path:/srv/{a,b}/>"},
    {"path with an escape", "<path:/srv/\\*/>"},
    {"path with a space", "<path:/srv/a b/>"},
};
int parsed_bad() {
  int wrong = 0;
  for (const Bad& c : kBad) {
    const Result<hallpass::Token> token = hallpass::parse_token(c.token);
    wrong += wrong_if(token.has_value(), c.name);
    wrong += wrong_if(!token && token.error().message.find('\n') != std::string::npos, c.name);
  }
  wrong += wrong_if(hallpass::parse_arguments(Words{"**", "**"}).has_value(), "** twice");
  return wrong;
}
void test_bad(void**) {
  assert_int_equal(parsed_bad(), 0);
}

// Every value that may stand in an argument comes back as itself and as nothing else.
int wrong_literals() {
  int wrong = 0;
  std::vector<std::string> values = {"", "nginx", "**", "\"\"", "<int:1..2>", "<path:/a/>", "{a,b}", "a b", "-x", "\\"};
  for (int c = 0x20; c < 0x100; ++c) {
    if (c != 0x7f && c < 0x80) values.push_back("x" + std::string(1, static_cast<char>(c)));
  }
  for (const std::string& value : values) {
    const Result<std::string> token = hallpass::literal_token(value);
    wrong += wrong_if(!token || !matches({token.value()}, {value}, AllowNone(), nullptr), value.c_str());
    wrong += wrong_if(token && matches({token.value()}, {value + "x"}, AllowNone(), nullptr), value.c_str());
  }
  wrong += wrong_if(hallpass::literal_token("a\nb").has_value(), "newline in a value");
  wrong += wrong_if(hallpass::literal_token("a\x7f").has_value(), "DEL in a value");
  return wrong;
}
void test_literals(void**) {
  assert_int_equal(wrong_literals(), 0);
}

// What makes backtracking matchers take exponential time: here half a second would be a hundred times too much.
int slow_patterns() {
  std::string stars;
  for (int i = 0; i < 1000; ++i) stars += "*a";
  std::string choices;
  for (int i = 0; i < 500; ++i) choices += "{a,aa}";
  const auto begin = std::chrono::steady_clock::now();
  int wrong = wrong_if(matches({"x" + stars + "b"}, {"x" + std::string(4000, 'a')}, AllowAll(), nullptr), "stars");
  wrong += wrong_if(matches({choices + "b"}, {std::string(900, 'a')}, AllowAll(), nullptr), "choices");
  wrong += wrong_if(!matches({choices}, {std::string(900, 'a')}, AllowAll(), nullptr), "choices that match");
  return wrong + wrong_if(std::chrono::steady_clock::now() - begin > std::chrono::seconds(2), "time");
}
void test_time(void**) {
  assert_int_equal(slow_patterns(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),     cmocka_unit_test(test_refusals), cmocka_unit_test(test_bad),
      cmocka_unit_test(test_literals), cmocka_unit_test(test_time),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
