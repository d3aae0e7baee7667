// The seed of a randomised test: printed at each run; HALLPASS_SEED=N in the environment repeats one.
#pragma once

#include <cstdlib>
#include <random>

#include "tests/unit/cmocka.h"

namespace hallpass::testing {

inline unsigned test_seed() {
  const char* given = std::getenv("HALLPASS_SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()();
  print_message("HALLPASS_SEED=%u\n", seed);
  return seed;
}

}  // namespace hallpass::testing
