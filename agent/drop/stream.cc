#include "agent/drop/stream.h"

#include <algorithm>

#include "core/dsse.h"
#include "core/log/checkpoint.h"
#include "core/statement.h"
#include "core/values/text.h"

namespace hallpass::drop {
namespace {

Error at_line(std::size_t number, Errc code, const std::string& what) {
  return {code, "line " + std::to_string(number) + " " + what};
}

bool is_statement_type(std::string_view type) {
  const StatementKind kinds[] = {StatementKind::request, StatementKind::decision, StatementKind::revocation};
  return std::any_of(std::begin(kinds), std::end(kinds), [&](StatementKind k) { return payload_type(k) == type; });
}

Status check_statement(std::string_view line, std::size_t number) {
  if (line.size() > kMaxStatementEnvelopeBytes) {
    return at_line(number, Errc::too_large,
                   "is longer than any statement (" + std::to_string(kMaxStatementEnvelopeBytes) + " bytes)");
  }
  if (line.ends_with('\r')) {
    return at_line(number, Errc::malformed, "ends in a carriage return, which no grant file has; save it without");
  }
  const auto envelope = parse_envelope(line);
  if (!envelope) return at_line(number, envelope.error().code, "is no statement: " + envelope.error().message);
  if (!is_statement_type(envelope->payload_type)) {
    return at_line(number, Errc::unsupported,
                   "is a document of type " + printable(envelope->payload_type, 80) +
                       "; only requests, decisions and revocations can be carried");
  }
  if (envelope->signatures.size() != 1) return at_line(number, Errc::malformed, "carries several signatures, not one");
  return Unit{};
}

Status check_proof(std::string_view text, std::size_t number) {
  if (text.size() > kMaxProofBytes) {
    return at_line(number, Errc::too_large,
                   "begins a proof longer than any (" + std::to_string(kMaxProofBytes) + " bytes)");
  }
  const bool has_control =
      std::any_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; });
  if (has_control || !is_utf8(text)) return at_line(number, Errc::malformed, "begins a proof that is not text");
  const auto proof = parse_proof(text);
  if (!proof) return at_line(number, proof.error().code, "begins what is " + proof.error().message);
  if (proof->entry.empty()) {
    return at_line(number, Errc::malformed, "begins a proof without the statement that it proves (extra)");
  }
  return Unit{};
}

class Splitter {
 public:
  Status line(std::string_view text) {
    ++number_;
    if (text == kProofMagic || text.starts_with('{')) {
      if (auto ended = end_proof(); !ended) return ended;
      if (taken_.count() >= kMaxDocuments) {
        return Error{Errc::too_large, "over " + std::to_string(kMaxDocuments) +
                                          " statements and proofs at once; hand them in in several runs"};
      }
      if (text == kProofMagic) return begin_proof();
      taken_.statements.emplace_back(text);
      return check_statement(text, number_);
    }
    if (in_proof_) {
      taken_.proofs.back().append(text).push_back('\n');
      return Unit{};
    }
    if (text.empty()) return Unit{};
    return at_line(number_, Errc::malformed, "is neither a statement nor the beginning of a proof");
  }

  Status end_proof() {
    if (!in_proof_) return Unit{};
    in_proof_ = false;
    return check_proof(taken_.proofs.back(), began_);
  }

  Documents take() { return std::move(taken_); }

 private:
  Status begin_proof() {
    taken_.proofs.push_back(std::string(kProofMagic) + '\n');
    in_proof_ = true;
    began_ = number_;
    return Unit{};
  }

  Documents taken_;
  std::size_t number_ = 0, began_ = 0;
  bool in_proof_ = false;
};

}  // namespace

Result<Documents> split_stream(std::string_view stream) {
  if (stream.size() > kMaxStreamBytes) {
    return Error{Errc::too_large, "over " + std::to_string(kMaxStreamBytes) + " bytes; hand them in in several runs"};
  }
  // A connection that broke off must not look like a shorter stream.
  if (!stream.empty() && !stream.ends_with('\n')) {
    return Error{Errc::malformed, "what came ends in the middle of a line; hand it in again"};
  }
  Splitter splitter;
  while (!stream.empty()) {
    const std::size_t end = stream.find('\n');
    if (const Status taken = splitter.line(stream.substr(0, end)); !taken) return taken.error();
    stream.remove_prefix(end + 1);
  }
  if (const Status ended = splitter.end_proof(); !ended) return ended.error();
  Documents documents = splitter.take();
  if (documents.count() == 0) return Error{Errc::malformed, "nothing came; use `hallpass carry HOST ID`"};
  return documents;
}

}  // namespace hallpass::drop
