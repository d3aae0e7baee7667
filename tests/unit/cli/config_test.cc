// config.toml and hosts.toml: strict, with lines; targets as typed.
#include "cli/config.h"
#include "cli/hosts.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;
using namespace hallpass::cli;

struct Case {
  const char* name;
  const char* text;
  bool good;
  int line;  // of the first finding
};

template <class Parse>
void run_cases(const Case* begin, const Case* end, Parse&& parse) {
  for (const Case* c = begin; c != end; ++c) {
    bool good = false;
    {
      std::vector<Diagnostic> out;
      const bool parsed = parse(c->text, out);
      good = parsed == c->good && (c->good || (!out.empty() && out.front().line == c->line));
    }
    if (!good) print_error("%s\n", c->name);
    assert_true(good);
  }
}

void configuration(void**) {
  const Case cases[] = {{"all", "dir = \"/srv/h\"\nme = \"alice\"\nkey = \"~/.ssh/id\"\n", true, 0},
                        {"empty", "", true, 0},
                        {"home", "dir = \"~/h\"\n", true, 0},
                        {"unknown member", "dir = \"/srv/h\"\ncolour = \"x\"\n", false, 2},
                        {"wrong type", "me = 1\n", false, 1},
                        {"no name", "\nme = \"Alice Smith\"\n", false, 2},
                        {"relative", "dir = \"h\"\n", false, 1},
                        {"no TOML", "dir = \n", false, 1},
                        {"a hub", "hub = \"https://hub.example.org/\"\nhub_token_file = \"~/t\"\n", true, 0},
                        {"a hub here", "hub = \"http://127.0.0.1:8480\"\n", true, 0},
                        {"no URL", "me = \"alice\"\nhub = \"hub.example.org\"\n", false, 2},
                        {"unencrypted", "hub = \"http://hub.example.org\"\n", false, 1},
                        {"a question", "hub = \"https://hub.example.org/?x=1\"\n", false, 1},
                        {"a password", "hub = \"https://a:b@hub.example.org\"\n", false, 1},
                        {"two places", "dir = \"/srv/h\"\nhub = \"https://hub.example.org\"\n", false, 2},
                        {"half a pair", "hub_key = \"/k\"\n", false, 1}};
  run_cases(std::begin(cases), std::end(cases),
            [](const char* text, auto& out) { return parse_config(text, out).has_value(); });
}

void hosts(void**) {
  const Case cases[] = {{"two", "[hosts.web-3]\nenv = \"prod\"\n[hosts.\"db.example.org\"]\n", true, 0},
                        {"none", "", true, 0},
                        {"label is no word", "[hosts.web-3]\nenv = 3\n", false, 2},
                        {"host as a label", "[hosts.web-3]\nhost = \"x\"\n", false, 2},
                        {"unknown member", "[host.web-3]\n", false, 1},
                        {"bad name", "[hosts.\"a b\"]\n", false, 1}};
  run_cases(std::begin(cases), std::end(cases),
            [](const char* text, auto& out) { return parse_hosts(text, out).has_value(); });
}

void targets(void**) {
  const struct {
    const char* typed;
    const char* want;
  } cases[] = {{"web-3", "host=web-3"},
               {"db.example.org", "host=db.example.org"},
               {"env=prod,role=web", "env=prod,role=web"},
               {"", nullptr},
               {"a b", nullptr},
               {"env=", nullptr}};
  for (const auto& c : cases) {
    bool good = false;
    {
      const auto t = parse_target(c.typed);
      good = c.want == nullptr ? !t.has_value() : t.has_value() && t->text() == c.want;
    }
    if (!good) print_error("%s\n", c.typed);
    assert_true(good);
  }
}

void can_overlap(void**) {
  const auto overlap = [](const char* a, const char* b) {
    return compatible(parse_target(a).value(), parse_target(b).value());
  };
  const bool good = overlap("env=prod", "env=prod,role=web") && !overlap("env=prod", "env=test") &&
                    overlap("web-3", "env=prod") && !overlap("web-3", "web-4");
  assert_true(good);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(configuration), cmocka_unit_test(hosts), cmocka_unit_test(targets),
                              cmocka_unit_test(can_overlap)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
