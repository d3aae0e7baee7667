// What a request can hope for before it is signed, and parameters as typed.
#include "cli/outlook.h"

#include "tests/unit/cmocka.h"
#include "tests/unit/core/judge_fixture.h"

namespace {

using namespace hallpass;
using namespace hallpass::cli;
using namespace hallpass::testing;

using Chosen = std::vector<std::string>;

int wrong_parameters() {
  Runbook runbook;
  runbook.name = "restart-web";
  runbook.parameters = {{"service", {"nginx", "php8.2-fpm", "a,b", "a"}}, {"only", {"one"}}};
  const struct {
    const char* name;
    std::vector<std::string> words;
    Chosen service;  // empty: refused
  } cases[] = {{"one", {"service=nginx"}, {"nginx"}},
               {"repeated", {"service=nginx", "service=php8.2-fpm"}, {"nginx", "php8.2-fpm"}},
               {"commas", {"service=nginx,php8.2-fpm"}, {"nginx", "php8.2-fpm"}},
               {"a listed value with a comma is itself", {"service=a,b"}, {"a,b"}},
               {"the same twice", {"service=nginx", "service=nginx"}, {"nginx"}},
               {"not listed", {"service=apache"}, {}},
               {"one of two not listed", {"service=nginx,apache"}, {}},
               {"empty part", {"service=nginx,"}, {}},
               {"no value", {"service"}, {}},
               {"unknown parameter", {"service=nginx", "host=x"}, {}},
               {"missing", {}, {}}};
  int wrong = 0;
  for (const auto& c : cases) {
    const auto chosen = choose_parameters(runbook, c.words);
    const bool good = c.service.empty()
                          ? !chosen.has_value()
                          : chosen && chosen->at("service") == c.service && chosen->at("only") == Chosen{"one"};
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

// A request for restart-web on web-3, at noon on a Monday.
int wrong_outlook() {
  const Scene scene;
  const Policy& policy = signing_policy();
  Hosts hosts{true,
              {HostIdentity{"db-1", {{"env", "prod"}}}, HostIdentity{"web-3", {{"env", "prod"}, {"role", "web"}}}}};
  int wrong = 0;
  const Outlook good = look_ahead(policy, scene.request, Presence::verified, hosts, scene.zones, kNoon);
  wrong += wrong_if(good.best() == nullptr, "some rule admits");
  wrong += wrong_if(good.matched.size() != 1 || good.matched[0]->name != "web-3", "web-3 is meant");
  for (const RuleOutlook& r : good.rules) {
    wrong += wrong_if(std::count(r.approvers.begin(), r.approvers.end(), "alice") != 0, "nobody approves their own");
  }
  Request elsewhere = scene.request;
  elsewhere.targets = {Selector::parse("env=test").value()};
  wrong += wrong_if(look_ahead(policy, elsewhere, Presence::verified, hosts, scene.zones, kNoon).best() != nullptr,
                    "no rule is for env=test");
  Request nobody = scene.request;
  nobody.subject = "chloe";
  wrong += wrong_if(!look_ahead(policy, nobody, Presence::verified, hosts, scene.zones, kNoon).rules.empty(),
                    "chloe may not ask");
  return wrong;
}

// Without gates, a rule holds within its hours only.
int wrong_hours() {
  Scene scene;
  scene.add_rule("hours = [\"Mon-Fri 07:00-19:00 UTC\"]");
  const auto policy = parsed(scene.policy_text);
  const auto self_service = [&](UnixTime now) {
    const Outlook outlook = look_ahead(*policy, scene.request, Presence::verified, {}, scene.zones, now);
    for (const RuleOutlook& r : outlook.rules) {
      if (r.self_service() && !r.rule->hours.empty()) return r.obstacle.empty();
    }
    return false;
  };
  return wrong_if(!self_service(kNoon), "noon on Monday") +
         wrong_if(self_service(kNoon + Seconds{12 * 3600}), "midnight");
}

void test_parameters(void**) {
  assert_int_equal(wrong_parameters(), 0);
}
void test_outlook(void**) {
  assert_int_equal(wrong_outlook(), 0);
}
void test_hours(void**) {
  assert_int_equal(wrong_hours(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_parameters), cmocka_unit_test(test_outlook),
                              cmocka_unit_test(test_hours)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
