// Whose keys are published for which account.
#include "agent/content.h"

#include "tests/unit/agent/fixture.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

std::vector<std::string> places(const std::vector<AccountKey>& keys) {
  std::vector<std::string> out;
  for (const AccountKey& k : keys) out.push_back(k.account + ":" + k.subject + (k.personal ? "!" : ""));
  std::sort(out.begin(), out.end());
  return out;
}

int wrong_keys() {
  std::vector<Diagnostic> ignored;
  const auto policy = parse_policy(TestFleet{}.policy(), ignored);
  const HostIdentity host{"web-3", {{"env", "prod"}}};
  const Access access = access_of(*policy, host);
  const std::vector<std::string> usual = {"alice:alice!", "deploy:alice", "deploy:bob", "deploy:carol"};
  std::vector<std::string> all = usual;
  for (const char* name : {"alice", "bob", "carol", "ana", "ben"}) all.push_back("hallpass-drop:" + std::string(name));
  std::sort(all.begin(), all.end());
  std::vector<std::string> without_bob = all;
  std::erase_if(without_bob, [](const std::string& s) { return s.ends_with(":bob"); });
  return wrong_if(places(account_keys(*policy, access, {}, false)) != usual, "who may ask") +
         wrong_if(places(account_keys(*policy, access, {}, true)) != all, "everyone may hand in") +
         wrong_if(places(account_keys(*policy, access, {TestFleet::key("bob").fingerprint()}, true)) != without_bob,
                  "but not with a voided key");
}
void test_keys(void**) {
  assert_int_equal(wrong_keys(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_keys)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
