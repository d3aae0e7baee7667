#include "core/toml.h"

#include <cstdio>

#include "core/nearest.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;

std::string found_in(const std::string& text, bool* parsed = nullptr) {
  std::vector<Diagnostic> out;
  const auto tree = parse_toml(text, out);
  if (parsed != nullptr) *parsed = tree.has_value();
  std::string all;
  for (const Diagnostic& d : out) all += format_diagnostic("f", d) + "\n";
  return all;
}

std::string repeat(const char* text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

struct Bad {
  const char* name;
  std::string text;
  const char* expected;  // how the first finding begins
};
const Bad kBad[] = {
    {"no value", "a = 1\nb =\n", "f:2: error: not valid TOML: "},
    {"repeated member", "a = 1\na = 2\n", "f:2: error: not valid TOML: "},
    {"unclosed string", "a = \"x\n", "f:1: error: not valid TOML: "},
    {"not UTF-8", "a = \"\xff\"\n", "f:1: error: not valid TOML: "},
    {"a letter that is not ASCII in a bare key", "a = 1\nROF\xc7\xb1 = 2\n",
     "f:2: error: a letter that is not ASCII stands outside of quotes"},
    {"an escape of a letter that is not ASCII", "a = \"\\\xc7\xb1\"\n", "f:1: error: not valid TOML: "},
    {"a letter that is not ASCII after a line's end that was to be skipped",
     "a = 1\nb = \"\"\"\\\n  \xc7\xb1\"\"\"\nc =\n", "f:4: error: not valid TOML: "},
    {"NUL", std::string("a = 1\n\0", 7), "f:2: error: not valid TOML: "},
    {"a float", "\na = 1.5\n", "f:2: error: numbers with a fraction"},
    {"infinity", "a = inf\n", "f:1: error: numbers with a fraction"},
    {"local date", "a = 2027-01-01\n", "f:1: error: a date or time alone"},
    {"local time", "a = 07:00:00\n", "f:1: error: a date or time alone"},
    {"local date-time", "a = 2027-01-01T00:00:00\n", "f:1: error: this time is not in UTC; write date, time and Z"},
    {"another offset", "a = 2027-01-01T00:00:00+01:00\n", "f:1: error: this time is not in UTC"},
    {"fractions of a second", "a = 2027-01-01T00:00:00.5Z\n", "f:1: error: this time has fractions"},
    {"before 1970", "a = 1969-12-31T23:59:59Z\n", "f:1: error: this time lies before 1970"},
    {"no such day", "a = 2027-02-30T00:00:00Z\n", "f:1: error: not valid TOML: "},
    {"deep arrays", "a = 1\nb = " + repeat("[", 100000) + "\n", "f:2: error: values are nested too deeply"},
    {"deep tables", "a = " + repeat("{a=", 100000), "f:1: error: values are nested too deeply"},
    {"deep dotted key", "a" + repeat(".a", 100000) + " = 1\n", "f:1: error: values are nested too deeply"},
    {"deep header", "[a" + repeat(" . a", 100000) + "]\n", "f:1: error: values are nested too deeply"},
    {"deep after strings that look like comments",
     "a = \"#\"\nb = '\"'\nc = \"\"\"\n\"#\"\"\"\"\nd = " + repeat("[", 100),
     "f:5: error: values are nested too deeply"},
    {"deep after an escaped quote", "a = \"\\\"\"\nb = " + repeat("[", 100),
     "f:2: error: values are nested too deeply"},
    {"too many values", "a = [" + repeat("1,", 300000) + "]\n", "f:1: error: there are too many values"},
    {"too large", std::string(kMaxTomlBytes + 1, '\n'), "f: error: the file is larger than 4 MiB"},
};

int wrong_bad() {
  int wrong = 0;
  for (const Bad& c : kBad) {
    bool parsed = true;
    const std::string all = found_in(c.text, &parsed);
    if (parsed || all.rfind(c.expected, 0) != 0) {
      wrong += wrong_if(true, c.name);
      std::fprintf(stderr, "  got: %s", all.c_str());
    }
  }
  return wrong;
}

void test_bad(void**) {
  assert_int_equal(wrong_bad(), 0);
}

// The tree as text, with the line of each value, in file order.
std::string dump(const Toml& v) {
  std::string text = "@" + std::to_string(v.line()) + " ";
  if (const auto* s = v.as_string()) return text + *s;
  if (const auto* i = v.as_int()) return text + std::to_string(*i);
  if (const auto* b = v.as_bool()) return text + (*b ? "true" : "false");
  if (const auto* t = v.as_time()) return text + format_time(*t);
  if (const auto* a = v.as_array()) {
    for (const Toml& e : *a) text += "[" + dump(e) + "]";
    return text;
  }
  for (const auto& [name, e] : *v.as_table()) text += "{" + name + " " + dump(e) + "}";
  return text;
}

int wrong_tree() {
  const std::string text =
      "z = 1 # not [ deep\n\ny = [\n  \"a\",\n  'b'\n]\nx = 2027-06-30T12:34:56Z\n[t.u]\nb = true\n[[r]]\nn = "
      "-5\n[[r]]\nn = 0x10\n"
      "[t.a]\n";
  const std::string expected =
      "@1 {z @1 1}{y @3 [@4 a][@5 b]}{x @7 2027-06-30T12:34:56Z}{t @8 {u @8 {b @9 true}}{a @14 }}{r @10 [@10 {n @11 "
      "-5}][@12 {n @13 16}]}";
  std::vector<Diagnostic> out;
  const auto tree = parse_toml(text, out);
  const std::string got = tree ? dump(*tree) : "nothing";
  if (got != expected) std::fprintf(stderr, "  got: %s\n", got.c_str());
  return got != expected;
}

int wrong_letters() {
  const char* const texts[] = {"\xef\xbb\xbfz = 1\n", "\"\xc7\xb1\" = '\xc7\xb1' # \xc7\xb1\n",
                               "a = \"\"\"\n\xc7\xb1\"\"\"\n"};
  int wrong = 0;
  for (const char* text : texts) wrong += wrong_if(!found_in(text).empty(), text);
  return wrong;
}

void test_letters(void**) {
  assert_int_equal(wrong_letters(), 0);
}

void test_tree(void**) {
  assert_int_equal(wrong_tree(), 0);
}

// Reads every type from one table and returns what was found.
std::string read(const std::string& text) {
  std::vector<Diagnostic> out;
  const auto tree = parse_toml(text, out);
  if (!tree) return "not TOML";
  TomlReader reader(*tree, "[x]", out);
  reader.required("name", "name = \"n\"");
  reader.string("name");
  reader.integer("count", 1, 10);
  reader.boolean("flag");
  reader.time("until");
  reader.duration("max_duration");
  reader.strings("list");
  reader.finish();
  std::string all;
  for (const Diagnostic& d : out) all += format_diagnostic("f", d) + "\n";
  return all;
}

struct ReaderCase {
  const char* name;
  const char* text;
  const char* expected;
};
const ReaderCase kReader[] = {
    {"all well", "name=\"a\"\ncount=10\nflag=false\nuntil=2027-06-30T00:00:00Z\nmax_duration=\"1h30m\"\nlist=[]\n", ""},
    {"missing", "count = 1\n", "f:1: error: name is missing in [x]; write: name = \"n\"\n"},
    {"not a string", "\nname = 5\n",
     "f:2: error: name in [x] must be a string, found an integer; put it in quotes: name = \"...\"\n"},
    {"not an integer", "name = \"a\"\ncount = \"5\"\n",
     "f:2: error: count in [x] must be an integer, found a string; write a whole number from 1 to 10\n"},
    {"below", "name = \"a\"\ncount = 0\n",
     "f:2: error: count = 0 in [x] is out of range; write a whole number from 1 to 10\n"},
    {"above", "name = \"a\"\ncount = 11\n",
     "f:2: error: count = 11 in [x] is out of range; write a whole number from 1 to 10\n"},
    {"not a boolean", "name = \"a\"\nflag = \"yes\"\n",
     "f:2: error: flag in [x] must be a boolean, found a string; write: flag = true, or false\n"},
    {"time in quotes", "name = \"a\"\nuntil = \"2027-06-30T00:00:00Z\"\n",
     "f:2: error: until in [x] must be a date-time, found a string; write it without quotes: until = "
     "2027-06-30T00:00:00Z\n"},
    {"number for a duration", "name = \"a\"\nmax_duration = 30\n",
     "f:2: error: max_duration in [x] must be a string, found an integer; write for example: max_duration = \"30m\" "
     "(units d, h, m, s)\n"},
    {"no duration", "name = \"a\"\nmax_duration = \"30 min\"\n",
     "f:2: error: max_duration = \"30 min\" in [x] is not a duration; write for example: max_duration = \"30m\" (units "
     "d, h, m, s)\n"},
    {"not a list", "name = \"a\"\nlist = \"b\"\n",
     "f:2: error: list in [x] must be an array of strings, found a string; write: list = [\"...\", \"...\"]\n"},
    {"mixed list", "name = \"a\"\nlist = [\"b\",\n 5]\n",
     "f:3: error: list in [x] must hold strings only, found an integer; write: list = [\"...\", \"...\"]\n"},
    {"slip of the fingers", "name = \"a\"\nmax_duratoin = \"1h\"\n",
     "f:2: error: unknown member \"max_duratoin\" in [x]; write max_duration\n"},
    {"nothing near", "name = \"a\"\n\"\\u001b[31m\" = 1\n",
     "f:2: error: unknown member \"\\x1b[31m\" in [x]; remove it, or write one of: name, count, flag, until, "
     "max_duration, list\n"},
};

int wrong_reader() {
  int wrong = 0;
  for (const ReaderCase& c : kReader) {
    const std::string got = read(c.text);
    if (got != c.expected) std::fprintf(stderr, "  got: %s", got.c_str());
    wrong += wrong_if(got != c.expected, c.name);
  }
  return wrong;
}

void test_reader(void**) {
  assert_int_equal(wrong_reader(), 0);
}

// Past errors: a flood of warnings once could have crowded out the error that refuses a file.
int wrong_flood() {
  std::vector<Diagnostic> out;
  const Toml table(TomlTable{}, 1);
  TomlReader reader(table, "[x]", out);
  for (int i = 0; i < 5000; ++i) reader.warning(1, "w", "");
  const bool before = has_errors(out);
  reader.error(1, "e", "");
  const bool after = has_errors(out);
  for (int i = 0; i < 5000; ++i) reader.error(1, "e", "");
  return (before ? 1 : 0) + (after ? 0 : 1) + (out.size() <= 1000 ? 0 : 1);
}

void test_flood(void**) {
  assert_int_equal(wrong_flood(), 0);
}

int wrong_quotes() {
  const std::string texts[] = {"", "plain", "\"\\", "a\nb\tc", std::string("\x01\x7f\x00", 3), "h\xc3\xa9"};
  int wrong = 0;
  for (const std::string& text : texts) {
    std::vector<Diagnostic> out;
    const auto tree = parse_toml("a = " + toml_quote(text), out);
    const std::string* back = tree ? tree->as_table()->front().second.as_string() : nullptr;
    wrong += wrong_if(back == nullptr || *back != text, text.c_str());
  }
  wrong += wrong_if(toml_quote("\xff") != "\"\\uFFFD\"", "a byte that is not UTF-8");
  return wrong;
}

void test_quotes(void**) {
  assert_int_equal(wrong_quotes(), 0);
}

struct Near {
  const char* name;
  const char* expected;
};
const Near kNear[] = {
    {"alcie", "alice"}, {"alic", "alice"}, {"alicee", "alice"},       {"bob", "bob"}, {"bobb", "bob"}, {"zed", ""},
    {"x", ""},          {"", ""},          {"sre-lead", "sre-leads"},
};

int wrong_near() {
  const std::vector<std::string> known = {"alice", "bob", "sre-leads"};
  int wrong = 0;
  for (const Near& c : kNear) wrong += wrong_if(nearest_name(c.name, known) != c.expected, c.name);
  wrong += wrong_if(!nearest_name(std::string(100000, 'a'), known).empty(), "a long name");
  return wrong;
}

void test_near(void**) {
  assert_int_equal(wrong_near(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_bad),     cmocka_unit_test(test_tree),
                              cmocka_unit_test(test_letters), cmocka_unit_test(test_reader),
                              cmocka_unit_test(test_flood),   cmocka_unit_test(test_quotes),
                              cmocka_unit_test(test_near)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
