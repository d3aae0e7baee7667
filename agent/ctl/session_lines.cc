#include "agent/ctl/session_lines.h"

#include "agent/setup/columns.h"
#include "core/values/text.h"
#include "host/spoken_time.h"

namespace hallpass {
namespace {

constexpr std::size_t kText = 1000;

bool is_true(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found != nullptr && found->as_bool() != nullptr && *found->as_bool();
}

std::int64_t number(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found == nullptr || found->as_int() == nullptr ? 0 : *found->as_int();
}

const JsonArray& list(const Json& object, std::string_view name) {
  static const JsonArray kNone;
  const Json* found = object.find(name);
  return found == nullptr || found->as_array() == nullptr ? kNone : *found->as_array();
}

std::string clock_text(const Json& object, std::string_view name, UnixTime now) {
  const std::string written = member_text(object, name);
  const Result<UnixTime> t = parse_time(written);
  return t ? clock_of(*t, now) : written;
}

bool has(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  return found != nullptr && !found->is_null();
}

// "a", "a and b", "a, b and c"
std::string joined(const JsonArray& texts) {
  std::string out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string* text = texts[i].as_string();
    out += (i == 0 ? "" : i + 1 == texts.size() ? " and " : ", ") + (text == nullptr ? "?" : printable(*text));
  }
  return out;
}

std::string headline(const Json& answer, UnixTime now) {
  if (member_text(answer, "state") == "ending")
    return "This session is being ended: " + member_text(answer, "why_then") + ".\n";
  if (!has(answer, "ends_at")) return "Until when this session may live is not known.\n";
  const std::string left = length_of(Seconds{number(answer, "left")});
  return left + " left: until " + clock_text(answer, "ends_at", now) + ", when " + member_text(answer, "why_then") +
         ".\n";
}

std::string grant_lines(const Json& grant, UnixTime now) {
  std::string text = "\nGrant " + member_text(grant, "id") + " (" + member_text(grant, "runbook") + ") until " +
                     clock_text(grant, "ends_at", now) + (is_true(grant, "used") ? ", used for sudo here" : "") + "\n";
  const std::string ticket = member_text(grant, "ticket");
  text += "    " + member_text(grant, "reason") + (ticket.empty() ? "" : " [" + ticket + "]") + "\n";
  for (const Json& command : list(grant, "commands"))
    text += "    " + (command.as_string() == nullptr ? "?" : printable(*command.as_string(), kText)) + "\n";
  if (list(grant, "commands").empty()) text += "    no sudo\n";
  return text;
}

std::string until_words(const Json& session, UnixTime now) {
  if (!has(session, "ends_at")) return "?";
  return clock_text(session, "ends_at", now) + " (" + length_of(Seconds{number(session, "left")}) + " left)";
}

std::string state_words(const Json& session) {
  const std::string state = member_text(session, "state");
  const std::string words = state == "left-behind" ? "left behind" : state;
  return is_true(session, "observed") ? words + ", only watched" : words;
}

// Which let it in, and whose sudo was used.
std::string grant_words(const Json& session) {
  const std::string grant = member_text(session, "grant");
  const JsonArray& used = list(session, "used");
  if (used.empty()) return grant;
  return grant + (joined(used) == grant ? " (its sudo used)" : " (sudo of " + joined(used) + ")");
}

}  // namespace

std::string member_text(const Json& object, std::string_view name) {
  const Json* found = object.find(name);
  const std::string* text = found == nullptr ? nullptr : found->as_string();
  return text == nullptr ? "?" : printable(*text, kText);
}

std::string time_lines(const Json& answer, UnixTime now) {
  const std::string host = member_text(answer, "host");
  std::string text = headline(answer, now);
  if (is_true(answer, "observed")) text += "hallpass only watches here (mode=observe): it does not end this session.\n";
  text += "You are " + member_text(answer, "subject") + " on " + host + ", account " + member_text(answer, "account") +
          ", session " + member_text(answer, "session") + ".\n";
  const JsonArray& grants = list(answer, "grants");
  for (const Json& g : grants) text += grant_lines(g, now);
  const std::string runbook = grants.empty() ? "RUNBOOK" : member_text(grants.front(), "runbook");
  return text + "\nFor longer:       hallpass request " + runbook + " --target host=" + host +
         " --reason \"...\"    (once approved, this session goes on)\nTo give it back:  hallpass done\n";
}

std::string done_question(const Json& answer) {
  return "End your access to " + member_text(answer, "host") + " as " + member_text(answer, "account") +
         " now? This session ends, and any other of yours on this account.";
}

std::string done_lines(const Json& answer) {
  JsonArray ids;
  for (const Json& g : list(answer, "grants")) ids.emplace_back(member_text(g, "id"));
  const std::string host = member_text(answer, "host");
  std::string text = "Ending your access to " + host + " as " + member_text(answer, "account") +
                     ", and your sessions on this account.\n";
  if (ids.empty()) return text;
  return text + "Given back on " + host + ": " + joined(ids) + ". Elsewhere: hallpass revoke " +
         (ids.size() == 1 ? joined(ids) : "ID") + "\n";
}

std::string session_lines(const Json& answer, UnixTime now) {
  const JsonArray& sessions = list(answer, "sessions");
  if (sessions.empty()) return "";
  Columns columns;
  columns.add({"SESSION", "WHO", "ACCOUNT", "SINCE", "UNTIL", "GRANT", "STATE", "FROM"});
  for (const Json& s : sessions) {
    columns.add({member_text(s, "session"), member_text(s, "subject"), member_text(s, "account"),
                 clock_text(s, "since", now), until_words(s, now), grant_words(s), state_words(s),
                 has(s, "from") ? member_text(s, "from") : ""});
  }
  return columns.text();
}

}  // namespace hallpass
