// A hub's answers, and what becomes of its log's entries on disk.
#include <set>

#include "cli/hub_client.h"
#include "cli/hub_mirror.h"
#include "cli/workspace.h"
#include "core/edge/files.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using namespace hallpass::cli;

void receipts(void**) {
  const struct {
    const char* name;
    const char* json;
    bool good;
    bool all_in;
    std::size_t verdicts, warnings;
  } cases[] = {
      {"taken", R"({"results":[{"line":1,"status":"taken","index":3,"grant":"k7m3-9x2d-q4fh"}],"warnings":[]})", true,
       true, 1, 0},
      {"known and taken", R"({"results":[{"line":1,"status":"known"},{"line":2,"status":"taken"}]})", true, true, 2, 0},
      {"one refused", R"({"results":[{"status":"taken"},{"status":"refused","code":"x","error":"y"}]})", true, false, 2,
       0},
      {"a warning", R"({"results":[{"status":"taken"}],"warnings":["your clock is 14 s behind"]})", true, true, 1, 1},
      {"of a policy", R"({"status":"taken","version":7,"index":12})", true, true, 1, 0},
      {"none", R"({"results":[]})", true, true, 0, 0},
      {"another status", R"({"results":[{"status":"maybe"}]})", false, false, 0, 0},
      {"no status", R"({"results":[{"line":1}]})", false, false, 0, 0},
      {"a refusal of all", R"({"code":"too_many","error":"slow down"})", false, false, 0, 0},
      {"no object", "[]", false, false, 0, 0},
      {"no JSON", "<html>", false, false, 0, 0},
  };
  for (const auto& c : cases) {
    bool good = false;
    {
      const auto r = parse_receipt(c.json);
      good = r.has_value() == c.good && (!c.good || (r->all_in() == c.all_in && r->verdicts.size() == c.verdicts &&
                                                     r->warnings.size() == c.warnings));
    }
    if (!good) print_error("%s\n", c.name);
    assert_true(good);
  }
}

void names_of_copies(void**) {
  std::set<std::string> seen;
  bool good = true;
  for (const char* url : {"https://hub.example.org", "https://hub.example.org:8443", "http://127.0.0.1:8480",
                          "https://[::1]:8480", "https://hub.example.org/a/../b", "https://.."}) {
    const std::string name = mirror_name(url);
    good = good && seen.insert(name).second && name.find('/') == std::string::npos && name.front() != '.' &&
           name.size() > 9 && name[name.size() - 9] == '-';
  }
  good = good && mirror_name("https://hub.example.org").starts_with("hub.example.org-");
  assert_true(good);
}

// Within what a grant file may hold, every line once, in their order.
void files_of_a_bundle(void**) {
  bool good = true;
  {
    const std::string small(1000, 'a'), large(60000, 'b');
    good = grant_files(3, {}).empty();
    const auto one = grant_files(3, {small, large});
    good = good && one.size() == 1 && one[0].first == "log-000000000003.grant" &&
           one[0].second == small + "\n" + large + "\n";
    const auto many = grant_files(1'000'000, std::vector<std::string>(256, large));
    std::string all;
    for (const auto& [name, content] : many) {
      good = good && content.size() <= kMaxGrantFile && bundle_of_grant_file(name) == 1'000'000U;
      all += content;
    }
    good = good && many.size() == 4 && many[1].first == "log-000001000000-2.grant" &&
           all.size() == 256 * (large.size() + 1);
  }
  assert_true(good);
}

void names_of_files(void**) {
  const struct {
    const char* name;
    bool ours;
  } cases[] = {{"log-000000000003.grant", true},
               {"log-000000000003-2.grant", true},
               {"log-.grant", false},
               {"log-x.grant", false},
               {"k7m3-9x2d-q4fh-request-1a2b3c4d.grant", false},
               {"log-3.toml", false},
               {"log-99999999999999999999999.grant", false}};
  for (const auto& c : cases) {
    const bool ours = bundle_of_grant_file(c.name).has_value();
    if (ours != c.ours) print_error("%s\n", c.name);
    assert_true(ours == c.ours);
  }
}

void every_fault_has_words(void**) {
  std::set<std::string_view> words;
  for (const LogFault f : {LogFault::malformed, LogFault::untrusted, LogFault::rollback, LogFault::fork,
                           LogFault::missing, LogFault::damaged, LogFault::epoch})
    words.insert(to_words(f));
  const bool distinct = words.size() == 7;
  words.clear();
  assert_true(distinct);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(receipts), cmocka_unit_test(names_of_copies),
                              cmocka_unit_test(files_of_a_bundle), cmocka_unit_test(names_of_files),
                              cmocka_unit_test(every_fault_has_words)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
