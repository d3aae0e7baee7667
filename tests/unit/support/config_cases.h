// Tables of configuration files: which are good, and what is said of the first thing that is wrong with the others.
#pragma once

#include <string_view>
#include <vector>

#include "core/toml.h"
#include "tests/unit/cmocka.h"

namespace hallpass::testing {

struct ConfigCase {
  const char* name;
  const char* toml;
  const char* fault;  // words of the first error; nullptr: it is good
  int line;
};

template <class Cases, class Parse>
int wrong_config_cases(const Cases& cases, Parse parse) {
  int wrong = 0;
  for (const ConfigCase& c : cases) {
    std::vector<Diagnostic> found;
    const bool good = parse(std::string_view(c.toml), found).has_value();
    wrong += wrong_if(good != (c.fault == nullptr), c.name);
    wrong += wrong_if(good == has_errors(found), c.name);
    if (c.fault == nullptr || found.empty()) continue;
    wrong += wrong_if(found.front().message.find(c.fault) == std::string::npos, c.name);
    wrong += wrong_if(c.line != 0 && found.front().line != c.line, c.name);
    wrong += wrong_if(found.front().cure.empty() && c.fault[0] != '\0', c.name);
  }
  return wrong;
}

}  // namespace hallpass::testing
