#include "notify/alert.h"

#include "core/json.h"
#include "core/values/text.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

const std::string kId(32, 'a');

int wrong_form() {
  const Alert alert{"web-3",
                    from_unix(1'800'000'000),
                    "session_not_ended",
                    2,
                    "it \"lives\"",
                    {{"GRANT", "k7m3-9x2d-q4fh"}, {"APPROVERS", "bob"}, {"WHY", ""}, {"APPROVERS", "ana"}}};
  const std::string expected =
      "{\"hallpass\":\"alert/1\",\"id\":\"" + kId +
      "\",\"host\":\"web-3\",\"at\":\"2027-01-15T08:00:00Z\",\"event\":\"session_not_ended\","
      "\"priority\":2,\"message\":\"it \\\"lives\\\"\",\"fields\":{\"GRANT\":\"k7m3-9x2d-q4fh\","
      "\"APPROVERS\":\"bob, ana\"}}";
  const Result<DocumentHead> head = read_head(expected);
  return wrong_if(alert_json(alert, kId) != expected, "as docs/formats.md says") +
         wrong_if(!head || head->id != kId || head->event != "session_not_ended", "its head");
}

// Whatever comes, it is JSON, UTF-8 and small enough to be read again.
int wrong_hostile() {
  Alert alert{"web-3", from_unix(0), "login_refused", 4, std::string(100'000, '"'), {}};
  for (int i = 0; i < 100; ++i) {
    std::string value(5000, static_cast<char>(i * 3));
    alert.fields.emplace_back("F" + std::to_string(i), value + "\"\\\n\xff\xe2\x80\xae");
  }
  const std::string json = alert_json(alert, kId);
  const Result<Json> parsed = parse_json(json);
  const JsonObject* fields = parsed ? parsed->find("fields")->as_object() : nullptr;
  return wrong_if(!parsed, "JSON") + wrong_if(json.size() > kMaxDocumentBytes, "small") +
         wrong_if(!is_utf8(json), "UTF-8") + wrong_if(fields == nullptr || fields->size() > kMaxAlertFields, "fields") +
         wrong_if(json.find("\xe2\x80\xae") != std::string::npos || json.find('\n') != std::string::npos, "printable");
}

struct Case {
  const char* name;
  std::string json;
};

int wrong_heads() {
  const std::string good = "{\"hallpass\":\"alert/1\",\"id\":\"" + kId + "\",\"event\":\"x\"}";
  const Case cases[] = {
      {"nothing", ""},
      {"no JSON", "alert"},
      {"an array", "[]"},
      {"cut short", good.substr(0, good.size() - 1)},
      {"another version", "{\"hallpass\":\"alert/2\",\"id\":\"" + kId + "\"}"},
      {"no id", R"({"hallpass":"alert/1"})"},
      {"an id that is no string", R"({"hallpass":"alert/1","id":7})"},
      {"a short id", "{\"hallpass\":\"alert/1\",\"id\":\"" + kId.substr(1) + "\"}"},
      {"an id with a line break", "{\"hallpass\":\"alert/1\",\"id\":\"" + kId.substr(2) + "\\r\\n\"}"},
      {"an id in capitals", "{\"hallpass\":\"alert/1\",\"id\":\"" + std::string(32, 'A') + "\"}"},
  };
  int wrong = wrong_if(!read_head(good), "good");
  for (const Case& c : cases) wrong += wrong_if(read_head(c.json).has_value(), c.name);
  return wrong;
}

void test_form(void**) {
  assert_int_equal(wrong_form(), 0);
}
void test_hostile(void**) {
  assert_int_equal(wrong_hostile(), 0);
}
void test_heads(void**) {
  assert_int_equal(wrong_heads(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_form), cmocka_unit_test(test_hostile),
                              cmocka_unit_test(test_heads)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
