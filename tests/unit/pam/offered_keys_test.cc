#include "pam/offered_keys.h"

#include "pam/why_words.h"
#include "tests/unit/host/snapshot_fixture.h"

// Last: it defines words as macros that standard headers use.
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;        // NOLINT(google-build-using-namespace)
using namespace hallpass::test;  // NOLINT(google-build-using-namespace)

const std::string kAliceBlob = std::string(kAliceKey).substr(12);

struct Bad {
  const char* name;
  std::vector<std::string> arguments;
};

const Bad kBad[] = {
    {"none", {}},
    {"no account", {""}},
    {"only the mode", {"--mode=observe"}},
    {"an option", {"--help"}},
    {"a space in the account", {"al ice"}},
    {"a newline in the account", {"alice\nroot"}},
    {"a slash in the account", {"../alice"}},
    {"a short fingerprint", {"alice", "SHA256:abc"}},
    {"an MD5 fingerprint", {"alice", "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"}},
    {"a type without a key", {"alice", kAlicePrint, "ssh-ed25519"}},
    {"a quote in the key", {"alice", kAlicePrint, "ssh-ed25519", "AAAA\""}},
    {"a space in the type", {"alice", kAlicePrint, "ssh ed25519", "AAAA"}},
    {"too many", {"alice", kAlicePrint, "ssh-ed25519", "AAAA", "x"}},
};

int wrong_arguments() {
  int wrong = 0;
  for (const auto& c : kBad) wrong += wrong_if(parse_keys_query(c.arguments).has_value(), c.name);
  const auto good = parse_keys_query({"--mode=observe", "alice", kAlicePrint, "ssh-ed25519", kAliceBlob});
  return wrong + wrong_if(!good || !good->observe || good->account != "alice" || good->line != kAliceKey, "a good one");
}

struct Case {
  const char* name;
  std::vector<std::string> arguments;
  long long now;
  std::string lines;
  bool record;
};

int wrong_answers() {
  const std::string alice = std::string(kAliceKey) + "\n", bob = std::string(kBobKey) + "\n";
  const std::string shut_bob =
      "restrict,command=\"/usr/libexec/hallpass/why state=ended id=aaaa-bbbb-cccc host=web-3 subject=bob "
      "account=deploy at=1500 "
      "runbooks=deploy-web,restart-web\" " +
      bob;
  const std::string shut_alice =
      "restrict,command=\"/usr/libexec/hallpass/why state=pending id=k7m3-9x2d-q4fh host=web-3 subject=alice "
      "account=alice "
      "runbooks=restart-web detail=waits:for:1:approval:of:sre-leads\" " +
      alice;
  const std::string drop_bob = "restrict,command=\"/usr/libexec/hallpass/drop\" " + bob;
  const std::string drop_alice = "restrict,command=\"/usr/libexec/hallpass/drop\" " + alice;
  const Case cases[] = {
      {"the key offered, admitted", {"alice", kAlicePrint, "ssh-ed25519", kAliceBlob}, 1200, alice, true},
      {"the key offered, not admitted", {"alice", kAlicePrint, "ssh-ed25519", kAliceBlob}, 2000, shut_alice, true},
      {"by fingerprint alone", {"alice", kAlicePrint}, 1200, alice, true},
      {"fingerprint of one, key of another",
       {"alice", kAlicePrint, "ssh-ed25519", std::string(kBobKey).substr(12)},
       1200,
       "",
       false},
      {"a key nobody enrolled here", {"alice", kBobPrint}, 1200, "", false},
      {"an account nobody names", {"root", kAlicePrint}, 1200, "", false},
      {"in a certificate", {"alice", kAlicePrint, "ssh-ed25519-cert-v01@openssh.com", kAliceBlob}, 1200, "", false},
      {"shared account, both admitted",
       {"deploy"},
       1200,
       "no-agent-forwarding " + bob + "no-agent-forwarding " + alice,
       false},
      {"shared account, one ended", {"deploy"}, 1700, shut_bob + "no-agent-forwarding " + alice, false},
      {"observing", {"--mode=observe", "alice", kAlicePrint}, 1200, "", false},
      {"the account that takes grants", {"hallpass-drop", kBobPrint}, 1200, drop_bob, false},
      {"there even a grant opens nothing else", {"hallpass-drop", kAlicePrint}, 1200, drop_alice, false},
  };
  auto with_drop = content();
  with_drop.keys.push_back({"hallpass-drop", kAlicePrint, "alice", kAliceKey, false});
  with_drop.keys.push_back({"hallpass-drop", kBobPrint, "bob", kBobKey, false});
  with_drop.admissions.push_back(admission("hallpass-drop", "alice", 1000, 2000));
  const Store files(with_drop);
  const auto store = files.open();
  if (!store) return 1;
  int wrong = 0;
  for (const auto& c : cases) {
    const auto query = parse_keys_query(c.arguments);
    ClockReading clock;
    clock.wall = from_unix(c.now);
    const KeysAnswer answer = query ? answer_keys(*store, clock, *query) : KeysAnswer{"bad query", true};
    wrong += wrong_if(answer.lines != c.lines || answer.record != c.record, c.name);
  }
  return wrong;
}

// Whatever a snapshot says, nothing in a forced command needs quoting.
int wrong_escapes() {
  auto c = content();
  c.waiting = {{"alice", "alice", "denied", "k7m3\" ; rm", "said \"no\" $(x) `y`\n", {}, {"a b", "$c"}}};
  c.keys.push_back({"alice", kBobPrint, "alice", "ssh-ed25519 AAAA\ncommand=\"x\" ssh-ed25519 AAAA", true});
  c.admissions.clear();
  const Store files(c);
  const auto store = files.open();
  const auto query = parse_keys_query({"alice"});
  if (!store || !query) return 1;
  const std::string lines = answer_keys(*store, ClockReading{}, *query).lines;
  return wrong_if(
      lines != "restrict,command=\"/usr/libexec/hallpass/why state=denied host=web-3 subject=alice account=alice\" " +
                   std::string(kAliceKey) + "\n",
      "what is not safe is left out");
}

int wrong_reasons() {
  const UnixTime now = from_unix(1700);
  int wrong = 0;
  const std::string ended = why_sentence(
      {"state=ended", "id=aaaa-bbbb-cccc", "host=web-3", "subject=bob", "account=deploy", "at=1500", "runbooks=a,b"},
      now);
  wrong += wrong_if(ended.find("hallpass: bob's grant aaaa-bbbb-cccc for web-3 as deploy ended 3m ago") != 0, "ended");
  wrong += wrong_if(ended.find("hallpass request a --target host=web-3") == std::string::npos, "what to type");
  const std::string pending =
      why_sentence({"state=pending", "id=x", "host=h", "subject=s", "account=a", "detail=waits:for:1"}, now);
  wrong += wrong_if(pending.find("waits for 1") == std::string::npos, "a sentence comes through");
  for (const auto& words :
       std::vector<std::vector<std::string>>{{},
                                             {"x"},
                                             {"state=open", "host=h", "subject=s", "account=a"},
                                             {"state=ended"},
                                             {"state=none", "host=h\x1b[2J", "subject=s", "account=a"}}) {
    wrong += wrong_if(
        why_sentence(words, now) != "hallpass: there is no grant for this login. Ask for one: hallpass request --help",
        "general");
  }
  return wrong;
}

void test_arguments(void**) {
  assert_int_equal(wrong_arguments(), 0);
}
void test_answers(void**) {
  assert_int_equal(wrong_answers(), 0);
}
void test_escapes(void**) {
  assert_int_equal(wrong_escapes(), 0);
}
void test_reasons(void**) {
  assert_int_equal(wrong_reasons(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_arguments), cmocka_unit_test(test_answers),
                              cmocka_unit_test(test_escapes), cmocka_unit_test(test_reasons)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
