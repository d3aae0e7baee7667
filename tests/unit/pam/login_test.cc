#include "pam/login.h"

#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

constexpr char kStranger[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC";
constexpr bool kSession = true, kAccount = false;

struct Case {
  const char* name;
  const char* account;
  std::vector<std::string> keys;
  const char* offered;  // nullptr: none
  bool session;
  long long now;
  const char* why;    // "admitted", or why not
  const char* words;  // part of what the person reads
};

// alice: on alice and deploy while 1000 <= t < 2000; bob: on deploy while 1000 <= t < 1500.
const Case kCases[] = {
    {"the first second",
     "alice",
     {kAliceKey},
     nullptr,
     kSession,
     1000,
     "admitted",
     "alice may use web-3 as alice until "},
    {"the last second",
     "alice",
     {kAliceKey},
     nullptr,
     kSession,
     1999,
     "admitted",
     "(1s left), grant k7m3-9x2d-q4fh (restart-web)"},
    {"the second of expiry",
     "alice",
     {kAliceKey},
     nullptr,
     kSession,
     2000,
     "pending",
     "waits for 1 approval of sre-leads"},
    {"the second before the start", "alice", {kAliceKey}, nullptr, kSession, 999, "pending", "is not active yet"},
    {"on a shared account, by key",
     "deploy",
     {kAliceKey},
     nullptr,
     kSession,
     1700,
     "admitted",
     "alice may use web-3 as deploy"},
    {"one's own grant, not a colleague's", "deploy", {kBobKey}, nullptr, kSession, 1700, "ended", "ended 3m ago"},
    {"what to type",
     "deploy",
     {kBobKey},
     nullptr,
     kSession,
     1700,
     "ended",
     "hallpass request deploy-web --target host=web-3 --reason"},
    {"both in their windows", "deploy", {kBobKey}, nullptr, kSession, 1200, "admitted", "bob may use"},
    {"two keys of one person", "deploy", {kAliceKey, kAliceKey}, nullptr, kSession, 1200, "admitted", "alice"},
    {"keys of two people",
     "deploy",
     {kAliceKey, kBobKey},
     nullptr,
     kSession,
     1200,
     "keys_of_several_people",
     "different people"},
    {"keys of two people, the other way",
     "deploy",
     {kBobKey, kAliceKey},
     nullptr,
     kSession,
     1200,
     "keys_of_several_people",
     "different"},
    {"a known key and a stranger's",
     "deploy",
     {kAliceKey, kStranger},
     nullptr,
     kSession,
     1200,
     "unknown_key",
     "nobody's"},
    {"a stranger's key", "alice", {kStranger}, nullptr, kSession, 1200, "unknown_key", "the policy does not list it"},
    {"bob's key on alice's account", "alice", {kBobKey}, nullptr, kSession, 1200, "unknown_key", "nobody's for alice"},
    {"a key that begins like alice's",
     "alice",
     {std::string(kAliceKey, 60)},
     nullptr,
     kSession,
     1200,
     "unknown_key",
     "nobody's"},
    {"an account that nobody names", "root", {kAliceKey}, nullptr, kSession, 1200, "unknown_key", "nobody's for root"},
    {"no key, personal account with a grant", "alice", {}, nullptr, kSession, 1200, "admitted", "alice may use"},
    {"no key, personal account, ended", "alice", {}, nullptr, kSession, 2000, "pending", "alice's grant"},
    {"no key, shared account with grants",
     "deploy",
     {},
     nullptr,
     kSession,
     1200,
     "key_needed",
     "needs the key of a person"},
    {"no key, no such account", "nobody", {}, nullptr, kSession, 1200, "key_needed", "needs the key"},
    {"account phase: offered key, admitted", "deploy", {}, kAlicePrint, kAccount, 1700, "admitted", "alice may use"},
    {"account phase: offered key, ended",
     "deploy",
     {},
     kBobPrint,
     kAccount,
     1700,
     "ended",
     "bob's grant aaaa-bbbb-cccc"},
    {"account phase: nothing known, someone may", "deploy", {}, nullptr, kAccount, 1700, "admitted", ""},
    {"account phase: nothing known, nobody may", "deploy", {}, nullptr, kAccount, 2000, "key_needed", "needs the key"},
    {"account phase: proved keys count, not the offer",
     "deploy",
     {kAliceKey},
     kBobPrint,
     kAccount,
     1700,
     "admitted",
     "alice may use"},
};

Verdict decided(const SnapshotReader& store, const Case& c) {
  Login login;
  login.account = c.account;
  login.keys = c.keys;
  login.session = c.session;
  if (c.offered != nullptr) login.offered = c.offered;
  ClockReading clock;
  clock.wall = from_unix(c.now);
  return decide(store, clock, login);
}

int wrong_decisions() {
  const Store files(content());
  const auto store = files.open();
  if (!store) return 1;
  int wrong = 0;
  for (const auto& c : kCases) {
    const Verdict v = decided(*store, c);
    const bool admitted = v.decision == Verdict::Decision::admit;
    // Admitted: the account phase has told already, under which grant and until when; the row's words are its.
    const bool told = admitted && c.session;
    const bool words = told ? v.words.empty() : v.words.find(c.words) != std::string::npos;
    wrong += wrong_if(v.why != c.why || admitted != (v.why == "admitted") || !words, c.name);
    if (admitted && c.session) wrong += wrong_if(v.left != v.end - from_unix(c.now) || v.left.count() < 1, c.name);
    // What the session phase admits, the account phase must not have refused: by the key itself, or by the account as a
    // whole.
    if (!admitted || !c.session) continue;
    Case earlier = c;
    earlier.session = kAccount;
    earlier.keys.clear();
    wrong += wrong_if(decided(*store, earlier).decision != Verdict::Decision::admit, c.name);
  }
  return wrong;
}

int wrong_union() {
  auto c = content();
  c.admissions.push_back(admission("alice", "alice", 1900, 5000, 9));   // overlaps the first
  c.admissions.push_back(admission("alice", "alice", 1000, 1100, 10));  // ended in between
  const Store files(c);
  const auto store = files.open();
  if (!store) return 1;
  const Case at_1950 = {"", "alice", {kAliceKey}, nullptr, kSession, 1950, "", ""};
  const Case at_2000 = {"", "alice", {kAliceKey}, nullptr, kSession, 2000, "", ""};
  const Case at_1100 = {"", "alice", {kAliceKey}, nullptr, kSession, 1100, "", ""};
  return wrong_if(decided(*store, at_1950).end != from_unix(5000), "the latest end of those that admit now") +
         wrong_if(decided(*store, at_2000).decision != Verdict::Decision::admit, "one ending does not end the other") +
         wrong_if(decided(*store, at_1100).end != from_unix(2000), "what begins later does not count yet");
}

int wrong_clock() {
  auto c = content();
  c.meta.floor.wall = from_unix(2500);
  const Store floored(c);
  c.meta.floor.wall = from_unix(0);
  c.meta.strict_clock = true;
  const Store strict(c);
  const auto one = floored.open(), two = strict.open();
  if (!one || !two) return 1;
  const Case in_window = {"", "alice", {kAliceKey}, nullptr, kSession, 1200, "", ""};
  int wrong =
      wrong_if(decided(*one, in_window).decision == Verdict::Decision::admit, "a clock set back revives nothing");
  wrong += wrong_if(decided(*two, in_window).why != "clock_not_synchronised", "strict, not synchronised");
  Login login;
  login.account = "alice";
  login.session = true;
  ClockReading clock;
  clock.wall = from_unix(1200);
  clock.synchronised = true;
  return wrong + wrong_if(decide(*two, clock, login).decision != Verdict::Decision::admit, "strict, synchronised");
}

int wrong_events() {
  const Store files(content());
  const auto store = files.open();
  if (!store) return 1;
  const Case yes = {"", "deploy", {kAliceKey}, nullptr, kSession, 1200, "", ""};
  const Case no = {"", "deploy", {kBobKey}, nullptr, kSession, 1700, "", ""};
  const std::string admitted =
      login_event(Event::login_admitted, "deploy", "10.0.0.1", decided(*store, yes)).datagram();
  int wrong = 0;
  for (const char* line :
       {"HALLPASS_EVENT=login_admitted\n", "HALLPASS_SUBJECT=alice\n", "HALLPASS_ACCOUNT=deploy\n",
        "HALLPASS_GRANT=k7m3-9x2d-q4fh\n", "HALLPASS_RUNBOOK=restart-web\n", "HALLPASS_REASON=502s on checkout\n",
        "HALLPASS_TICKET=INC-2031\n", "HALLPASS_APPROVERS=bob\nHALLPASS_APPROVERS=ana\n", "HALLPASS_DECISION=admit\n",
        "HALLPASS_RHOST=10.0.0.1\n", "HALLPASS_EXPIRES=1970-01-01T00:33:20Z\n", "HALLPASS_KEY=SHA256:vW11"}) {
    wrong += wrong_if(admitted.find(line) == std::string::npos, line);
  }
  const std::string refused = login_event(Event::login_refused, "deploy", "", decided(*store, no)).datagram();
  for (const char* line : {"HALLPASS_DECISION=deny\n", "HALLPASS_WHY=ended\n", "HALLPASS_SUBJECT=bob\n"}) {
    wrong += wrong_if(refused.find(line) == std::string::npos, line);
  }
  wrong += wrong_if(refused.find("EXPIRES") != std::string::npos, "nothing expires");
  wrong += wrong_if((admitted + refused).find("PUBLIC_KEY") != std::string::npos, "a key that is known by its owner");
  const Case stranger = {"", "deploy", {kAliceKey, kStranger}, nullptr, kSession, 1200, "", ""};
  const std::string unknown = login_event(Event::login_refused, "deploy", "", decided(*store, stranger)).datagram();
  const std::string line = std::string("HALLPASS_PUBLIC_KEY=") + kStranger + "\n";
  return wrong + wrong_if(unknown.find(line) == std::string::npos, "a key that nobody is known by");
}

void test_decisions(void**) {
  assert_int_equal(wrong_decisions(), 0);
}
void test_union(void**) {
  assert_int_equal(wrong_union(), 0);
}
void test_clock(void**) {
  assert_int_equal(wrong_clock(), 0);
}
void test_events(void**) {
  assert_int_equal(wrong_events(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_decisions), cmocka_unit_test(test_union),
                              cmocka_unit_test(test_clock), cmocka_unit_test(test_events)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
