// What may be handed in, and what is refused with which words.
#include "agent/drop/stream.h"

#include "core/log/checkpoint.h"
#include "tests/unit/cmocka.h"
#include "tests/unit/support/signing.h"

namespace {

using namespace hallpass;           // NOLINT(google-build-using-namespace)
using namespace hallpass::drop;     // NOLINT(google-build-using-namespace)
using namespace hallpass::testing;  // NOLINT(google-build-using-namespace)

std::string statement(const std::string& payload = "{}", std::string_view type = payload_type(StatementKind::request)) {
  const Bytes sig = TestKey::plain("alice").sign("request@hallpass", as_bytes(dsse_message(type, payload)));
  return envelope_line(type, payload, "SHA256:x", sig) + "\n";
}

std::string magic() {
  return std::string(kProofMagic) + "\n";
}
std::string proof(const std::string& extra = "eA==") {
  const std::string hash = base64_encode(as_bytes(std::string(32, 'h'))) + "\n";
  return magic() + "extra " + extra + "\nindex 3\n" + hash + "\nlog.example\n4\n" + hash +
         "\n\xe2\x80\x94 log.example CCCC\n";
}

std::string many(std::size_t n) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += statement(std::to_string(i));
  return all;
}

struct Good {
  const char* name;
  std::string stream;
  std::size_t statements, proofs;
};

int wrong_good() {
  const Good cases[] = {
      {"one statement", statement(), 1, 0},
      {"empty lines between", "\n" + statement() + "\n\n" + statement("[]"), 2, 0},
      {"a proof", proof(), 0, 1},
      {"statements and proofs mixed", statement() + proof() + proof("eQ==") + statement("[]"), 2, 2},
      {"as many as may be", many(kMaxDocuments), kMaxDocuments, 0},
  };
  int wrong = 0;
  for (const Good& c : cases) {
    const auto got = split_stream(c.stream);
    wrong += wrong_if(!got || got->statements.size() != c.statements || got->proofs.size() != c.proofs, c.name);
  }
  const auto both = split_stream(proof() + statement());
  return wrong + wrong_if(!both || both->proofs[0] != proof() || both->statements[0] + "\n" != statement(),
                          "every byte as it came");
}
void test_good(void**) {
  assert_int_equal(wrong_good(), 0);
}

struct Bad {
  const char* name;
  std::string stream;
  const char* words;
};

int wrong_bad() {
  const std::string two_signatures = [] {
    std::string line = statement();
    const std::size_t from = line.find("{\"keyid\"");
    const std::string one = line.substr(from, line.find("]}") - from);
    return line.insert(from, one + ",");
  }();
  const Bad cases[] = {
      {"nothing", "", "nothing came"},
      {"empty lines only", "\n\n", "nothing came"},
      {"words", "hello\n", "line 1 is neither"},
      {"words after a statement", statement() + "hello\n", "line 2 is neither"},
      {"JSON that is no envelope", "{}\n", "line 1 is no statement"},
      {"half a statement", statement().substr(0, 60) + "\n", "line 1 is no statement"},
      {"a stream that breaks off", statement() + statement().substr(0, 60), "middle of a line"},
      {"carriage returns", statement().insert(statement().size() - 1, "\r"), "carriage return"},
      {"a policy's signatures", statement("{}", "application/vnd.hallpass.policy.v1+json"), "only requests"},
      {"another's document", statement("{}", "text/plain"), "only requests"},
      {"several signatures", two_signatures, "several signatures"},
      {"a statement that is too long", "{" + std::string(kMaxStatementEnvelopeBytes, ' ') + "\n", "longer than any"},
      {"too many", many(kMaxDocuments + 1), "in several runs"},
      {"too much", std::string(kMaxStreamBytes, '\n') + "\n", "in several runs"},
      {"a proof of nothing", magic(), "line 1 begins what is not a proof"},
      {"a proof without its statement", statement() + magic() + proof().substr(proof().find("index")),
       "line 2 begins a proof without the statement"},
      {"a proof that breaks off", proof().substr(0, proof().find("\n\n") + 1), "not a proof"},
      {"a proof that is too long", proof(std::string(kMaxProofBytes, 'A')), "longer than any"},
      {"a proof with an escape", proof("\x1b[2J"), "not text"},
      {"a proof that is not UTF-8", proof("\xff"), "not text"},
      {"a proof with a zero", proof(std::string(1, '\0')), "not text"},
  };
  int wrong = 0;
  for (const Bad& c : cases) {
    const auto got = split_stream(c.stream);
    wrong += wrong_if(got || got.error().message.find(c.words) == std::string::npos, c.name);
  }
  return wrong;
}
void test_bad(void**) {
  assert_int_equal(wrong_bad(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
