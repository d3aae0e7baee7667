#include "notify/alert.h"

#include <algorithm>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxMessage = 2000;
constexpr std::size_t kMaxValue = 500;
constexpr std::size_t kMaxFieldName = 64;

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

}  // namespace hallpass
