#include "sudo_plugin/records.h"

#include "core/values/characters.h"
#include "host/spoken_time.h"

namespace hallpass {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// An entry must go through as one datagram, or it would be lost.
constexpr std::size_t kMostOfWord = 8192;
constexpr std::size_t kMostJson = 49152;

void append_string(std::string& json, std::string_view word) {
  json += '"';
  while (!word.empty()) {
    const auto byte = static_cast<unsigned char>(word.front());
    const std::size_t n = first_character(word).length;
    if (n == 0) {
      json += "\\udc";
    } else if (byte < 0x20 || byte == 0x7f) {
      json += "\\u00";
    } else if (byte == '"' || byte == '\\') {
      json += '\\';
    }
    if (n == 0 || byte < 0x20 || byte == 0x7f) {
      json += kHex[byte >> 4];
      json += kHex[byte & 15];
    } else {
      json += word.substr(0, n);
    }
    word.remove_prefix(n == 0 ? 1 : n);
  }
  json += '"';
}

}  // namespace

std::string json_array(const std::vector<std::string_view>& words, bool& whole) {
  std::string json = "[";
  whole = true;
  for (const std::string_view word : words) {
    if (json.size() > 1) json += ',';
    if (json.size() > kMostJson) {
      whole = false;
      append_string(json, "...");
      break;
    }
    append_string(json, word.substr(0, kMostOfWord));
    if (word.size() > kMostOfWord) whole = false;
  }
  return json + "]";
}

EventRecord sudo_event(Event event, const std::string& message, const SudoRecord& r, std::string_view decision) {
  EventRecord record(event, message);
  record.with("ACCOUNT", r.account)
      .with("TARGET", r.target)
      .with("PATH", r.path)
      .with("DECISION", decision)
      .with("WHY", r.why);
  bool whole = true;
  if (!r.command.empty()) record.with("COMMAND", json_array(r.command, whole));
  if (!whole) record.with("CUT", "COMMAND");
  record.with("EXIT", r.exit_status);
  if (r.session != nullptr)
    record.with("SUBJECT", r.session->subject).with("SESSION", std::to_string(r.session->audit));
  if (r.cover == nullptr) return record;
  record.with("GRANT", r.cover->id)
      .with("RUNBOOK", r.cover->runbook)
      .with("REASON", r.cover->reason)
      .with("TICKET", r.cover->ticket);
  for (const std::string& name : r.cover->approvers) record.with("APPROVERS", name);
  return record.with("EXPIRES", utc_text(r.cover->end));
}

}  // namespace hallpass
