#include "notify/message.h"

#include <algorithm>
#include <cctype>

#include "core/json.h"
#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxTitle = 140;     // Slack's headers hold 150 characters
constexpr std::size_t kMaxValue = 550;     // escaped at worst five times that
constexpr std::size_t kMaxSection = 2900;  // Slack's sections hold 3000 characters

std::string text_of(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  const std::string* value = member == nullptr ? nullptr : member->as_string();
  return value == nullptr ? std::string() : printable(*value, kMaxValue);
}

std::string joined(const Json* list, std::string_view between) {
  const JsonArray* entries = list == nullptr ? nullptr : list->as_array();
  std::string out;
  if (entries == nullptr) return out;
  for (const Json& entry : *entries) {
    if (const std::string* text = entry.as_string()) out += (out.empty() ? "" : std::string(between)) + *text;
  }
  return printable(out, kMaxValue);
}

std::string parameters_of(const Json& notice) {
  const Json* member = notice.find("parameters");
  const JsonObject* parameters = member == nullptr ? nullptr : member->as_object();
  std::string out;
  if (parameters == nullptr) return out;
  for (const auto& [name, values] : *parameters) {
    out += (out.empty() ? "" : "; ") + name + " = " + joined(&values, ", ");
  }
  return printable(out, kMaxValue);
}

std::string runbook_of(const Json& notice) {
  const std::string title = text_of(notice, "title");
  return text_of(notice, "runbook") + (title.empty() ? "" : ": " + title);
}

std::string duration_of(const Json& notice) {
  const Json* member = notice.find("duration");
  const std::int64_t* seconds = member == nullptr ? nullptr : member->as_int();
  return seconds == nullptr ? std::string() : format_duration(Seconds{*seconds});
}

void add(Message& message, const char* label, std::string value) {
  if (!value.empty()) message.facts.emplace_back(label, std::move(value));
}

void read_notice(const Json& notice, Message& message) {
  message.command = text_of(notice, "command");
  message.thread = text_of(notice, "grant");
  add(message, "For", joined(notice.find("to"), ", "));
  add(message, "Asked by", text_of(notice, "subject"));
  add(message, "What", runbook_of(notice));
  add(message, "With", parameters_of(notice));
  add(message, "Where", joined(notice.find("targets"), " or "));
  add(message, "Account", text_of(notice, "account"));
  add(message, "How long", duration_of(notice));
  add(message, "Why", text_of(notice, "reason"));
  add(message, "Ticket", text_of(notice, "ticket"));
  add(message, "May run", joined(notice.find("commands"), "; "));
  add(message, "Missing", text_of(notice, "missing"));
  add(message, "Answer until", text_of(notice, "respond_by"));
  add(message, "From", text_of(notice, "from"));
  add(message, "Until", text_of(notice, "until"));
  add(message, "Decided by", text_of(notice, "by"));
  add(message, "Who says", text_of(notice, "comment"));
  add(message, "Fleet", text_of(notice, "fleet"));
  add(message, "Grant", message.thread);
}

void read_alert(const Json& alert, Message& message) {
  message.title = printable(text_of(alert, "host") + ": " + message.title, kMaxTitle);
  add(message, "What", text_of(alert, "message"));
  add(message, "Event", text_of(alert, "event"));
  add(message, "At", text_of(alert, "at"));
  const Json* member = alert.find("fields");
  const JsonObject* fields = member == nullptr ? nullptr : member->as_object();
  if (fields == nullptr) return;
  for (const auto& [name, value] : *fields) {
    if (value.as_string() != nullptr) message.facts.emplace_back(name, printable(*value.as_string(), kMaxValue));
  }
}

// Slack's sections and Teams' lines of what is to be typed.
std::string typed(const Message& message) {
  return "Type: " + message.command;
}

bool starts_with_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  return std::equal(word.begin(), word.end(), text.begin(),
                    [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

Json slack_text(const char* type, const std::string& text) {
  return JsonObject{{"type", type}, {"text", JsonObject{{"type", "plain_text"}, {"text", text}, {"emoji", false}}}};
}

Json teams_line(const std::string& label, const std::string& text) {
  JsonArray runs;
  if (!label.empty()) {
    runs.emplace_back(JsonObject{{"type", "TextRun"}, {"text", label + ": "}, {"weight", "Bolder"}});
  }
  runs.emplace_back(JsonObject{{"type", "TextRun"}, {"text", text}});
  return JsonObject{{"type", "RichTextBlock"}, {"inlines", std::move(runs)}};
}

}  // namespace

Result<Message> message_of(std::string_view json) {
  const Result<Json> parsed = parse_json(json);
  if (!parsed) return parsed.error();
  Message message;
  message.id = text_of(*parsed, "id");
  message.title = printable(text_of(*parsed, "message"), kMaxTitle);
  const Result<UnixTime> at = parse_time(text_of(*parsed, "at"));
  if (!at) return Error{Errc::malformed, "\"at\" is no time: " + at.error().message};
  message.at = *at;
  if (text_of(*parsed, "hallpass") == "alert/1") {
    read_alert(*parsed, message);
  } else {
    read_notice(*parsed, message);
  }
  return message;
}

std::string slack_escape(std::string_view text) {
  constexpr std::string_view kFullWidthAt = "\xef\xbc\xa0";
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const std::string_view rest = text.substr(at + 1);
    const bool calls = c == '@' && (starts_with_word(rest, "channel") || starts_with_word(rest, "here") ||
                                    starts_with_word(rest, "everyone") || starts_with_word(rest, "group"));
    if (calls) {
      out += kFullWidthAt;
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

// The text outside the blocks is what notifications show, and the one that Slack reads as its own markup.
std::string slack_json(const Message& message) {
  std::size_t room = kMaxTitle;
  std::string title = slack_escape(message.title);
  while (title.size() > kMaxTitle) title = slack_escape(printable(message.title, room -= 4));
  JsonArray blocks;
  blocks.push_back(slack_text("header", title));
  std::string section;
  const auto flush = [&] {
    if (!section.empty()) blocks.push_back(slack_text("section", section));
    section.clear();
  };
  const auto line = [&](const std::string& text) {
    if (section.size() + text.size() + 1 > kMaxSection) flush();
    section += (section.empty() ? "" : "\n") + text;
  };
  for (const auto& [label, value] : message.facts) line(slack_escape(label + ": " + value));
  flush();
  if (!message.command.empty()) blocks.push_back(slack_text("section", slack_escape(typed(message))));
  return to_json(JsonObject{{"text", title}, {"mrkdwn", false}, {"link_names", false}, {"blocks", std::move(blocks)}});
}

std::string teams_json(const Message& message) {
  JsonArray lines;
  lines.push_back(JsonObject{
      {"type", "RichTextBlock"},
      {"inlines",
       JsonArray{JsonObject{{"type", "TextRun"}, {"text", message.title}, {"weight", "Bolder"}, {"size", "Medium"}}}}});
  for (const auto& [label, value] : message.facts) lines.push_back(teams_line(label, value));
  if (!message.command.empty()) lines.push_back(teams_line("Type", message.command));
  const JsonObject card{{"$schema", "http://adaptivecards.io/schemas/adaptive-card.json"},
                        {"type", "AdaptiveCard"},
                        {"version", "1.4"},
                        {"body", std::move(lines)}};
  const JsonObject attachment{
      {"contentType", "application/vnd.microsoft.card.adaptive"}, {"contentUrl", nullptr}, {"content", card}};
  return to_json(JsonObject{{"type", "message"}, {"attachments", JsonArray{attachment}}});
}

std::string plain_text(const Message& message) {
  std::size_t widest = 0;
  for (const auto& [label, value] : message.facts) widest = std::max(widest, label.size());
  std::string out = message.title + "\n\n";
  for (const auto& [label, value] : message.facts) {
    out += label + ":" + std::string(widest - label.size() + 1, ' ') + value + "\n";
  }
  if (!message.command.empty()) out += "\nType:\n\n    " + message.command + "\n";
  return out;
}

}  // namespace hallpass
