// Widths, wrapping and tables.
#include "cli/output.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass::cli;

int wrong_text(const std::string& got, const char* want) {
  if (got != want) print_error("got \"%s\", want \"%s\"\n", got.c_str(), want);
  return got == want ? 0 : 1;
}

void widths(void**) {
  const struct {
    const char* name;
    const char* text;
    std::size_t width;
  } cases[] = {{"ascii", "abc", 3},
               {"umlaut", "gr\u00fc\u00df", 4},
               {"wide", "\u65e5\u672c", 4},
               {"combining", "e\u0301", 1},
               {"empty", "", 0}};
  for (const auto& c : cases) {
    if (display_width(c.text) != c.width) print_error("%s\n", c.name);
    assert_int_equal(display_width(c.text), c.width);
  }
}

int wrong_fitting() {
  int wrong = 0;
  wrong += wrong_text(fit("abcdef", 6), "abcdef");
  wrong += wrong_text(fit("abcdef", 5), "abcd\u2026");
  wrong += wrong_text(fit("\u65e5\u672c\u8a9e", 4), "\u65e5\u2026");
  wrong += wrong_text(fit("abc", 0), "");
  wrong += wrong_text(pad("\u00fc", 3), "\u00fc  ");
  return wrong;
}

void fitting(void**) {
  assert_int_equal(wrong_fitting(), 0);
}

void wrapping(void**) {
  const bool good = wrap("one two three", 7) == std::vector<std::string>{"one two", "three"} &&
                    wrap("incomprehensibilities a", 5) == std::vector<std::string>{"incomprehensibilities", "a"} &&
                    wrap("", 9) == std::vector<std::string>{""};
  assert_true(good);
}

int wrong_words() {
  int wrong = 0;
  wrong += wrong_text(join_words({}, "or"), "");
  wrong += wrong_text(join_words({"a"}, "or"), "a");
  wrong += wrong_text(join_words({"a", "b", "c"}, "and"), "a, b and c");
  wrong += wrong_text(count_of(1, "file"), "1 file");
  wrong += wrong_text(count_of(2, "person", "people"), "2 people");
  wrong += wrong_text(shell_word("a b'c"), "'a b'\\''c'");
  wrong += wrong_text(shell_word("/srv/hallpass"), "/srv/hallpass");
  return wrong;
}

void words(void**) {
  assert_int_equal(wrong_words(), 0);
}

void tables(void**) {
  Table table({"ID", "WHY"});
  table.add({{"k7m3", Style::bold}, {"a long reason here"}});
  const std::vector<std::string> all = table.lines(0, false);
  const std::vector<std::string> narrow = table.lines(16, false);
  const std::vector<std::string> folded = table.lines(12, false);
  const std::vector<std::string> coloured = table.lines(0, true);
  const bool good = all == std::vector<std::string>{"ID    WHY", "k7m3  a long reason here"} &&
                    narrow[1] == "k7m3  a long re\u2026" &&
                    folded == std::vector<std::string>{"k7m3", "    a long \u2026"} &&
                    coloured[1].starts_with("\033[1mk7m3\033[0m  ");
  assert_true(good);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(widths), cmocka_unit_test(fitting), cmocka_unit_test(wrapping),
                              cmocka_unit_test(words), cmocka_unit_test(tables)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
