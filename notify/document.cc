#include "notify/document.h"

#include <algorithm>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxEvent = 64;

bool is_id(std::string_view text) {
  return text.size() == kDocumentIdDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string text_of(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  const std::string* value = member == nullptr ? nullptr : member->as_string();
  return value == nullptr ? std::string() : *value;
}

// The one name in "to".
std::string only_person(const Json& notice) {
  const Json* to = notice.find("to");
  const JsonArray* names = to == nullptr ? nullptr : to->as_array();
  const std::string* name = names == nullptr || names->size() != 1 ? nullptr : names->front().as_string();
  return name == nullptr || !is_name(*name) ? std::string() : *name;
}

}  // namespace

Result<DocumentHead> read_head(std::string_view json) {
  const Result<Json> parsed = parse_json(json);
  if (!parsed) return parsed.error();
  const std::string type = text_of(*parsed, "hallpass"), channel = text_of(*parsed, "channel");
  DocumentHead head{text_of(*parsed, "id"), printable(text_of(*parsed, "event"), kMaxEvent)};
  if (!is_id(head.id)) return Error{Errc::malformed, "its id is not 32 hex digits"};
  if (type == "alert/1") return head;
  if (type != "notice/1") return Error{Errc::malformed, "it is no alert and no notice of version 1"};
  head.kind = channel == "mail" ? DocumentHead::Kind::mail_notice : DocumentHead::Kind::room_notice;
  if (channel != "mail" && channel != "room") return Error{Errc::malformed, "its channel is neither mail nor room"};
  if (channel == "mail") head.person = only_person(*parsed);
  if (channel == "mail" && head.person.empty()) return Error{Errc::malformed, "it names nobody to write to"};
  return head;
}

}  // namespace hallpass
