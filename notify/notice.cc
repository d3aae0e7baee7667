#include "notify/notice.h"

#include <algorithm>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxMessage = 600;
constexpr std::size_t kMaxEntries = 16;  // of each list of texts
constexpr std::size_t kMaxEntry = 300;
constexpr std::size_t kMaxParameters = 16;

Json list_of(const std::vector<std::string>& texts, std::size_t most) {
  JsonArray out;
  for (const std::string& text : texts) {
    if (out.size() < most) out.emplace_back(printable(text, kMaxEntry));
  }
  if (texts.size() > most) out.emplace_back("and " + std::to_string(texts.size() - most) + " more");
  return out;
}

Json parameters_of(const Notice& notice) {
  JsonObject out;
  for (const auto& [name, values] : notice.parameters) {
    if (out.size() < kMaxParameters) out.emplace_back(printable(name), list_of(values, kMaxEntries / 2));
  }
  return out;
}

Json names_of(const std::vector<std::string>& names) {
  JsonArray out;
  for (const std::string& name : names) {
    if (out.size() < kMaxNoticePeople) out.emplace_back(printable(name, kMaxNameBytes));
  }
  return out;
}

void add_time(JsonObject& object, const char* name, const std::optional<UnixTime>& time) {
  if (time) object.emplace_back(name, format_time(*time));
}

}  // namespace

std::string notice_json(const Notice& notice, std::string_view id) {
  JsonObject object{{"hallpass", "notice/1"},
                    {"id", id},
                    {"channel", notice.by_mail ? "mail" : "room"},
                    {"at", format_time(notice.at)},
                    {"event", printable(notice.event)},
                    {"to", names_of(notice.to)},
                    {"message", printable(notice.message, kMaxMessage)},
                    {"fleet", printable(notice.fleet)},
                    {"grant", printable(notice.grant)},
                    {"request", printable(notice.request)},
                    {"subject", printable(notice.subject)},
                    {"runbook", printable(notice.runbook)},
                    {"title", printable(notice.title)},
                    {"account", printable(notice.account)},
                    {"parameters", parameters_of(notice)},
                    {"targets", list_of(notice.targets, kMaxEntries)},
                    {"duration", static_cast<std::int64_t>(notice.duration.count())},
                    {"reason", printable(notice.reason, kMaxTextBytes)},
                    {"ticket", printable(notice.ticket, kMaxTextBytes)},
                    {"commands", list_of(notice.commands, kMaxEntries)},
                    {"missing", printable(notice.missing, kMaxTextBytes)},
                    {"by", printable(notice.by)},
                    {"comment", printable(notice.comment, kMaxTextBytes)},
                    {"command", printable(notice.command)}};
  add_time(object, "respond_by", notice.respond_by);
  add_time(object, "from", notice.from);
  add_time(object, "until", notice.until);
  return to_json(object);
}

}  // namespace hallpass
