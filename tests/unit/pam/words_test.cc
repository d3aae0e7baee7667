#include "pam/words.h"

#include <string>

#include "pam/why_words.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

struct Case {
  const char* name;
  const char* state;
  const char* detail;
  long long at;
  const char* said;    // by the module, after "alice's grant k7m3-9x2d-q4fh for web-3 as alice "
  const char* by_why;  // by `why`, which gets what is safe in a command line; nullptr: the same
};

// `now` is 1700: 00:28 UTC. A detail that names the state must not make it stand there twice.
const Case kCases[] = {
    {"revoked, with a reason", "revoked", "revoked by bob: done", 0, "was revoked by bob: done\n",
     "was revoked by bob\n"},
    {"revoked without one", "revoked", "revoked by bob", 0, "was revoked by bob\n", nullptr},
    {"revoked, nothing known", "revoked", "", 0, "was revoked\n", nullptr},
    {"denied", "denied", "denied by ana: not now", 0, "was denied by ana: not now\n", "was denied by ana\n"},
    {"over", "ended", "ended at 1970-01-01T00:25:00Z", 1500, "ended 3m ago (00:25 UTC)\n", nullptr},
    {"not approved in time", "ended", "was not approved in time: lacked 1 approval of sre", 0,
     "was not approved in time: lacked 1 approval of sre\n", "was not approved in time\n"},
    {"ended, nothing known", "ended", "", 0, "ended\n", nullptr},
    {"waits", "pending", "waits for 1 approval of sre", 0, "is not active yet: waits for 1 approval of sre\n", nullptr},
    {"starts later", "pending", "starts at 1970-01-01T00:30:00Z", 1800, "starts at 00:30 UTC (in 1m)", nullptr},
    {"void", "void", "the runbook login has changed since", 0, "is void: the runbook login has changed since\n",
     nullptr},
};

// The words that the forced command of a key hands to `why`.
std::vector<std::string> arguments(const std::string& line) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < line.size();) {
    const auto space = std::min(line.find(' ', at), line.size());
    out.push_back(line.substr(at, space - at));
    at = space + 1;
  }
  return out;
}

int wrong_refusals() {
  setenv("TZ", "UTC", 1);
  tzset();
  const UnixTime now = from_unix(1700);
  const std::string start = "hallpass: alice's grant k7m3-9x2d-q4fh for web-3 as alice ";
  int wrong = 0;
  for (const auto& c : kCases) {
    WaitingView w;
    w.account = "alice";
    w.subject = "alice";
    w.state = c.state;
    w.id = "k7m3-9x2d-q4fh";
    w.detail = c.detail;
    w.at = from_unix(c.at);
    const std::string said = waiting_words("web-3", w, now);
    const std::string by_why = why_sentence(arguments(why_words("web-3", w)), now);
    wrong += wrong_if(said.find(start + c.said) != 0, c.name);
    wrong += wrong_if(by_why.find(start + (c.by_why == nullptr ? c.said : c.by_why)) != 0, c.name);
  }
  return wrong;
}

void test_refusals(void**) {
  assert_int_equal(wrong_refusals(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
