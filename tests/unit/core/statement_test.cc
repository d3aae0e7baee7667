#include "core/statement.h"

#include <functional>
#include <string>

#include "core/hash.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/support/signing.h"

namespace hallpass {
namespace {

using testing::TestKey;

const std::string kDigest = "sha256:" + std::string(64, 'a');

// Members as in docs/formats.md, in its order: format_payload must give exactly these bytes back.
const std::string kRequest =
    R"({"hallpass":"request/1","fleet":"acme-prod","subject":"alice","runbook":"restart-web","runbook_digest":")" +
    kDigest +
    R"(","parameters":{"service":["nginx"]},"targets":["host=web-3"],"duration":1800,"reason":"502s on checkout",)"
    R"("ticket":"INC-2031","requested_at":"2026-11-21T10:00:00Z","respond_by":"2026-11-21T18:00:00Z","not_before":null,)"
    R"("nonce":"AAAAAAAAAAAAAAAAAAAAAA"})";
const std::string kDecision =
    R"({"hallpass":"decision/1","fleet":"acme-prod","request":")" + kDigest +
    R"(","by":"bob","decision":"approve","duration":900,"targets":null,"decided_at":"2026-11-21T10:05:00Z","comment":"ok"})";
const std::string kRevocation = R"({"hallpass":"revocation/1","fleet":"acme-prod","request":")" + kDigest +
                                R"(","by":"bob","revoked_at":"2026-11-21T10:05:00Z","reason":"done"})";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  testing::demand(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

std::string values_list(int count) {
  std::string list;
  for (int i = 0; i < count; ++i) list += (i == 0 ? "\"v" : ",\"v") + std::to_string(i) + "\"";
  return list;
}

// An edit of a good payload, and what must come of it: empty means accepted, else what the error must name.
struct Edit {
  const char* name;
  const std::string* base;
  std::string what;
  std::string with;
  Errc code;
  std::string named;
};

std::vector<Edit> good_edits() {
  return {
      {"a request", &kRequest, "acme", "acme", {}, ""},
      {"not_before", &kRequest, "\"not_before\":null", "\"not_before\":\"2026-11-22T10:00:00Z\"", {}, ""},
      {"no parameters", &kRequest, R"({"service":["nginx"]})", "{}", {}, ""},
      {"64 values", &kRequest, R"(["nginx"])", "[" + values_list(64) + "]", {}, ""},
      {"an empty ticket", &kRequest, "INC-2031", "", {}, ""},
      {"an empty reason", &kRequest, "502s on checkout", "", {}, ""},
      {"text of the longest", &kRequest, "502s on checkout", std::string(500, 'x'), {}, ""},
      {"text that needs escapes", &kRequest, "502s on checkout", R"(\"a\\b\")", {}, ""},
      {"text beyond ASCII", &kRequest, "502s on checkout", "Störung 支払", {}, ""},
      {"the shortest duration", &kRequest, "1800", "1", {}, ""},
      {"the longest duration", &kRequest, "1800", "604800", {}, ""},
      {"two targets", &kRequest, R"(["host=web-3"])", R"(["host=web-3","env=prod,role=db"])", {}, ""},
      {"a decision", &kDecision, "acme", "acme", {}, ""},
      {"a denial", &kDecision, "approve", "deny", {}, ""},
      {"a decision without duration", &kDecision, "900", "null", {}, ""},
      {"a decision with targets", &kDecision, "\"targets\":null", R"("targets":["host=web-3"])", {}, ""},
      {"an empty comment", &kDecision, "\"ok\"", "\"\"", {}, ""},
      {"a revocation", &kRevocation, "acme", "acme", {}, ""},
      {"a revocation of a subject", &kRevocation, "\"request\":\"" + kDigest + "\"", R"("subject":"alice")", {}, ""},
      {"a revocation of a key",
       &kRevocation,
       "\"request\":\"" + kDigest + "\"",
       R"("key":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")",
       {},
       ""},
  };
}

std::vector<Edit> bad_edits() {
  const auto bad = Errc::malformed;
  return {
      {"another version", &kRequest, "request/1", "request/2", Errc::unsupported, "request/2"},
      {"another kind", &kRequest, "request/1", "decision/1", Errc::mismatch, "decision/1"},
      {"no version", &kRequest, R"("hallpass":"request/1",)", "", bad, "hallpass"},
      {"a version that is a number", &kRequest, "\"request/1\"", "1", bad, "hallpass"},
      {"an unknown member", &kRequest, "\"nonce\"", "\"bonus\":1,\"nonce\"", bad, "bonus"},
      {"a repeated member", &kRequest, "\"nonce\"", "\"fleet\":\"acme-prod\",\"nonce\"", bad, "fleet"},
      {"a fleet that is no name", &kRequest, "acme-prod", "Acme", bad, "fleet"},
      {"a subject that is no name", &kRequest, "alice", "../alice", bad, "subject"},
      {"an empty runbook", &kRequest, "restart-web", "", bad, "runbook"},
      {"a digest in upper case", &kRequest, kDigest, "sha256:" + std::string(64, 'A'), bad, "runbook_digest"},
      {"a short digest", &kRequest, kDigest, "sha256:" + std::string(63, 'a'), bad, "runbook_digest"},
      {"parameters as a list", &kRequest, R"({"service":["nginx"]})", "[]", bad, "parameters"},
      {"a parameter that is no name", &kRequest, "service", "Service", bad, "parameters"},
      {"a parameter without values", &kRequest, R"(["nginx"])", "[]", bad, "service"},
      {"a parameter that is a string", &kRequest, R"(["nginx"])", "\"nginx\"", bad, "service"},
      {"an empty value", &kRequest, R"(["nginx"])", R"([""])", bad, "service"},
      {"a value that is a number", &kRequest, R"(["nginx"])", "[1]", bad, "service"},
      {"a value twice", &kRequest, R"(["nginx"])", R"(["nginx","nginx"])", bad, "service"},
      {"a value with a control character", &kRequest, R"(["nginx"])", R"(["ng\u001binx"])", bad, "service"},
      {"65 values", &kRequest, R"(["nginx"])", "[" + values_list(65) + "]", bad, "service"},
      {"no targets", &kRequest, R"(["host=web-3"])", "[]", bad, "targets"},
      {"targets null in a request", &kRequest, R"(["host=web-3"])", "null", bad, "targets"},
      {"a target that is no selector", &kRequest, "host=web-3", "host=*", bad, "targets"},
      {"a target that is a number", &kRequest, "\"host=web-3\"", "3", bad, "targets"},
      {"duration zero", &kRequest, "1800", "0", bad, "duration"},
      {"a negative duration", &kRequest, "1800", "-1800", bad, "duration"},
      {"over seven days", &kRequest, "1800", "604801", bad, "duration"},
      {"a duration as text", &kRequest, "1800", "\"1800\"", bad, "duration"},
      {"a fraction", &kRequest, "1800", "1800.5", bad, ""},
      {"an exponent", &kRequest, "1800", "18e2", bad, ""},
      {"a reason too long", &kRequest, "502s on checkout", std::string(501, 'x'), bad, "reason"},
      {"a reason with an escape sequence", &kRequest, "502s", "\\u001b[2J", bad, "reason"},
      {"a reason with a bidirectional override", &kRequest, "502s", "\\u202e", bad, "reason"},
      {"a reason with a line break", &kRequest, "502s", "\\n", bad, "reason"},
      {"no ticket", &kRequest, R"("ticket":"INC-2031",)", "", bad, "ticket"},
      {"a ticket null", &kRequest, "\"INC-2031\"", "null", bad, "ticket"},
      {"a time with an offset", &kRequest, "2026-11-21T10:00:00Z", "2026-11-21T10:00:00+01:00", bad, "requested_at"},
      {"no respond_by", &kRequest, R"("respond_by":"2026-11-21T18:00:00Z",)", "", bad, "respond_by"},
      {"no not_before", &kRequest, R"("not_before":null,)", "", bad, "not_before"},
      {"not_before as a number", &kRequest, "\"not_before\":null", "\"not_before\":0", bad, "not_before"},
      {"a short nonce", &kRequest, "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA", bad, "nonce"},
      {"a long nonce", &kRequest, "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", bad, "nonce"},
      {"a nonce in base64 of the other kind", &kRequest, "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA+A", bad,
       "nonce"},
      {"a nonce with stray bits", &kRequest, "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", bad, "nonce"},
      {"a third verdict", &kDecision, "approve", "approved", bad, "decision"},
      {"a decision without targets", &kDecision, R"("targets":null,)", "", bad, "targets"},
      {"a decision with empty targets", &kDecision, "\"targets\":null", "\"targets\":[]", bad, "targets"},
      {"a decision that lasts no time", &kDecision, "900", "0", bad, "duration"},
      {"a decision without a comment", &kDecision, R"(,"comment":"ok")", "", bad, "comment"},
      {"a decision by no name", &kDecision, "bob", "Bob", bad, "by"},
      {"a revocation of nothing", &kRevocation, "\"request\":\"" + kDigest + "\",", "", bad, "exactly one"},
      {"a revocation of two things", &kRevocation, "\"by\"", R"("subject":"alice","by")", bad, "exactly one"},
      {"a revocation of a subject that is no name", &kRevocation, "\"request\":\"" + kDigest + "\"", R"("subject":"*")",
       bad, "subject"},
      {"a revocation of half a fingerprint", &kRevocation, "\"request\":\"" + kDigest + "\"", R"("key":"SHA256:AAAA")",
       bad, "key"},
      {"a revocation of a padded fingerprint", &kRevocation, "\"request\":\"" + kDigest + "\"",
       R"("key":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")", bad, "key"},
      {"a revocation null", &kRevocation, "\"" + kDigest + "\"", "null", bad, "request"},
      {"bytes after the payload", &kRequest, R"("})",
       R"("} )"
       "x",
       bad, ""},
      {"an array", &kRequest, kRequest, "[]", bad, "object"},
      {"nothing", &kRequest, kRequest, "", bad, ""},
      {"too large", &kRequest, "502s on checkout", std::string(kMaxPayloadBytes, 'x'), Errc::too_large, ""},
  };
}

StatementKind kind_of_base(const std::string* base) {
  return base == &kRequest    ? StatementKind::request
         : base == &kDecision ? StatementKind::decision
                              : StatementKind::revocation;
}

int wrong_good_edits() {
  int wrong = 0;
  for (const Edit& e : good_edits()) {
    const std::string json = replaced(*e.base, e.what, e.with);
    const Result<Payload> got = parse_payload(kind_of_base(e.base), json);
    if (!got) print_error("%s\n", got.error().message.c_str());
    wrong += wrong_if(!got || format_payload(*got) != json, e.name);
  }
  return wrong;
}

int wrong_bad_edits() {
  int wrong = 0;
  for (const Edit& e : bad_edits()) {
    const Result<Payload> got = parse_payload(kind_of_base(e.base), replaced(*e.base, e.what, e.with));
    const bool good = !got && got.error().code == e.code && got.error().message.find(e.named) != std::string::npos;
    if (!got && !good) print_error("%s\n", got.error().message.c_str());
    wrong += wrong_if(!good, e.name);
  }
  return wrong;
}

void good_payloads(void**) {
  assert_int_equal(wrong_good_edits(), 0);
}
void bad_payloads(void**) {
  assert_int_equal(wrong_bad_edits(), 0);
}

// Every member left out, once each: the error names it.
int wrong_missing() {
  int wrong = 0;
  for (const std::string* base : {&kRequest, &kDecision, &kRevocation}) {
    for (std::size_t at = base->find("\",\"") + 2; at != std::string::npos;) {
      const std::size_t name_end = base->find('"', at + 1);
      const std::string name = base->substr(at + 1, name_end - at - 1);
      // Renamed in place: leaving out a member and having one of another name are both faults, the missing one is
      // named.
      std::string json = *base;
      json.replace(at + 1, name.size(), "renamed");
      const Result<Payload> got = parse_payload(kind_of_base(base), json);
      const bool named = !got && (got.error().message.find(name) != std::string::npos);
      wrong += wrong_if(!named, name.c_str());
      std::size_t next = name_end;
      do next = base->find(",\"", next + 1);
      while (next != std::string::npos && base->find("\":", next) != base->find('"', next + 2));
      at = next == std::string::npos ? next : next + 1;
    }
  }
  return wrong;
}

void missing_members(void**) {
  assert_int_equal(wrong_missing(), 0);
}

// alice has a plain key, bob a security key, chloe a passkey in a browser.
class Ring : public KeyRing {
 public:
  Ring() {
    add(alice, "alice");
    add(bob, "bob");
    add(chloe, "chloe");
  }
  std::optional<Owner> find(const PublicKey& key) const override {
    for (const Owner& owner : owners_) {
      if (owner.key == key) return owner;
    }
    return std::nullopt;
  }
  std::span<const std::string> webauthn_origins() const override { return origins; }

  TestKey alice = TestKey::plain("alice");
  TestKey bob = TestKey::security("bob");
  TestKey chloe = TestKey::browser("https://hallpass.example");
  TestKey mallory = TestKey::plain("mallory");
  std::vector<std::string> origins{"https://hallpass.example"};

 private:
  void add(const TestKey& key, const char* name) {
    owners_.push_back({PublicKey::from_line(key.line()).value(), name});
  }
  std::vector<Owner> owners_;
};

const std::string kType = "application/vnd.hallpass.request.v1+json";

std::string signed_as(const TestKey& key, std::string_view type, std::string_view name_space, std::string_view payload,
                      std::string_view hash = "sha512") {
  const Bytes sig = key.sign(name_space, as_bytes(testing::dsse_message(type, payload)), testing::kTouched, hash);
  return testing::envelope_line(type, payload, key.fingerprint(), sig);
}

struct OpenCase {
  const char* name;
  std::function<std::string(const Ring&)> wire;
  std::optional<Errc> error;
};

std::vector<OpenCase> open_cases() {
  const std::string chloes = replaced(kDecision, "bob", "chloe");
  return {
      {"a request", [](const Ring& r) { return testing::sign_payload(r.alice, StatementKind::request, kRequest); }, {}},
      {"a decision",
       [](const Ring& r) { return testing::sign_payload(r.bob, StatementKind::decision, kDecision); },
       {}},
      {"a revocation",
       [](const Ring& r) { return testing::sign_payload(r.bob, StatementKind::revocation, kRevocation); },
       {}},
      {"a decision from a browser",
       [=](const Ring& r) { return testing::sign_payload(r.chloe, StatementKind::decision, chloes); },
       {}},
      {"a wrong keyid, which is a hint only",
       [](const Ring& r) {
         return replaced(testing::sign_payload(r.alice, StatementKind::request, kRequest), r.alice.fingerprint(), "x");
       },
       {}},
      {"a key that nobody has enrolled",
       [](const Ring& r) { return testing::sign_payload(r.mallory, StatementKind::request, kRequest); },
       Errc::unknown_key},
      {"bob's request in alice's name",
       [](const Ring& r) { return testing::sign_payload(r.bob, StatementKind::request, kRequest); }, Errc::mismatch},
      {"alice's decision in bob's name",
       [](const Ring& r) { return testing::sign_payload(r.alice, StatementKind::decision, kDecision); },
       Errc::mismatch},
      {"alice's revocation in bob's name",
       [](const Ring& r) { return testing::sign_payload(r.alice, StatementKind::revocation, kRevocation); },
       Errc::mismatch},
      {"another fleet",
       [](const Ring& r) {
         return testing::sign_payload(r.alice, StatementKind::request, replaced(kRequest, "acme-prod", "acme-test"));
       },
       Errc::mismatch},
      {"the namespace of another kind",
       [](const Ring& r) { return signed_as(r.alice, kType, "decision@hallpass", kRequest); }, Errc::mismatch},
      {"the namespace of plain files", [](const Ring& r) { return signed_as(r.alice, kType, "file", kRequest); },
       Errc::mismatch},
      {"a payload of another kind than its type",
       [](const Ring& r) { return signed_as(r.bob, kType, "request@hallpass", kDecision); }, Errc::mismatch},
      {"an unknown type",
       [](const Ring& r) { return signed_as(r.alice, "application/json", "request@hallpass", kRequest); },
       Errc::unsupported},
      {"sha256", [](const Ring& r) { return signed_as(r.alice, kType, "request@hallpass", kRequest, "sha256"); },
       Errc::unsupported},
      {"a signed payload that is no request",
       [](const Ring& r) { return signed_as(r.alice, kType, "request@hallpass", "{}"); }, Errc::malformed},
      {"a payload swapped under the signature",
       [](const Ring& r) {
         return replaced(testing::sign_payload(r.alice, StatementKind::request, kRequest),
                         base64_encode(as_bytes(kRequest)),
                         base64_encode(as_bytes(replaced(kRequest, "1800", "9000"))));
       },
       Errc::bad_signature},
      {"no envelope", [](const Ring&) { return std::string("{}"); }, Errc::malformed},
      {"too large", [](const Ring&) { return std::string(kMaxStatementEnvelopeBytes + 1, ' '); }, Errc::too_large},
  };
}

int wrong_opened() {
  int wrong = 0;
  const Ring ring;
  for (const OpenCase& c : open_cases()) {
    const Result<Statement> got = open_statement(c.wire(ring), "acme-prod", ring);
    const bool good = c.error ? !got && got.error().code == *c.error : got.has_value();
    if (!got && !good) print_error("%s\n", got.error().message.c_str());
    wrong += wrong_if(!good, c.name);
  }
  return wrong;
}

void opening(void**) {
  assert_int_equal(wrong_opened(), 0);
}

int wrong_facts() {
  Ring ring;
  const std::string wire = testing::sign_payload(ring.alice, StatementKind::request, kRequest);
  const Statement s = open_statement(wire, "acme-prod", ring).value();
  const Statement again = open_statement(replaced(wire, ring.alice.fingerprint(), "other"), "acme-prod", ring).value();
  const auto other_spelling = [&](std::string_view what, std::string_view with) {
    return open_statement(replaced(wire, what, with), "acme-prod", ring).value().envelope();
  };
  const auto presence = [&](unsigned char flags) {
    const std::string line = testing::sign_payload(ring.bob, StatementKind::decision, kDecision, flags);
    return open_statement(line, "acme-prod", ring).value().presence();
  };
  const std::string chloes =
      testing::sign_payload(ring.chloe, StatementKind::decision, replaced(kDecision, "bob", "chloe"));
  const std::string origin = open_statement(chloes, "acme-prod", ring).value().origin();
  ring.origins.clear();
  const Result<Statement> no_origin = open_statement(chloes, "acme-prod", ring);
  int wrong = 0;
  wrong += wrong_if(s.kind() != StatementKind::request || s.request() == nullptr || s.decision() != nullptr, "kind");
  wrong += wrong_if(s.payload_digest() != sha256(kRequest), "the digest is of the payload's bytes");
  wrong += wrong_if(s.signer() != "alice" || s.key().fingerprint() != ring.alice.fingerprint(), "signer and key");
  wrong += wrong_if(s.presence() != Presence::none || !s.origin().empty(), "a plain key proves no presence");
  wrong += wrong_if(s.envelope() != wire, "the canonical envelope of a canonical envelope is itself");
  wrong += wrong_if(again.envelope() != wire || !(again == s) || again < s, "a hint changes nothing that is stored");
  wrong += wrong_if(other_spelling("{\"payload\"", "{ \"payload\"") != wire, "white space is not kept");
  wrong += wrong_if(other_spelling("ey", "\\u0065y") != wire, "nor are escapes");
  wrong += wrong_if(presence(testing::kTouched) != Presence::touch, "touch");
  wrong += wrong_if(presence(testing::kVerified) != Presence::verified, "verified");
  const std::string untouched = testing::sign_payload(ring.bob, StatementKind::decision, kDecision, 0);
  wrong += wrong_if(open_statement(untouched, "acme-prod", ring).has_value(), "a security key that was not touched");
  wrong += wrong_if(origin != "https://hallpass.example", "origin");
  wrong += wrong_if(no_origin.has_value() || no_origin.error().code != Errc::mismatch, "an origin that nobody named");
  return wrong;
}

void facts(void**) {
  assert_int_equal(wrong_facts(), 0);
}

// Any single bit of the envelope flipped, any byte cut off, any byte added: never another statement that verifies.
int accepted_damage() {
  const Ring ring;
  const std::string wire = testing::sign_payload(ring.alice, StatementKind::request, kRequest);
  const Statement original = open_statement(wire, "acme-prod", ring).value();
  int accepted = 0;
  const auto try_wire = [&](const std::string& damaged) {
    const Result<Statement> got = open_statement(damaged, "acme-prod", ring);
    // A flip in the keyid may pass: then nothing that we keep may differ.
    if (got && (!(*got == original) || got->envelope() != original.envelope())) ++accepted;
    return got.has_value();
  };
  int passed = 0;
  for (std::size_t bit = 0; bit < wire.size() * 8; ++bit) {
    std::string damaged = wire;
    damaged[bit / 8] = static_cast<char>(static_cast<unsigned char>(damaged[bit / 8]) ^ (1U << bit % 8));
    passed += try_wire(damaged) ? 1 : 0;
  }
  const int keyid_bits = static_cast<int>(ring.alice.fingerprint().size()) * 8;
  for (std::size_t cut = 0; cut < wire.size(); ++cut) accepted += try_wire(wire.substr(0, cut)) ? 1 : 0;
  for (const char* more : {" ", "\n", "\r", "\r\n", "}", "{}", "x"})
    accepted += try_wire(wire + more) && *more != ' ' ? 1 : 0;
  return accepted + (passed > keyid_bits ? 1 : 0);
}

void damage(void**) {
  assert_int_equal(accepted_damage(), 0);
}

int wrong_lines() {
  const auto count = [](std::string_view file) { return grant_file_lines(file).size(); };
  int wrong = 0;
  wrong += wrong_if(count("") != 0, "an empty file");
  wrong += wrong_if(count("a\nb\n") != 2, "two lines");
  wrong += wrong_if(count("a\nb") != 2, "no newline at the end");
  wrong += wrong_if(count("\n\na\n\n") != 1, "empty lines");
  wrong += wrong_if(grant_file_lines("a\r\n").front() != "a\r", "a carriage return stays");
  const Ring ring;
  const std::string wire = testing::sign_payload(ring.alice, StatementKind::request, kRequest);
  const std::string two = wire + "\r\n" + wire + "\n";
  const Result<Statement> carried = open_statement(grant_file_lines(two)[0], "acme-prod", ring);
  wrong += wrong_if(carried.has_value() || carried.error().code != Errc::malformed, "and makes its line malformed");
  wrong += wrong_if(!open_statement(grant_file_lines(two)[1], "acme-prod", ring), "but not the next one");
  return wrong;
}

void lines(void**) {
  assert_int_equal(wrong_lines(), 0);
}

}  // namespace
}  // namespace hallpass

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(hallpass::good_payloads),   cmocka_unit_test(hallpass::bad_payloads),
      cmocka_unit_test(hallpass::missing_members), cmocka_unit_test(hallpass::opening),
      cmocka_unit_test(hallpass::facts),           cmocka_unit_test(hallpass::damage),
      cmocka_unit_test(hallpass::lines),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
