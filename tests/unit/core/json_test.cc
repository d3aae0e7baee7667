#include "core/json.h"

#include "tests/unit/cmocka.h"

namespace {

using hallpass::Errc;
using hallpass::Json;
using hallpass::JsonReader;
using hallpass::Result;

struct Good {
  const char* name;
  std::string text;
  std::string compact;
};
const Good kGood[] = {
    {"null", "null", "null"},
    {"empty object", "{}", "{}"},
    {"white space around", " \n{ } \t\r\n", "{}"},
    {"order is kept", R"({"b":1,"a":[true,false,null]})", R"({"b":1,"a":[true,false,null]})"},
    {"numbers", "[0,-1,9223372036854775807,-9223372036854775808]", "[0,-1,9223372036854775807,-9223372036854775808]"},
    {"escapes", R"(["\u00e9\ud83d\ude00\/\"\\\b\f\n\r\t\u001f"])",
     "[\"\xc3\xa9\xf0\x9f\x98\x80/\\\"\\\\\\b\\f\\n\\r\\t\\u001f\"]"},
    {"DEL stays", "[\"\x7f\"]", "[\"\x7f\"]"},
    {"escaped NUL", R"(["\u0000"])", R"(["\u0000"])"},
    {"same name in two objects", R"([{"a":1},{"a":2}])", R"([{"a":1},{"a":2}])"},
    {"empty name", R"({"":1})", R"({"":1})"},
    {"16 levels", std::string(16, '[') + std::string(16, ']'), std::string(16, '[') + std::string(16, ']')},
};

struct Bad {
  const char* name;
  std::string text;
  Errc code = Errc::malformed;
};
const Bad kBad[] = {
    {"empty", ""},
    {"blank", "  "},
    {"repeated member", R"({"a":1,"a":2})"},
    {"repeated member, one written with an escape", R"({"a":1,"\u0061":2})"},
    {"repeated member, far apart", R"({"a":1,"b":2,"c":3,"a":1})"},
    {"repeated member inside", R"([{"x":{"a":1,"a":1}}])"},
    {"repeated empty name", R"({"":1,"":1})"},
    {"fraction", "[1.0]"},
    {"exponent", "[1e3]"},
    {"infinite", "[1e999]"},
    {"minus zero", "[-0]"},
    {"over 64 bits", "[9223372036854775808]"},
    {"over 64 bits unsigned", "[18446744073709551616]"},
    {"under 64 bits", "[-9223372036854775809]"},
    {"leading zero", "[01]"},
    {"plus", "[+1]"},
    {"bytes after the value", "{} x"},
    {"two values", "{}{}"},
    {"a NUL and more after the value", std::string("{}\0{}", 5)},
    {"a NUL after the value", std::string("{}\0", 3)},
    {"a NUL in a string", std::string("[\"a\0b\"]", 7)},
    {"byte order mark", "\xef\xbb\xbf{}"},
    {"comment", "{}//x"},
    {"trailing comma", "[1,]"},
    {"single quotes", "['a']"},
    {"NaN", "[NaN]"},
    {"raw newline in a string", "[\"a\nb\"]"},
    {"bad escape", R"(["\x41"])"},
    {"lone surrogate", R"(["\ud800"])"},
    {"surrogates the wrong way round", R"(["\ude00\ud83d"])"},
    {"not UTF-8", "[\"\xff\"]"},
    {"overlong UTF-8", "[\"\xc0\xaf\"]"},
    {"surrogate in UTF-8", "[\"\xed\xa0\x80\"]"},
    {"unclosed", "{\"a\":[1"},
    {"17 levels", std::string(17, '[') + std::string(17, ']'), Errc::too_large},
    {"a hundred thousand levels", std::string(100000, '['), Errc::too_large},
    {"17 levels of objects",
     [] {
       std::string text;
       for (int i = 0; i < 17; ++i) text += "{\"a\":";
       return text;
     }(),
     Errc::too_large},
};

int wrong_good() {
  int wrong = 0;
  for (const Good& c : kGood) {
    const Result<Json> json = hallpass::parse_json(c.text);
    wrong += wrong_if(!json || hallpass::to_json(json.value()) != c.compact, c.name);
  }
  return wrong;
}
void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}

int wrong_bad() {
  int wrong = 0;
  for (const Bad& c : kBad) {
    const Result<Json> json = hallpass::parse_json(c.text);
    wrong += wrong_if(json.has_value() || json.error().code != c.code || json.error().message.empty(), c.name);
  }
  return wrong;
}
void test_bad(void**) {
  assert_int_equal(wrong_bad(), 0);
}

int wrong_messages() {
  const Result<Json> twice = hallpass::parse_json(R"({"fleet":"a","fleet":"b"})");
  int wrong = wrong_if(twice || twice.error().message.find("\"fleet\"") == std::string::npos, "names the member");
  const Result<Json> syntax = hallpass::parse_json("{\"a\":!}");
  return wrong + wrong_if(syntax || syntax.error().message.find("byte 5") == std::string::npos, "names the byte");
}
void test_messages(void**) {
  assert_int_equal(wrong_messages(), 0);
}

// A megabyte of distinct names: finding repeated ones must not take quadratic time.
int wrong_large() {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) text += "\"" + std::to_string(i) + "\":0,";
  int wrong = wrong_if(!hallpass::parse_json(text + "\"x\":0}"), "distinct");
  wrong += wrong_if(hallpass::parse_json(text + "\"77\":0}").has_value(), "one repeated");
  return wrong;
}
void test_large(void**) {
  assert_int_equal(wrong_large(), 0);
}

// RFC 8785 section 3.2.3, and its order of names by UTF-16 code units: the emoji (d83d de00) before U+FB33.
int wrong_canonical() {
  const Result<Json> json = hallpass::parse_json(
      R"({"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"})");
  const std::string expected =
      "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":\"Latin Small Letter O With "
      "Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning "
      "Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}";
  int wrong = wrong_if(!json || hallpass::to_canonical_json(json.value()) != expected, "RFC 8785's example");
  const Result<Json> nested =
      hallpass::parse_json(R"( { "b" : [ { "z" : 1, "y" : null } ], "aa" : -5, "a" : "\u000f\n\/" } )");
  wrong += wrong_if(
      !nested || hallpass::to_canonical_json(nested.value()) != R"({"a":"\u000f\n/","aa":-5,"b":[{"y":null,"z":1}]})",
      "nested");
  return wrong;
}
void test_canonical(void**) {
  assert_int_equal(wrong_canonical(), 0);
}

int wrong_pretty() {
  const Result<Json> json = hallpass::parse_json(R"({"a":[1,2],"b":{},"c":[]})");
  const char* expected = "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}\n";
  return wrong_if(!json || hallpass::to_pretty_json(json.value()) != expected, "pretty");
}
void test_pretty(void**) {
  assert_int_equal(wrong_pretty(), 0);
}

struct Read {
  const char* name;
  const char* text;
  const char* fault;  // nullptr: good; else what the message must name
};
const Read kReads[] = {
    {"good", R"({"name":"x","count":3,"maybe":null,"list":[]})", nullptr},
    {"another order", R"({"list":[],"maybe":1,"count":1,"name":""})", nullptr},
    {"missing", R"({"name":"x","maybe":null,"list":[]})", "\"count\" is missing"},
    {"nullable missing", R"({"name":"x","count":3,"list":[]})", "\"maybe\" is missing"},
    {"mistyped string", R"({"name":1,"count":3,"maybe":null,"list":[]})", "\"name\" must be a string"},
    {"mistyped number", R"({"name":"x","count":"3","maybe":null,"list":[]})", "\"count\" must be a whole number"},
    {"number too low", R"({"name":"x","count":0,"maybe":null,"list":[]})", "\"count\" must be a whole number"},
    {"number too high", R"({"name":"x","count":10,"maybe":null,"list":[]})", "\"count\" must be a whole number"},
    {"unknown member", R"({"name":"x","count":3,"maybe":null,"list":[],"extra":1})", "no member \"extra\""},
    {"unknown member with control characters", R"({"name":"x","count":3,"maybe":null,"list":[],"\u001b[2J":1})",
     "\\x1b[2J"},
    {"not an object", "[]", "must be a JSON object"},
};
int wrong_reads() {
  int wrong = 0;
  for (const Read& c : kReads) {
    const Result<Json> json = hallpass::parse_json(c.text);
    JsonReader reader(json.value(), "a thing");
    reader.string("name");
    reader.integer("count", 1, 9);
    reader.nullable("maybe");
    reader.any("list");
    const hallpass::Status status = reader.finish();
    const bool good =
        c.fault == nullptr ? status.has_value() : !status && status.error().message.find(c.fault) != std::string::npos;
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}
void test_reads(void**) {
  assert_int_equal(wrong_reads(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),    cmocka_unit_test(test_messages),
      cmocka_unit_test(test_large), cmocka_unit_test(test_pretty), cmocka_unit_test(test_canonical),
      cmocka_unit_test(test_reads),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
