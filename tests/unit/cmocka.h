// CMocka, which needs these headers first and has no extern "C" of its own.
//
// Its asserts longjmp, so nothing with a destructor may live where they stand. Write the cases in functions that count
// what failed and assert only the count:
//     int wrong_cases() {
//       int wrong = 0;
//       for (const Case& c : cases) wrong += wrong_if(f(c) != c.expected, c.name);
//       return wrong;
//     }
//     void test_cases(void**) { assert_int_equal(wrong_cases(), 0); }
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}

// 1 and a line with the case's name when `is_wrong`, else 0.
inline int wrong_if(bool is_wrong, const char* name) {
  if (is_wrong) print_error("wrong: %s\n", name);
  return is_wrong ? 1 : 0;
}
