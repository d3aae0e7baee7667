#include "core/values/text.h"

#include "tests/unit/cmocka.h"

namespace {

using hallpass::Status;

struct Row {
  const char* name;
  std::string text;
  bool good;
};

const Row kNames[] = {
    {"one letter", "a", true},
    {"underscore first", "_x", true},
    {"letters, digits, dash, underscore", "php8-fpm_1", true},
    {"32 bytes", std::string(32, 'a'), true},
    {"33 bytes", std::string(33, 'a'), false},
    {"empty", "", false},
    {"digit first", "1a", false},
    {"dash first", "-a", false},
    {"upper case", "Alice", false},
    {"dot", "a.b", false},
    {"slash", "a/b", false},
    {"a NUL", std::string("a\0b", 3), false},
    {"not ASCII", "\xc3\xa9", false},
    {"trailing newline", "a\n", false},
};

const Row kUtf8[] = {
    {"empty", "", true},
    {"ASCII", "abc", true},
    {"two bytes", "\xc3\xa9", true},
    {"three bytes", "\xe2\x82\xac", true},
    {"four bytes", "\xf0\x9f\x98\x80", true},
    {"the last character", "\xf4\x8f\xbf\xbf", true},
    {"beyond the last character", "\xf4\x90\x80\x80", false},
    {"overlong slash in two bytes", "\xc0\xaf", false},
    {"overlong in two bytes, c1", "\xc1\xbf", false},
    {"overlong in three bytes", "\xe0\x80\xaf", false},
    {"overlong in four bytes", "\xf0\x80\x80\xaf", false},
    {"high surrogate", "\xed\xa0\x80", false},
    {"low surrogate", "\xed\xbf\xbf", false},
    {"continuation first", "\x80", false},
    {"cut short", "\xe2\x82", false},
    {"cut short, then ASCII",
     "\xe2\x82"
     "a",
     false},
    {"five-byte lead", "\xf8\x88\x80\x80\x80", false},
    {"ff", "\xff", false},
};

const Row kTexts[] = {
    {"empty", "", true},
    {"a sentence", "502s on checkout, see INC-2031", true},
    {"other scripts", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xe6\x97\xa5\xe6\x9c\xac", true},
    {"emoji with its style", "\xe2\x9a\xa0\xef\xb8\x8f", true},
    {"500 bytes", std::string(500, 'x'), true},
    {"501 bytes", std::string(501, 'x'), false},
    {"newline", "a\nb", false},
    {"tab", "a\tb", false},
    {"escape", "a\x1b[2Jb", false},
    {"NUL", std::string("a\0b", 3), false},
    {"DEL", "a\x7f", false},
    {"C1 control",
     "a\xc2\x9b"
     "2J",
     false},
    {"soft hyphen",
     "a\xc2\xad"
     "b",
     false},
    {"Arabic letter mark", "\xd8\x9c", false},
    {"zero-width space",
     "a\xe2\x80\x8b"
     "b",
     false},
    {"zero-width joiner",
     "a\xe2\x80\x8d"
     "b",
     false},
    {"left-to-right mark", "\xe2\x80\x8e", false},
    {"right-to-left override", "\xe2\x80\xae", false},
    {"right-to-left isolate", "\xe2\x81\xa7", false},
    {"pop isolate", "\xe2\x81\xa9", false},
    {"word joiner", "\xe2\x81\xa0", false},
    {"invisible plus", "\xe2\x81\xa4", false},
    {"line separator", "\xe2\x80\xa8", false},
    {"paragraph separator", "\xe2\x80\xa9", false},
    {"byte order mark",
     "\xef\xbb\xbf"
     "a",
     false},
    {"Hangul filler", "\xe3\x85\xa4", false},
    {"tag letter", "\xf3\xa0\x81\xa1", false},
    {"variation selector that can carry bytes", "\xf3\xa0\x84\x80", false},
    {"not UTF-8", "a\xff", false},
};

template <std::size_t N, class Check>
int wrong_rows(const Row (&rows)[N], Check check) {
  int wrong = 0;
  for (const Row& r : rows) wrong += wrong_if(check(r.text) != r.good, r.name);
  return wrong;
}
bool text_is_good(std::string_view text) {
  return hallpass::check_text(text).has_value();
}

void test_names(void**) {
  assert_int_equal(wrong_rows(kNames, hallpass::is_name), 0);
}
void test_utf8(void**) {
  assert_int_equal(wrong_rows(kUtf8, hallpass::is_utf8), 0);
}
void test_texts(void**) {
  assert_int_equal(wrong_rows(kTexts, text_is_good), 0);
}

int wrong_messages() {
  const Status status = hallpass::check_text(
      "ab\xe2\x80\xae"
      "c");
  const bool names_both = !status && status.error().message.find("U+202E") != std::string::npos &&
                          status.error().message.find("byte 2") != std::string::npos;
  return wrong_if(!names_both, "the error names the character and where it stands");
}
void test_messages(void**) {
  assert_int_equal(wrong_messages(), 0);
}

struct Shown {
  const char* name;
  std::string bytes;
  std::size_t max;
  std::string_view shown;
};
const Shown kShown[] = {
    {"plain", "abc", 200, "abc"},
    {"UTF-8 stays", "\xc3\xa9", 200, "\xc3\xa9"},
    {"escape", "\x1b[2J", 200, "\\x1b[2J"},
    {"NUL", std::string("\0", 1), 200, "\\x00"},
    {"not UTF-8",
     "\xff"
     "a",
     200, "\\xffa"},
    {"bidi", "\xe2\x80\xae", 200, "\\u{202e}"},
    {"C1", "\xc2\x9b", 200, "\\u{009b}"},
    {"fits exactly", "abcdef", 6, "abcdef"},
    {"cut", "abcdefg", 6, "abc..."},
    {"cut at a character's boundary",
     "ab\xc3\xa9"
     "defg",
     6, "ab..."},
    {"an escape is not cut in two",
     "ab\x1b"
     "defg",
     8, "ab..."},
    {"no room but for dots", "abcdef", 2, ".."},
    {"no room", "abcdef", 0, ""},
};
int wrong_shown() {
  int wrong = 0;
  for (const Shown& c : kShown) wrong += wrong_if(hallpass::printable(c.bytes, c.max) != c.shown, c.name);
  return wrong;
}
void test_printable(void**) {
  assert_int_equal(wrong_shown(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_names),    cmocka_unit_test(test_utf8),      cmocka_unit_test(test_texts),
      cmocka_unit_test(test_messages), cmocka_unit_test(test_printable),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
