// Which source is asked next, what is said of those that fail, and which policies are fetched.
#include "agent/fetch/rota.h"

#include <algorithm>

#include "agent/fetch/agent_view.h"
#include "agent/fetch/policy_keeper.h"
#include "agent/fetch/report.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)
using std::chrono::seconds;

const Moment kStart = Moment{} + seconds{1000};

Rota rota_of(std::size_t sources, double chance = 0.0) {
  return Rota(sources, [chance] { return chance; });
}

int wrong_order() {
  Rota rota = rota_of(3);
  int wrong = wrong_if(rota.next(kStart) != 0u, "the first");
  rota.failed(0, kStart);
  wrong += wrong_if(rota.next(kStart) != 1u, "the second at once");
  rota.failed(1, kStart);
  wrong += wrong_if(rota.next(kStart) != 2u, "the third at once");
  rota.succeeded(2);
  wrong += wrong_if(rota.next(kStart + seconds{2}) != 2u, "the one that works, though the first may be asked again");
  wrong += wrong_if(rota.next(kStart + seconds{29}) != 2u, "still");
  wrong += wrong_if(rota.next(kStart + seconds{30}) != 0u, "back to the first after a while");
  rota.succeeded(0);
  wrong += wrong_if(rota.next(kStart + seconds{31}) != 0u, "which works again");
  return wrong;
}

int wrong_pauses() {
  Rota rota = rota_of(1);
  int wrong = 0;
  Moment now = kStart;
  const int pauses[] = {1, 2, 4, 8, 15, 15};
  for (const int pause : pauses) {
    rota.failed(0, now);
    wrong += wrong_if(rota.when() != now + seconds{pause}, "doubles, up to 15 s while none works");
    wrong += wrong_if(rota.next(now + seconds{pause} - std::chrono::milliseconds{1}).has_value(), "not before");
    now += seconds{pause};
    wrong += wrong_if(rota.next(now) != 0u, "then");
  }
  rota.succeeded(0);
  rota.failed(0, now);
  wrong += wrong_if(rota.when() != now + seconds{1}, "from the beginning after a success");
  Rota two = rota_of(2);
  two.succeeded(1);
  for (const int pause : {1, 2, 4, 8, 16, 32, 60, 60}) {
    two.failed(0, now);
    const Moment again = now + std::max(seconds{pause}, Rota::kAway);
    wrong += wrong_if(two.next(again - std::chrono::milliseconds{1}) != 1u, "up to a minute while another works");
    wrong += wrong_if(two.next(again) != 0u, "then it gets its chance");
    now = again;
  }
  Rota jitter = rota_of(1, 1.0);
  jitter.failed(0, kStart);
  wrong += wrong_if(jitter.when() != kStart + std::chrono::milliseconds{500}, "half of it at least");
  return wrong;
}

int wrong_reports() {
  std::vector<std::string> said;
  FetchReport report([&](int, const std::string& text) { said.push_back(text); });
  const UnixTime now = from_unix(1'800'000'000);
  int wrong = 0;
  report.fault("https://a", "missing: x", "https://b", now);
  report.fault("https://a", "missing: x", "https://b", now + Seconds{599});
  wrong += wrong_if(said.size() != 1, "a fault is told once");
  report.fault("https://a", "missing: x", "", now + Seconds{600});
  report.fault("https://a", "missing: y", "", now + Seconds{601});
  wrong += wrong_if(!report.take_news() || report.take_news(), "news once");
  wrong += wrong_if(said.size() != 3, "and again after ten minutes, or when it is another");
  report.success("https://b", true, 7, now, true, now + Seconds{602});
  report.success("https://b", true, 7, now, false, now + Seconds{603});
  wrong += wrong_if(said.size() != 4, "a change of source is told once");
  wrong += wrong_if(said[0].find("https://a: missing: x; trying https://b") == std::string::npos, "in words");
  wrong +=
      wrong_if(report.json(7).find("missing: y") == std::string::npos, "the last fault stays while its URL has it");
  report.fault("https://b", "forged \x1b[31m line\nand another", "", now + Seconds{604});
  wrong += wrong_if(said.back().find_first_of("\x1b\n") != std::string::npos, "nothing from outside as it came");
  report.success("https://a", true, 8, std::nullopt, true, now + Seconds{605});
  report.success("https://b", true, 8, std::nullopt, true, now + Seconds{606});
  wrong += wrong_if(report.json(7).find("\"fault\":null") == std::string::npos, "no fault any more");
  return wrong;
}

std::string versions(const std::vector<PolicyHint>& hints) {
  std::string out;
  for (const PolicyHint& hint : hints) out += std::to_string(hint.version) + " ";
  return out;
}

int wrong_policies() {
  struct Case {
    const char* name;
    std::set<std::int64_t> have;
    std::int64_t in_force;
    bool waits;
    const char* needed;
  };
  const Case cases[] = {
      {"a host without any gets the newest", {}, 0, false, "9 "},
      {"and waits", {9}, 0, false, ""},
      {"the others, if that one does not come into force", {9}, 0, true, "4 5 7 "},
      {"those above the one in force", {}, 5, false, "7 9 "},
      {"which it may have", {7}, 5, false, "9 "},
      {"nothing", {}, 9, false, ""},
      {"nothing, for a host that is ahead", {}, 12, true, ""},
  };
  std::vector<PolicyHint> all;
  for (const std::int64_t v : {4, 5, 7, 9}) all.push_back({v, {}, 0});
  int wrong = wrong_if(!policies_needed({}, {}, 0, true).empty(), "an empty list");
  for (const Case& c : cases)
    wrong += wrong_if(versions(policies_needed(all, c.have, c.in_force, c.waits)) != c.needed, c.name);
  std::vector<PolicyHint> many;
  for (std::int64_t v = 1; v <= 5000; ++v) many.push_back({v, {}, 0});
  const auto needed = policies_needed(many, {}, 1, true);
  wrong += wrong_if(needed.size() != 1000 || needed.back().version != 5000, "no more than an agent reads");
  return wrong;
}

int wrong_views() {
  const std::string root(64, 'a');
  const AgentView both =
      parse_agent_status(R"({"policy":{"version":7},"log":{"size":12,"root":"sha256:)" + root + R"("}})");
  int wrong = wrong_if(both.policy != 7 || both.log_size != 12 || both.log_root.bytes[0] != 0xaa, "policy and log");
  for (const char* text : {"", "{}", "[]", "{\"policy\":null,\"log\":null}", "{\"policy\":{\"version\":-3}}",
                           "{\"policy\":{\"version\":\"7\"},\"log\":{\"size\":3,\"root\":7}}",
                           "{\"log\":{\"size\":3,\"root\":\"sha256:zz\"}}"}) {
    wrong += wrong_if(!(parse_agent_status(text) == AgentView{}), text);
  }
  return wrong;
}

void test_order(void**) {
  assert_int_equal(wrong_order(), 0);
}
void test_pauses(void**) {
  assert_int_equal(wrong_pauses(), 0);
}
void test_reports(void**) {
  assert_int_equal(wrong_reports(), 0);
}
void test_policies(void**) {
  assert_int_equal(wrong_policies(), 0);
}
void test_views(void**) {
  assert_int_equal(wrong_views(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_pauses),
                              cmocka_unit_test(test_reports), cmocka_unit_test(test_policies),
                              cmocka_unit_test(test_views)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
