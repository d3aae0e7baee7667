#include "hub/batch.h"

#include "core/dsse.h"
#include "core/json.h"
#include "core/values/text.h"

namespace hallpass::hub {
namespace {

std::string_view to_string(Taking taking) {
  switch (taking) {
    case Taking::taken:
      return "taken";
    case Taking::known:
      return "known";
    case Taking::refused:
      break;
  }
  return "refused";
}

Json line_json(const BatchLine& line) {
  JsonObject out{{"line", static_cast<std::int64_t>(line.number)}, {"status", to_string(line.taking)}};
  if (line.index) out.emplace_back("index", static_cast<std::int64_t>(*line.index));
  if (line.statement) {
    if (const auto grant = grant_of(*line.statement)) out.emplace_back("grant", grant_id(*grant));
  }
  if (line.taking == Taking::refused) {
    out.emplace_back("code", line.refusal.code);
    out.emplace_back("error", line.refusal.message);
  }
  return out;
}

}  // namespace

Answer error_answer(int status, std::string_view code, std::string_view message) {
  Answer answer;
  answer.status = status;
  answer.body = to_json(JsonObject{{"code", code}, {"error", message}}) + "\n";
  if (status == 503) answer.retry_after = 5;
  return answer;
}

Result<LineClaim> claim_of(std::string_view line, const KeyRing& keys) {
  if (line.size() > kMaxStatementEnvelopeBytes) return Error{Errc::too_large, "a statement may have 96 KiB at most"};
  const Result<Envelope> envelope = parse_envelope(line);
  if (!envelope) return envelope.error();
  const bool revocation = envelope->payload_type == payload_type(StatementKind::revocation);
  if (!revocation && envelope->payload_type != payload_type(StatementKind::request) &&
      envelope->payload_type != payload_type(StatementKind::decision)) {
    return Error{Errc::unsupported,
                 "no statement of ours has the payloadType " + printable(envelope->payload_type, 80)};
  }
  const Result<Sshsig> signature = parse_sshsig(envelope->signatures.front().signature);
  if (!signature) return signature.error();
  const auto owner = keys.find(signature->key);
  if (!owner) {
    return Error{Errc::unknown_key, "the key " + signature->key.fingerprint() + " belongs to nobody in the policy"};
  }
  return LineClaim{owner->name, revocation};
}

std::optional<Answer> split_lines(std::string_view body, std::vector<BatchLine>& lines) {
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < body.size();) {
    const std::size_t end = std::min(body.find('\n', begin), body.size());
    ++number;
    if (end > begin) {
      if (lines.size() == kMaxLines) {
        return error_answer(413, "too_many_lines", "a body holds at most 256 statements; send the rest in another");
      }
      BatchLine line;
      line.number = number;
      line.text = body.substr(begin, end - begin);
      lines.push_back(std::move(line));
    }
    begin = end + 1;
  }
  if (!lines.empty()) return std::nullopt;
  return error_answer(400, "empty", "the body holds no statement; send the lines of a grant file");
}

Answer answer_of(const std::vector<BatchLine>& lines, const std::vector<std::string>& warnings) {
  JsonArray results, warned;
  const BatchLine* first_refused = nullptr;
  std::size_t refused = 0;
  for (const BatchLine& line : lines) {
    results.push_back(line_json(line));
    if (line.taking != Taking::refused) continue;
    ++refused;
    if (first_refused == nullptr) first_refused = &line;
  }
  for (const std::string& warning : warnings) warned.emplace_back(warning);
  Answer answer;
  answer.status = refused == 0 ? 200 : refused < lines.size() ? 207 : first_refused->refusal.http_status;
  answer.body = to_json(JsonObject{{"results", std::move(results)}, {"warnings", std::move(warned)}}) + "\n";
  if (answer.status == 429 || answer.status == 503) answer.retry_after = 5;
  return answer;
}

}  // namespace hallpass::hub
