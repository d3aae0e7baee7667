#include "core/values/bytes.h"

#include "tests/unit/cmocka.h"

namespace {

using hallpass::as_bytes;
using hallpass::as_text;
using hallpass::Bytes;
using hallpass::Result;

struct Pair {
  const char* name;
  std::string_view bytes;
  std::string_view text;
};

using Encode = std::string (*)(hallpass::ByteView);
using Decode = Result<Bytes> (*)(std::string_view);

template <std::size_t N>
int wrong_pairs(const Pair (&pairs)[N], Encode encode, Decode decode) {
  int wrong = 0;
  for (const Pair& p : pairs) {
    wrong += wrong_if(encode(as_bytes(p.bytes)) != p.text, p.name);
    if (decode == nullptr) continue;
    const Result<Bytes> decoded = decode(p.text);
    wrong += wrong_if(!decoded || as_text(decoded.value()) != p.bytes, p.name);
  }
  return wrong;
}

struct Bad {
  const char* name;
  std::string_view text;
};

template <std::size_t N>
int accepted(const Bad (&cases)[N], Decode decode) {
  int wrong = 0;
  for (const Bad& c : cases) wrong += wrong_if(decode(c.text).has_value(), c.name);
  return wrong;
}

// RFC 4648 section 10, and the two alphabets' difference.
const Pair kBase64[] = {
    {"empty", "", ""},
    {"one byte", "f", "Zg=="},
    {"two bytes", "fo", "Zm8="},
    {"three bytes", "foo", "Zm9v"},
    {"six bytes", "foobar", "Zm9vYmFy"},
    {"plus and slash", "\xfb\xff\xfe", "+//+"},
};
const Pair kBase64Url[] = {
    {"empty", "", ""},
    {"one byte", "f", "Zg"},
    {"two bytes", "fo", "Zm8"},
    {"three bytes", "foo", "Zm9v"},
    {"dash and underscore", "\xfb\xff\xfe", "-__-"},
};
const Pair kHex[] = {{"empty", "", ""}, {"all digits", "\x01\x23\x45\x67\x89\xab\xcd\xef", "0123456789abcdef"}};
const Pair kCrockford[] = {
    {"empty", "", ""},
    {"one byte is padded with zero bits", "\xff", "zw"},
    {"five bytes are eight characters", {"\x00\x44\x32\x14\xc7", 5}, "01234567"},
    {"letters skip i, l, o and u", "\x84\x65\x3a\x56\xd7\xc6\x75\xbe\x77\xdf", "ghjkmnpqrstvwxyz"},
};

const Bad kBadBase64[] = {
    {"missing padding", "Zg"},
    {"half the padding", "Zg="},
    {"too much padding", "Zg==="},
    {"only padding", "===="},
    {"three padding", "Z==="},
    {"padding in the middle", "Zg==Zg=="},
    {"unused bits of one byte", "Zh=="},
    {"unused bits of two bytes", "Zm9="},
    {"a space", "Zm 9"},
    {"a newline", "Zm9v\n"},
    {"url-safe alphabet", "-__-"},
    {"a NUL", std::string_view("Zm9\0", 4)},
    {"a high byte", "Zm9\xc3"},
    {"five characters", "Zm9vZ"},
};
const Bad kBadBase64Url[] = {
    {"padding", "Zg=="},           {"unused bits", "Zh"},  {"unused bits of two bytes", "Zm9"},
    {"standard alphabet", "+//+"}, {"one character", "Z"}, {"a newline", "Zm9v\n"},
};
const Bad kBadHex[] = {{"odd", "abc"}, {"upper case", "AB"}, {"prefix", "0x01"}, {"a space", "01 2"}};

void test_base64(void**) {
  assert_int_equal(wrong_pairs(kBase64, hallpass::base64_encode, hallpass::base64_decode), 0);
}
void test_base64url(void**) {
  assert_int_equal(wrong_pairs(kBase64Url, hallpass::base64url_encode, hallpass::base64url_decode), 0);
}
void test_hex(void**) {
  assert_int_equal(wrong_pairs(kHex, hallpass::hex_encode, hallpass::hex_decode), 0);
}
void test_crockford(void**) {
  assert_int_equal(wrong_pairs(kCrockford, hallpass::crockford_encode, nullptr), 0);
}
void test_bad_base64(void**) {
  assert_int_equal(accepted(kBadBase64, hallpass::base64_decode), 0);
}
void test_bad_base64url(void**) {
  assert_int_equal(accepted(kBadBase64Url, hallpass::base64url_decode), 0);
}
void test_bad_hex(void**) {
  assert_int_equal(accepted(kBadHex, hallpass::hex_decode), 0);
}

// Of all texts of four characters over a part of the alphabet each that decodes encodes to itself.
int second_spellings() {
  constexpr std::string_view kSome = "AB+/hg=w-_ \n";
  int wrong = 0;
  for (std::size_t n = 0; n < kSome.size() * kSome.size() * kSome.size() * kSome.size(); ++n) {
    std::string text;
    for (std::size_t k = n, i = 0; i < 4; ++i, k /= kSome.size()) text += kSome[k % kSome.size()];
    const Result<Bytes> plain = hallpass::base64_decode(text);
    wrong += wrong_if(plain && hallpass::base64_encode(plain.value()) != text, text.c_str());
    const Result<Bytes> url = hallpass::base64url_decode(text);
    wrong += wrong_if(url && hallpass::base64url_encode(url.value()) != text, text.c_str());
  }
  return wrong;
}
void test_one_spelling(void**) {
  assert_int_equal(second_spellings(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(test_base64),    cmocka_unit_test(test_base64url),    cmocka_unit_test(test_hex),
      cmocka_unit_test(test_crockford), cmocka_unit_test(test_bad_base64),   cmocka_unit_test(test_bad_base64url),
      cmocka_unit_test(test_bad_hex),   cmocka_unit_test(test_one_spelling),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
