#include "core/values/digest.h"

#include "tests/unit/cmocka.h"

namespace {

using hallpass::Digest;
using hallpass::Result;

// 01 23 45 67 89 ab cd ef ...: its Crockford form begins 04hm ASV4 NF6F (in lower case), whatever follows the first 60
// bits.
Digest sample() {
  Digest d;
  for (std::size_t i = 0; i < d.bytes.size(); ++i) d.bytes[i] = static_cast<std::uint8_t>(0x01 + 0x22 * (i % 8));
  return d;
}

struct Text {
  const char* name;
  std::string text;
};

int wrong_digests() {
  const std::string good = hallpass::format_digest(sample());
  const std::string hex = good.substr(7);
  int wrong = wrong_if(good != "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "format");
  const Result<Digest> back = hallpass::parse_digest(good);
  wrong += wrong_if(!back || back.value() != sample(), "round trip");
  const Text bad[] = {
      {"empty", ""},
      {"no prefix", hex},
      {"other prefix", "sha512:" + hex},
      {"upper-case prefix", "SHA256:" + hex},
      {"upper-case digits", "sha256:" + std::string(64, 'A')},
      {"one digit short", good.substr(0, good.size() - 1)},
      {"one byte short", good.substr(0, good.size() - 2)},
      {"one byte long", good + "00"},
      {"trailing newline", good + "\n"},
  };
  for (const Text& c : bad) wrong += wrong_if(hallpass::parse_digest(c.text).has_value(), c.name);
  return wrong;
}
void test_digest(void**) {
  assert_int_equal(wrong_digests(), 0);
}

struct Prefix {
  const char* name;
  std::string_view typed;
  std::string_view canonical;  // empty: refused
};
const Prefix kPrefixes[] = {
    {"whole id", "04hm-asw9-nf6y", "04hmasw9nf6y"},
    {"no dashes", "04hmasw9nf6y", "04hmasw9nf6y"},
    {"upper case", "04HM-ASW9", "04hmasw9"},
    {"o is zero", "o4hm", "04hm"},
    {"O is zero", "O", "0"},
    {"i and l are one", "iIlL", "1111"},
    {"one character", "k", "k"},
    {"dashes anywhere", "-0-4-", "04"},
    {"empty", "", ""},
    {"only dashes", "---", ""},
    {"thirteen characters", "04hmasw9nf6y0", ""},
    {"u is no digit", "u", ""},
    {"a space", "04hm asw9", ""},
    {"punctuation", "04hm_", ""},
    {"a high byte", "\xc3\xa9", ""},
};
int wrong_prefixes() {
  int wrong = 0;
  for (const Prefix& c : kPrefixes) {
    const Result<std::string> got = hallpass::parse_grant_id_prefix(c.typed);
    wrong += wrong_if(c.canonical.empty() ? got.has_value() : (!got || got.value() != c.canonical), c.name);
  }
  return wrong;
}
void test_prefixes(void**) {
  assert_int_equal(wrong_prefixes(), 0);
}

int wrong_ids() {
  int wrong = wrong_if(hallpass::grant_id(sample()) != "04hm-asw9-nf6y", "the id of a digest");
  Digest other = sample();
  other.bytes[7] ^= 0x0f;  // bits 60 to 63: beyond the id
  wrong += wrong_if(hallpass::grant_id(other) != "04hm-asw9-nf6y", "the id is 60 bits");
  other.bytes[7] ^= 0x10;
  wrong += wrong_if(hallpass::grant_id(other) == "04hm-asw9-nf6y", "bit 59 belongs to the id");
  wrong += wrong_if(!hallpass::grant_id_has_prefix(sample(), "04hmas"), "prefix");
  wrong += wrong_if(!hallpass::grant_id_has_prefix(sample(), "04hmasw9nf6y"), "whole id as prefix");
  wrong += wrong_if(hallpass::grant_id_has_prefix(sample(), "04hmax"), "not a prefix");
  wrong += wrong_if(hallpass::grant_id_has_prefix(sample(), "04hmasw9nf6y0"), "longer than an id");
  return wrong;
}
void test_ids(void**) {
  assert_int_equal(wrong_ids(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_digest), cmocka_unit_test(test_prefixes),
                              cmocka_unit_test(test_ids)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
