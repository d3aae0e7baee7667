#include "core/log/log_trust.h"

#include <algorithm>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr Seconds kLeastMaxAge{120};  // the hub cosigns once a minute
constexpr Seconds kMostMaxAge{7 * 24 * 3600};

std::optional<NoteKey> read_key(std::string_view text, NoteKeyType type, const char* member, int line,
                                TomlReader& reader) {
  Result<NoteKey> key = NoteKey::parse(text);
  const std::string cure = "copy the line that `hallpass-hub init` printed for " + std::string(member);
  if (!key) {
    reader.error(line, std::string(member) + " cannot be used: " + key.error().message, cure);
    return std::nullopt;
  }
  if (key->type != type) {
    reader.error(line,
                 std::string(member) + (type == NoteKeyType::cosignature ? " holds a log's key, not a witness's"
                                                                         : " is a witness's key, not a log's"),
                 cure);
    return std::nullopt;
  }
  return *key;
}

void read_witnesses(LogTrust& trust, TomlReader& reader) {
  const auto lines = reader.strings("witnesses");
  if (lines.size() > kMaxWitnesses) {
    reader.error(lines[kMaxWitnesses].second, "more than " + std::to_string(kMaxWitnesses) + " witnesses",
                 "name fewer");
    return;
  }
  for (const auto& [text, line] : lines) {
    const auto key = read_key(text, NoteKeyType::cosignature, "witnesses", line, reader);
    if (!key) continue;
    const bool twice = std::any_of(trust.witnesses.begin(), trust.witnesses.end(),
                                   [&](const NoteKey& other) { return other.key == key->key; });
    if (twice) {
      reader.error(line, "the key of witness " + printable(key->name) + " is listed twice", "list each witness once");
    } else {
      trust.witnesses.push_back(*key);
    }
  }
}

}  // namespace

LogTrust parse_log_trust(const Toml& value, std::vector<Diagnostic>& out) {
  LogTrust trust;
  TomlReader reader(value, "[log]", out);
  if (value.as_table() == nullptr) {
    reader.error(value.line(), "log is no table", "write [log]");
    return trust;
  }
  const Toml* key = reader.required("key", "key = \"acme-prod.log+23b51d01+AaXw...\"");
  if (const auto text = reader.string("key")) {
    if (const auto log = read_key(*text, NoteKeyType::ed25519, "key", key->line(), reader)) trust.log = *log;
  }
  read_witnesses(trust, reader);
  const auto count = static_cast<std::int64_t>(trust.witnesses.size());
  trust.quorum =
      static_cast<int>(reader.integer("quorum", count == 0 ? 0 : 1, std::max<std::int64_t>(count, 0)).value_or(count));
  if (const auto age = reader.duration("max_age")) {
    trust.max_age = *age;
    if (*age < kLeastMaxAge || *age > kMostMaxAge)
      reader.error(reader.line(), "max_age is not between 2 minutes and 7 days", "write max_age = \"15m\"");
  }
  if (const auto word = reader.string("when_stale")) {
    trust.deny_when_stale = *word == "deny";
    if (*word != "admit" && *word != "deny")
      reader.error(reader.line(), "when_stale \"" + printable(*word) + "\" is not known",
                   "write \"admit\" or \"deny\"");
  }
  if (trust.deny_when_stale && count == 0)
    reader.error(reader.line(), "when_stale = \"deny\" without witnesses: nothing would ever prove the log fresh",
                 "name the hub's witness key in witnesses");
  trust.require_log = reader.boolean("require_log").value_or(false);
  reader.finish();
  return trust;
}

}  // namespace hallpass
