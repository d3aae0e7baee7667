#include "core/values/selector.h"

#include <string>

#include "tests/unit/cmocka.h"

namespace hallpass {
namespace {

HostIdentity web3() {
  return {"web-3", {{"env", "prod"}, {"role", "web"}}};
}

enum class Expect { matches, no_match, refused };
struct Case {
  const char* name;
  const char* text;
  Expect expect;
};
const Case kCases[] = {
    {"one label", "env=prod", Expect::matches},
    {"all labels", "env=prod,role=web", Expect::matches},
    {"order does not matter", "role=web,env=prod", Expect::matches},
    {"the host's name", "host=web-3", Expect::matches},
    {"name and label", "host=web-3,env=prod", Expect::matches},
    {"another value", "env=staging", Expect::no_match},
    {"one of two holds", "env=prod,role=db", Expect::no_match},
    {"a label that the host has not", "zone=eu", Expect::no_match},
    {"another host", "host=web-30", Expect::no_match},
    {"a prefix of the host's name", "host=web-", Expect::no_match},
    {"names are not folded", "host=WEB-3", Expect::no_match},
    {"right name, wrong label", "host=web-3,env=staging", Expect::no_match},
    {"empty", "", Expect::refused},
    {"no equals", "env", Expect::refused},
    {"empty value", "env=", Expect::refused},
    {"empty key", "=prod", Expect::refused},
    {"trailing comma", "env=prod,", Expect::refused},
    {"leading comma", ",env=prod", Expect::refused},
    {"repeated key", "env=prod,env=staging", Expect::refused},
    {"repeated host", "host=a,host=b", Expect::refused},
    {"wildcard", "host=*", Expect::refused},
    {"space", "env=prod, role=web", Expect::refused},
    {"two equals", "env=prod=x", Expect::refused},
    {"upper-case key", "Env=prod", Expect::refused},
    {"control character", "env=prod\n", Expect::refused},
};

int wrong_cases() {
  int wrong = 0;
  const HostIdentity host = web3();
  for (const Case& c : kCases) {
    const Result<Selector> selector = Selector::parse(c.text);
    const Expect got = !selector ? Expect::refused : selector->matches(host) ? Expect::matches : Expect::no_match;
    const bool kept = !selector || selector->text() == c.text;
    if (got == c.expect && kept) continue;
    print_error("selector: %s\n", c.name);
    ++wrong;
  }
  return wrong;
}

void selectors(void**) {
  assert_int_equal(wrong_cases(), 0);
}

struct LengthCase {
  const char* name;
  const char* key;
  std::size_t length;
  bool good;
};
const LengthCase kLengths[] = {
    {"longest host name", "host=", 253, true},
    {"host name too long", "host=", 254, false},
    {"longest label value", "env=", 63, true},
    {"label value too long", "env=", 64, false},
};

int wrong_lengths() {
  int wrong = 0;
  for (const LengthCase& c : kLengths) {
    if (Selector::parse(c.key + std::string(c.length, 'x')).has_value() == c.good) continue;
    print_error("selector: %s\n", c.name);
    ++wrong;
  }
  return wrong;
}

void lengths(void**) {
  assert_int_equal(wrong_lengths(), 0);
}

bool list_matches(const std::vector<const char*>& texts) {
  std::vector<Selector> list;
  for (const char* text : texts) list.push_back(Selector::parse(text).value());
  return any_matches(list, web3());
}

void lists(void**) {
  const bool none = list_matches({});
  const bool second = list_matches({"env=staging", "role=web"});
  const bool neither = list_matches({"env=staging", "role=db"});
  // A label named host in the configuration never stands for the name.
  const bool label_host = Selector::parse("host=x").value().matches({"y", {{"host", "x"}}});
  const bool of_nothing = Selector().matches(web3());
  assert_false(none);
  assert_true(second);
  assert_false(neither);
  assert_false(label_host);
  assert_false(of_nothing);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::selectors),
      cmocka_unit_test(hallpass::lengths),
      cmocka_unit_test(hallpass::lists),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
