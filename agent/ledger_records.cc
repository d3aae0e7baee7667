#include "agent/ledger_records.h"

#include <algorithm>

#include "core/hash.h"
#include "core/json.h"

namespace hallpass::ledger_records {
namespace {

constexpr std::size_t kChecksumBytes = 8;

std::string checksum(int database, std::string_view key, std::string_view value) {
  std::string covered = kNames[database];
  covered += '\0';
  covered.append(key);
  covered += '\0';
  covered.append(value);
  const Digest d = sha256(covered);
  return {reinterpret_cast<const char*>(d.bytes.data()), kChecksumBytes};
}

Json time_value(UnixTime t) {
  return Json(static_cast<std::int64_t>(to_unix(t)));
}

std::optional<std::int64_t> integer(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  const std::int64_t* n = found == nullptr ? nullptr : found->as_int();
  return n == nullptr ? std::nullopt : std::optional(*n);
}

std::optional<std::string> text_of(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  const std::string* s = found == nullptr ? nullptr : found->as_string();
  return s == nullptr ? std::nullopt : std::optional(*s);
}

Json boot_value(const std::array<char, 36>& id) {
  return Json(id[0] == '\0' ? std::string() : std::string(id.data(), id.size()));
}

bool read_boot(const Json& object, std::string_view name, std::array<char, 36>& out) {
  const auto text = text_of(object, name);
  if (!text || (!text->empty() && text->size() != out.size())) return false;
  out.fill('\0');
  std::copy(text->begin(), text->end(), out.begin());
  return true;
}

Json floor_value(const ClockFloor& f) {
  return Json(JsonObject{{"wall", time_value(f.wall)},
                         {"boottime", Json(static_cast<std::int64_t>(f.boottime.count()))},
                         {"boot", boot_value(f.boot_id)}});
}

bool read_floor(const Json& object, std::string_view name, ClockFloor& out) {
  const Json* found = object.find(name);
  if (found == nullptr) return false;
  const auto wall = integer(*found, "wall");
  const auto boottime = integer(*found, "boottime");
  if (!wall || !boottime || !read_boot(*found, "boot", out.boot_id)) return false;
  out.wall = from_unix(*wall);
  out.boottime = Seconds{*boottime};
  return true;
}

constexpr std::pair<GrantState, std::string_view> kTerminalStates[] = {
    {GrantState::ended, "ended"}, {GrantState::denied, "denied"}, {GrantState::revoked, "revoked"}};

}  // namespace

std::string seal(int database, std::string_view key, std::string_view value) {
  return checksum(database, key, value) + std::string(value);
}

std::optional<std::string_view> unseal(int database, std::string_view key, std::string_view sealed) {
  if (sealed.size() < kChecksumBytes) return std::nullopt;
  const std::string_view value = sealed.substr(kChecksumBytes);
  if (checksum(database, key, value) != sealed.substr(0, kChecksumBytes)) return std::nullopt;
  return value;
}

std::string digest_key(const Digest& d) {
  return {reinterpret_cast<const char*>(d.bytes.data()), d.bytes.size()};
}

std::string statement_key(const Digest& payload, std::string_view fingerprint) {
  return digest_key(payload) + std::string(fingerprint);
}

std::optional<Digest> key_digest(std::string_view key) {
  Digest d;
  if (key.size() < d.bytes.size()) return std::nullopt;
  std::copy_n(key.begin(), d.bytes.size(), d.bytes.begin());
  return d;
}

std::string version_key(std::int64_t version) {
  return number(static_cast<std::uint64_t>(version));
}

std::string number(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  return bytes;
}

std::optional<std::uint64_t> number(std::string_view bytes) {
  if (bytes.size() != 8) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string encode(const Terminal& t) {
  const auto* state = std::find_if(std::begin(kTerminalStates), std::end(kTerminalStates),
                                   [&](const auto& entry) { return entry.first == t.state; });
  if (state == std::end(kTerminalStates)) std::abort();  // only these three are final
  return to_json(Json(JsonObject{{"state", Json(state->second)},
                                 {"step", Json(static_cast<int>(t.step))},
                                 {"at", time_value(t.at)},
                                 {"requested_at", time_value(t.requested_at)},
                                 {"by", Json(t.by)},
                                 {"subject", Json(t.subject)},
                                 {"account", Json(t.account)},
                                 {"runbook", Json(t.runbook)},
                                 {"detail", Json(t.detail)}}));
}

std::optional<Terminal> decode_terminal(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json) return std::nullopt;
  const auto state = text_of(*json, "state");
  const auto step = integer(*json, "step");
  const auto at = integer(*json, "at");
  const auto requested_at = integer(*json, "requested_at");
  if (!state || !step || !at || !requested_at) return std::nullopt;
  Terminal t;
  for (const auto& [value, name] : kTerminalStates) {
    if (name == *state) t.state = value;
  }
  if (t.state == GrantState::void_ || *step < 0 || *step > static_cast<int>(Step::policy_expired)) return std::nullopt;
  t.step = static_cast<Step>(*step);
  t.at = from_unix(*at);
  t.requested_at = from_unix(*requested_at);
  t.by = text_of(*json, "by").value_or("");
  t.subject = text_of(*json, "subject").value_or("");
  t.account = text_of(*json, "account").value_or("");
  t.runbook = text_of(*json, "runbook").value_or("");
  t.detail = text_of(*json, "detail").value_or("");
  return t;
}

std::string encode(const LedgerState& s) {
  return to_json(Json(JsonObject{{"format", Json(kLedgerFormat)},
                                 {"policy_version", Json(s.policy_version)},
                                 {"generation", Json(static_cast<std::int64_t>(s.generation))},
                                 {"reset_at", time_value(s.reset_at)},
                                 {"floor", floor_value(s.clock.floor)},
                                 {"boot_start", floor_value(s.clock.boot_start)},
                                 {"synchronised_boot", boot_value(s.clock.synchronised_boot)}}));
}

std::optional<LedgerState> decode_state(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json || integer(*json, "format") != kLedgerFormat) return std::nullopt;
  const auto version = integer(*json, "policy_version");
  const auto generation = integer(*json, "generation");
  const auto reset_at = integer(*json, "reset_at");
  LedgerState s;
  if (!version || !generation || !reset_at || !read_floor(*json, "floor", s.clock.floor) ||
      !read_floor(*json, "boot_start", s.clock.boot_start) ||
      !read_boot(*json, "synchronised_boot", s.clock.synchronised_boot)) {
    return std::nullopt;
  }
  s.policy_version = *version;
  s.generation = static_cast<std::uint64_t>(*generation);
  s.reset_at = from_unix(*reset_at);
  return s;
}

std::string encode(const StoredPolicy& p) {
  std::string out(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(p.toml.size() >> (24 - 8 * i));
  return out + p.toml + p.sig;
}

std::optional<StoredPolicy> decode_policy(std::string_view bytes) {
  if (bytes.size() < 4) return std::nullopt;
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  if (length > bytes.size() - 4) return std::nullopt;
  return StoredPolicy{std::string(bytes.substr(4, length)), std::string(bytes.substr(4 + length))};
}

}  // namespace hallpass::ledger_records
