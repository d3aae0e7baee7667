// What the ledger remembers of the log: how far it was read, and where in it each statement stands.
#include "agent/ledger.h"
#include "agent/ledger_records.h"

namespace hallpass {
namespace records = ledger_records;

void LedgerChange::logged(const Digest& payload, std::string_view fingerprint, std::uint64_t index) {
  put(records::kLogged, records::statement_key(payload, fingerprint), records::number(index));
}

void LedgerChange::set(const LogPosition& position) {
  put(records::kState, std::string(records::kLogKey), format_position(position));
}

std::optional<std::uint64_t> Ledger::logged(const Digest& payload, std::string_view fingerprint) {
  const auto value = get(records::kLogged, records::statement_key(payload, fingerprint));
  return value ? records::number(*value) : std::nullopt;
}

std::vector<std::string> Ledger::logged_before(std::uint64_t index) {
  std::vector<std::string> keys, envelopes;
  scan(records::kLogged, "", [&](std::string_view key, std::string_view value) {
    const auto at = records::number(value);
    if (at && *at < index) keys.emplace_back(key);
  });
  for (const std::string& key : keys) {
    if (auto envelope = get(records::kStatements, key)) envelopes.push_back(std::move(*envelope));
  }
  return envelopes;
}

LogPosition Ledger::log_position() {
  const auto value = get(records::kState, records::kLogKey);
  if (!value) return {};
  Result<LogPosition> position = parse_position(*value);
  if (!position) damage_ = "what the ledger remembers of the log cannot be read: " + position.error().message;
  return position ? std::move(*position) : LogPosition{};
}

}  // namespace hallpass
