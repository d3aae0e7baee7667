#include "host/sudo_defaults.h"

#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

const char* const kTexts[] = {"", "Defaults env_reset\n",
                              "Defaults env_reset\nUser_Alias OPS = alice, bob\nDefaults:OPS !lecture\n\n"};

// Nothing but the whole is whole: cut or altered anywhere, or with something before or behind it.
int wrong_of(const std::string& text) {
  const std::string sealed = sealed_defaults(text);
  int wrong = are_whole_defaults(sealed) && sealed.starts_with(text) && sealed.back() == '\n' ? 0 : 1;
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    if (are_whole_defaults(sealed.substr(0, i))) ++wrong;
    if (i > 0 && are_whole_defaults(sealed.substr(i))) ++wrong;
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = sealed;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      if (are_whole_defaults(flipped)) ++wrong;
    }
  }
  for (const char* more : {"\n", " ", "x", "Defaults !env_reset\n", "# hallpass: whole, 0000000000000000\n"}) {
    if (are_whole_defaults(sealed + more) || are_whole_defaults(more + sealed)) ++wrong;
  }
  return wrong + (are_whole_defaults(text) ? 1 : 0);
}

void whole_or_not(void**) {
  for (const char* text : kTexts) {
    print_message("%s\n", text);
    assert_int_equal(wrong_of(text), 0);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(whole_or_not)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
