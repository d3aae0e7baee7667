#include "core/policy_trust.h"

#include <cstdio>

#include "core/hash.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/core/policy_fixture.h"

namespace {

using namespace hallpass;
using namespace hallpass::testing;

// One signature to be: whose key, and what is odd about it.
struct Sig {
  TestKey key;
  unsigned char flags = kTouched;
  std::string_view name_space = kPolicyNamespace;
  std::string_view hash = "sha512";
  const char* message = nullptr;  // signs this instead
};

const TestKey kAna = TestKey::security("ana");
const TestKey kBen = TestKey::plain("ben");
const TestKey kChloe = TestKey::security("chloe");
const TestKey kBob = TestKey::security("bob");

std::string envelope(const std::string& payload, const std::vector<Sig>& sigs,
                     std::string_view type = kPolicyPayloadType) {
  std::string list;
  for (const Sig& sig : sigs) {
    const std::string message = sig.message != nullptr ? sig.message : dsse_message(type, payload);
    const Bytes blob = sig.key.sign(sig.name_space, as_bytes(message), sig.flags, sig.hash);
    list += (list.empty() ? "" : ",") + std::string(R"({"keyid":")") + sig.key.fingerprint() + R"(","sig":")" +
            base64_encode(blob) + "\"}";
  }
  return R"({"payload":")" + base64_encode(as_bytes(payload)) + R"(","payloadType":")" + std::string(type) +
         R"(","signatures":[)" + list + "]}";
}

std::string sign(const Policy& policy, const std::vector<Sig>& sigs) {
  return envelope(policy_payload(policy.fleet, policy.version, policy.digest), sigs);
}

std::string joined(const Result<std::set<std::string>>& names) {
  if (!names) return "error " + std::to_string(static_cast<int>(names.error().code)) + ": " + names.error().message;
  std::string text;
  for (const std::string& name : *names) text += (text.empty() ? "" : ",") + name;
  return text;
}

struct SignersCase {
  const char* name;
  std::vector<Sig> sigs;
  const char* expected;
  bool void_ben = false;
};

int wrong_signers() {
  const auto policy = must_parse(policy_text("[\"KEY:ben laptop\"]", "[\"KEY:ben laptop\", \"KEY:bens\"]"));
  const SignersCase cases[] = {
      {"one", {{kAna}}, "ana"},
      {"two", {{kAna}, {kBen}}, "ana,ben"},
      {"the same key twice is one", {{kAna}, {kAna}}, "ana"},
      {"two keys of one person are one", {{kBen}, {TestKey::plain("bens")}}, "ben"},
      {"a person who is no admin", {{kBob}, {kAna}}, "ana"},
      {"a stranger", {{TestKey::plain("stranger")}, {kAna}}, "ana"},
      {"a voided key", {{kBen}, {kAna}}, "ana", true},
      {"the other key of who has one voided", {{TestKey::plain("bens")}}, "ben", true},
      {"a security key without touch", {{kAna, 0}, {kBen}}, "ben"},
      {"verified is touched", {{kAna, kVerified}}, "ana"},
      {"another namespace", {{kAna, kTouched, "request@hallpass"}, {kBen}}, "ben"},
      {"another hash", {{kAna, kTouched, kPolicyNamespace, "sha256"}, {kBen}}, "ben"},
      {"another message", {{kAna, kTouched, kPolicyNamespace, "sha512", "x"}, {kBen}}, "ben"},
  };
  int wrong = 0;
  for (const SignersCase& c : cases) {
    const std::set<std::string> voided =
        c.void_ben ? std::set<std::string>{kBen.fingerprint()} : std::set<std::string>{};
    const std::string got = joined(policy_signers(*policy, sign(*policy, c.sigs), admins_of(*policy), voided));
    wrong += wrong_if(got != c.expected, c.name);
    if (got != c.expected) std::fprintf(stderr, "  got: %s\n", got.c_str());
  }
  return wrong;
}

void test_signers(void**) {
  assert_int_equal(wrong_signers(), 0);
}

struct PayloadCase {
  const char* name;
  std::string payload;
  Errc code;
};

int wrong_payloads() {
  const auto policy = must_parse(policy_text());
  const std::string hex = hex_encode(policy->digest.bytes);
  const std::string good = policy_payload(policy->fleet, policy->version, policy->digest);
  const PayloadCase cases[] = {
      {"another fleet", policy_payload("other", 7, policy->digest), Errc::mismatch},
      {"another version", policy_payload("acme-prod", 8, policy->digest), Errc::mismatch},
      {"another file", policy_payload("acme-prod", 7, sha256("x")), Errc::mismatch},
      {"another tag", replace_all(good, "policy/1", "policy/2"), Errc::unsupported},
      {"an unknown member", replace_all(good, "{", "{\"x\":1,"), Errc::malformed},
      {"a repeated member", replace_all(good, "{", "{\"version\":7,"), Errc::malformed},
      {"a missing member", replace_all(good, "\"version\":7,", ""), Errc::malformed},
      {"version as text", replace_all(good, ":7", ":\"7\""), Errc::malformed},
      {"version 0", replace_all(good, ":7", ":0"), Errc::malformed},
      {"digest with prefix", replace_all(good, hex, "sha256:" + hex), Errc::malformed},
      {"digest cut", replace_all(good, hex, hex.substr(2)), Errc::malformed},
      {"not an object", "[]", Errc::malformed},
      {"bytes after it", good + " x", Errc::malformed},
  };
  int wrong = wrong_if(good != R"({"hallpass":"policy/1","fleet":"acme-prod","version":7,"sha256":")" + hex + "\"}",
                       "policy_payload");
  for (const PayloadCase& c : cases) {
    const auto got = policy_signers(*policy, envelope(c.payload, {{kAna}, {kBen}}), admins_of(*policy), {});
    wrong += wrong_if(got || got.error().code != c.code, c.name);
    if (got || got.error().code != c.code) std::fprintf(stderr, "  got: %s\n", joined(got).c_str());
  }
  const auto type = policy_signers(*policy, envelope(good, {{kAna}}, "application/vnd.hallpass.request.v1+json"),
                                   admins_of(*policy), {});
  wrong += wrong_if(type || type.error().code != Errc::mismatch, "another payload type");
  const auto text = policy_signers(*policy, "{}", admins_of(*policy), {});
  wrong += wrong_if(text || text.error().code != Errc::malformed, "not an envelope");
  return wrong;
}

void test_payloads(void**) {
  assert_int_equal(wrong_payloads(), 0);
}

// Each signature test also flips bits and cuts: none may verify.
int wrong_damage() {
  const auto policy = must_parse(policy_text());
  const std::string message = dsse_message(kPolicyPayloadType, policy_payload("acme-prod", 7, policy->digest));
  int wrong = 0;
  for (const TestKey& key : {kAna, kBen}) {
    const Bytes whole = key.sign(kPolicyNamespace, as_bytes(message), kTouched);
    for (std::size_t i = 0; i < whole.size() * 8 + 2; ++i) {
      Bytes blob = whole;
      if (i < whole.size() * 8) {
        blob[i / 8] = static_cast<std::uint8_t>(blob[i / 8] ^ (1U << (i % 8)));
      } else if (i == whole.size() * 8) {
        blob.pop_back();
      } else {
        blob.push_back(0);
      }
      const std::string sig =
          envelope_line(kPolicyPayloadType, policy_payload("acme-prod", 7, policy->digest), "", blob);
      const auto got = policy_signers(*policy, sig, admins_of(*policy), {});
      wrong += wrong_if(!got || !got->empty(), ("damage at bit " + std::to_string(i)).c_str());
    }
  }
  return wrong;
}

void test_damage(void**) {
  assert_int_equal(wrong_damage(), 0);
}

// What a next policy changes against the fixture, who signs it, and what comes of it under the fixture's admins.
struct AcceptCase {
  const char* name;
  const char* from;
  const char* to;
  std::vector<Sig> sigs;
  const char* expected;  // "" or how the error begins
  Errc code = Errc::untrusted;
  std::int64_t least = 7;
  const char* fleet = "acme-prod";
};

int wrong_accepted() {
  const TestKey bens = TestKey::plain("bens");
  const char* const kTwo = "people    = [\"ana\", \"ben\", \"chloe\"]";
  const AcceptCase cases[] = {
      {"a threshold", "alert      = true", "alert = false", {{kAna}, {kBen}}, ""},
      {"all", "", "", {{kAna}, {kBen}, {kChloe}}, ""},
      {"too few",
       "",
       "",
       {{kAna}},
       "policy version 7 is signed by ana of the trusted admins; 1 more must sign (ben, chloe): hallpass policy sign"},
      {"nobody",
       "",
       "",
       {{kBob}},
       "policy version 7 is signed by none of the trusted admins; 2 more must sign (ana, ben, chloe)"},
      {"one admin twice", "", "", {{kBen}, {kBen}}, "policy version 7 is signed by ben of the trusted"},
      {"without touch", "", "", {{kAna, 0}, {kBen}}, "policy version 7 is signed by ben of the trusted"},
      {"a newer version", "version     = 7", "version = 9", {{kAna}, {kBen}}, ""},
      {"an older version",
       "",
       "",
       {{kAna}, {kBen}},
       "policy version 7 is older than 8, and versions only go up",
       Errc::mismatch,
       8},
      {"another fleet",
       "",
       "",
       {{kAna}, {kBen}},
       "the policy is for fleet \"acme-prod\", this host belongs to \"acme-dev\"",
       Errc::mismatch,
       7,
       "acme-dev"},
      {"a new admin, old threshold is also new", kTwo, "people = [\"ana\", \"ben\", \"bob\"]", {{kAna}, {kBen}}, ""},
      {"new admins, only the old sign",
       kTwo,
       "people = [\"ana\", \"bob\"]",
       {{kAna}, {kBen}},
       "policy version 7 is signed by ana of the new admins; 1 more must sign (bob)"},
      {"new admins, only the new sign",
       kTwo,
       "people = [\"ana\", \"bob\"]",
       {{kAna}, {kBob}},
       "policy version 7 is signed by ana of the trusted admins; 1 more must sign (ben, chloe)"},
      {"new admins, both sign", kTwo, "people = [\"ana\", \"bob\"]", {{kAna}, {kBen}, {kBob}}, ""},
      {"a higher threshold",
       "threshold = 2",
       "threshold = 3",
       {{kAna}, {kBen}},
       "policy version 7 is signed by ana, ben of the new admins; 1 more must sign (chloe)"},
      {"a lower threshold does not lower today's",
       "threshold = 2",
       "threshold = 1",
       {{kAna}},
       "policy version 7 is signed by ana of the trusted admins"},
      {"an admin's new key, signed with the old",
       "[\"KEY:ben laptop\"]",
       "[\"KEY:bens\"]",
       {{kAna}, {kBen}},
       "policy version 7 is signed by ana of the new admins; 1 more must sign (ben, chloe)"},
      {"an admin's new key, signed with both", "[\"KEY:ben laptop\"]", "[\"KEY:bens\"]", {{kAna}, {kBen}, {bens}}, ""},
      {"an admin's new key, signed with it alone",
       "[\"KEY:ben laptop\"]",
       "[\"KEY:bens\"]",
       {{kAna}, {bens}},
       "policy version 7 is signed by ana of the trusted admins; 1 more must sign (ben, chloe)"},
  };
  const Admins trusted = admins_of(*must_parse(policy_text()));
  int wrong = 0;
  for (const AcceptCase& c : cases) {
    const auto next = must_parse(policy_text(c.from, c.to));
    const Status got = accept_policy(*next, sign(*next, c.sigs), trusted, c.fleet, c.least, {});
    const std::string text = got ? "" : got.error().message;
    const std::string expected = c.expected;
    const bool bad =
        got.has_value() != expected.empty() || text.rfind(expected, 0) != 0 || (!got && got.error().code != c.code);
    wrong += wrong_if(bad, c.name);
    if (bad) std::fprintf(stderr, "  got: %s\n", text.c_str());
  }
  const auto next = must_parse(policy_text());
  const std::string sig = sign(*next, {{kAna}, {kBen}});
  wrong += wrong_if(accept_policy(*next, sig, Admins{}, "acme-prod", 1, {}).has_value(), "no admins at all");
  Admins zero = trusted;
  zero.threshold = 0;
  wrong += wrong_if(accept_policy(*next, sig, zero, "acme-prod", 1, {}).has_value(), "a threshold of nothing");
  wrong += wrong_if(accept_policy(*next, sig, trusted, "acme-prod", 1, {kBen.fingerprint()}).has_value(),
                    "a voided key does not count");
  Policy other = *next;
  other.format = 2;
  wrong += wrong_if(accept_policy(other, sig, trusted, "acme-prod", 1, {}).has_value(), "another format");
  return wrong;
}

void test_accepted(void**) {
  assert_int_equal(wrong_accepted(), 0);
}

constexpr std::string_view kTrustText = R"(fleet = "acme-prod"
[admins]
threshold = 2
[admins.people]
ana = ["SKEY:ana key ring"]
ben = ["KEY:ben",
  "KEY:bens"]
)";

struct TrustCase {
  const char* name;
  const char* from;
  const char* to;
  const char* expected;
};
const TrustCase kTrust[] = {
    {"as it is", "", "", ""},
    {"fleet missing", "fleet = \"acme-prod\"", "",
     ":1: error: fleet is missing in trust.toml; write: fleet = \"acme-prod\"\n"},
    {"fleet not a name", "acme-prod", "Acme",
     ":1: error: fleet \"Acme\" is not a name; begin with a small letter, then small letters, digits, - and _ (at most "
     "32), such as \"acme-prod\"\n"},
    {"threshold missing", "threshold = 2", "", ":2: error: threshold is missing in [admins]; write: threshold = 2\n"},
    {"threshold 0", "threshold = 2", "threshold = 0",
     ":3: error: threshold = 0 in [admins] is out of range; write a whole number from 1 to 100\n"},
    {"threshold too high", "threshold = 2", "threshold = 3",
     ":3: error: threshold = 3 of 2 admins can never be met; write 2 or less, or add admins\n"},
    {"key twice", "KEY:bens", "KEY:ben", ":7: error: this key of ben is listed for ben already; list each key once\n"},
    {"key of two", "KEY:bens", "SKEY:ana",
     ":7: error: this key of ben is listed for ana already; list each key once\n"},
    {"not a key", "KEY:bens", "ssh-dss AAAA",
     ":7: error: a key of ben cannot be used: keys of type \"ssh-dss\" are not supported; use ssh-ed25519, "
     "ecdsa-sha2-nistp256, ssh-rsa or a FIDO key; "
     "copy the whole line of the .pub file: \"ssh-ed25519 AAAA... comment\"\n"},
    {"no keys", "[\"SKEY:ana key ring\"]", "[]",
     ":5: error: admin ana has no keys; write: ana = [\"ssh-ed25519 AAAA... ana\"]\n"},
    {"keys not a list", "[\"SKEY:ana key ring\"]", "\"SKEY:ana\"",
     ":5: error: ana in [admins.people] must be an array of strings, found a string; write: ana = [\"...\", "
     "\"...\"]\n"},
    {"not a name", "ana = ", "Ana = ",
     ":5: error: admin \"Ana\" is not a name; begin with a small letter or _, then small letters, digits, - and _, at "
     "most 32 characters\n"},
    {"unknown member", "threshold = 2", "threshold = 2\npeopel = 1",
     ":4: error: unknown member \"peopel\" in [admins]; write people\n"},
    {"unknown at the top", "fleet", "fleets = 1\nfleet",
     ":1: error: unknown member \"fleets\" in trust.toml; write fleet\n"},
    {"people not a table", "[admins.people]\n", "people = 5\n[x]\n",
     ":4: error: [admins.people] must be a table, found an integer; write a table: name = value, one a line\n"
     ":5: error: unknown member \"x\" in trust.toml; remove it, or write one of: fleet, admins, log\n"},
    {"syntax", "threshold = 2", "threshold 2",
     ":3: error: not valid TOML: Error while parsing key-value pair: expected '=', saw '2'\n"},
};

int wrong_trust() {
  int wrong = 0;
  for (const TrustCase& c : kTrust) {
    std::string text(kTrustText);
    const std::size_t at = text.find(c.from);
    demand(at != std::string::npos);
    text.replace(at, std::string(c.from).size(), c.to);
    std::vector<Diagnostic> found;
    const auto trust = parse_trust(with_keys(text), found);
    const std::string got = replace_all(all_diagnostics(found), "policy.toml", "");
    wrong += wrong_if(got != c.expected || trust.has_value() != got.empty(), c.name);
    if (got != c.expected) std::fprintf(stderr, "  got: %s", got.c_str());
  }
  std::vector<Diagnostic> found;
  const auto trust = parse_trust(with_keys(std::string(kTrustText)), found);
  wrong += wrong_if(!trust || trust->fleet != "acme-prod" || trust->admins.threshold != 2, "values");
  wrong += wrong_if(!trust || trust->admins.people.size() != 2 || trust->admins.people.at("ben").size() != 2, "keys");
  const auto policy = must_parse(policy_text());
  wrong +=
      wrong_if(!accept_policy(*policy, sign(*policy, {{kAna}, {kBen}}), trust->admins, trust->fleet, 1, {}).has_value(),
               "accepts a first policy");
  return wrong;
}

void test_trust(void**) {
  assert_int_equal(wrong_trust(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_signers), cmocka_unit_test(test_payloads),
                              cmocka_unit_test(test_damage), cmocka_unit_test(test_accepted),
                              cmocka_unit_test(test_trust)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
