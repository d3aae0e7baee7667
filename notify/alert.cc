#include "notify/alert.h"

#include <algorithm>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxMessage = 2000;
constexpr std::size_t kMaxValue = 500;
constexpr std::size_t kMaxFieldName = 64;
constexpr std::size_t kIdDigits = 32;

bool is_id(std::string_view text) {
  return text.size() == kIdDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

JsonObject fields_of(const Alert& alert) {
  JsonObject out;
  for (const auto& [name, value] : alert.fields) {
    if (value.empty()) continue;
    const std::string shown_name = printable(name, kMaxFieldName);
    const auto same = std::find_if(out.begin(), out.end(), [&](const JsonMember& m) { return m.first == shown_name; });
    if (same != out.end()) {
      same->second = printable(*same->second.as_string() + ", " + value, kMaxValue);
    } else if (out.size() < kMaxAlertFields) {
      out.emplace_back(shown_name, printable(value, kMaxValue));
    }
  }
  return out;
}

}  // namespace

std::string alert_json(const Alert& alert, std::string_view id) {
  const JsonObject object{{"hallpass", "alert/1"},
                          {"id", id},
                          {"host", printable(alert.host)},
                          {"at", format_time(alert.at)},
                          {"event", printable(alert.event)},
                          {"priority", alert.priority},
                          {"message", printable(alert.message, kMaxMessage)},
                          {"fields", fields_of(alert)}};
  return to_json(object);
}

Result<AlertHead> read_alert_head(std::string_view json) {
  const Result<Json> parsed = parse_json(json);
  if (!parsed) return parsed.error();
  const auto text = [&](std::string_view name) {
    const Json* member = parsed->find(name);
    const std::string* value = member == nullptr ? nullptr : member->as_string();
    return value == nullptr ? std::string() : *value;
  };
  if (text("hallpass") != "alert/1") return Error{Errc::malformed, "it is no alert of version 1"};
  AlertHead head{text("id"), printable(text("event"), kMaxFieldName)};
  if (!is_id(head.id)) return Error{Errc::malformed, "its id is not 32 hex digits"};
  return head;
}

}  // namespace hallpass
