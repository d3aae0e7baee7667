// Texts from people in chats and in e-mails: nothing of theirs is more than text.
#include "notify/message.h"

#include <functional>

#include "core/json.h"
#include "core/values/bytes.h"
#include "core/values/text.h"
#include "notify/alert.h"
#include "notify/mail.h"
#include "notify/notice.h"
#include "tests/unit/cmocka.h"

namespace {

using namespace hallpass;  // NOLINT(google-build-using-namespace)

const std::string kId(32, 'a');

Notice notice_with(const std::string& reason) {
  Notice n;
  n.to = {"ana", "bob"};
  n.at = from_unix(1'795'435'200);
  n.event = "approval_wanted";
  n.message = "alice asks for restart-web (service = nginx) on host=web-3 for 30m";
  n.fleet = "acme-prod";
  n.grant = "k7m3-9x2d-q4fh";
  n.subject = "alice";
  n.runbook = "restart-web";
  n.title = "Restart a web service";
  n.account = "alice";
  n.parameters = {{"service", {"nginx", "php"}}};
  n.targets = {"host=web-3", "env=prod,role=web"};
  n.duration = Seconds{1800};
  n.reason = reason;
  n.ticket = "INC-2031";
  n.commands = {"as root: /usr/bin/systemctl restart nginx"};
  n.missing = "waits for 1 approval of leads";
  n.respond_by = from_unix(1'795'440'000);
  n.command = "hallpass approve k7m3-9x2d-q4fh";
  return n;
}

Message message_with(const std::string& reason) {
  const Result<Message> message = message_of(notice_json(notice_with(reason), kId));
  if (!message) std::abort();
  return *message;
}

struct EscapeCase {
  const char* name;
  const char* text;
  const char* slack;
};

const EscapeCase kEscapes[] = {
    {"plain", "502s on checkout", "502s on checkout"},
    {"the three that Slack reads", "a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"},
    {"an entity of their own", "&lt;", "&amp;lt;"},
    {"everybody in the channel", "<!channel>", "&lt;!channel&gt;"},
    {"a person", "<@U012AB3CD>", "&lt;@U012AB3CD&gt;"},
    {"a link that looks like another", "<https://evil.example|https://good.example>",
     "&lt;https://evil.example|https://good.example&gt;"},
    {"@here as people type it", "@here @channel @Everyone @group", "＠here ＠channel ＠Everyone ＠group"},
    {"an address", "bob@example.org", "bob@example.org"},
    {"at the end", "@", "@"},
    {"other letters", "caf\xc3\xa9 \xf0\x9f\x94\xa5", "caf\xc3\xa9 \xf0\x9f\x94\xa5"},
};

int wrong_escapes() {
  int wrong = 0;
  for (const EscapeCase& c : kEscapes) {
    wrong += wrong_if(slack_escape(c.text) != c.slack, c.name);
    const std::string body = slack_json(message_with(c.text));
    const Result<Json> parsed = parse_json(body);
    wrong += wrong_if(!parsed, c.name);
    wrong += wrong_if(body.find(std::string("Why: ") + c.slack) == std::string::npos, c.name);
    wrong += wrong_if(body.find("<") != std::string::npos || body.find("mrkdwn\"}") != std::string::npos, c.name);
    // Teams' runs of text know no markup at all: as it is, and never in a block that knows some.
    const std::string card = teams_json(message_with(c.text));
    const Result<Json> card_parsed = parse_json(card);
    wrong += wrong_if(!card_parsed || card.find("\"TextBlock\"") != std::string::npos, c.name);
    wrong += wrong_if(card.find("FactSet") != std::string::npos || card.find("msteams") != std::string::npos, c.name);
  }
  return wrong;
}

const std::string* text_at(const Json& json, const char* name) {
  const Json* member = json.find(name);
  return member == nullptr ? nullptr : member->as_string();
}

// Every text of a block is plain_text and within Slack's limits.
int wrong_block(const Json& block) {
  const std::string* type = text_at(block, "type");
  const Json* text = block.find("text");
  if (type == nullptr || text == nullptr) return wrong_if(true, "a block without a text");
  const std::string *kind = text_at(*text, "type"), *shown = text_at(*text, "text");
  if (kind == nullptr || shown == nullptr) return wrong_if(true, "a text without a type");
  const std::size_t most = *type == "header" ? 150 : 3000;
  return wrong_if(*type != "header" && *type != "section", "its type") + wrong_if(*kind != "plain_text", "plain") +
         wrong_if(shown->empty() || shown->size() > most, "its length");
}

int wrong_slack() {
  int wrong = 0;
  for (const std::string& reason : {std::string("502s"), std::string(500, '&'), std::string(500, '<')}) {
    Notice notice = notice_with(reason);
    notice.comment = std::string(500, '>');
    notice.message = std::string(500, '&');
    notice.targets.assign(40, std::string(200, '&'));
    const Result<Message> message = message_of(notice_json(notice, kId));
    const Result<Json> parsed = parse_json(slack_json(*message));
    const Json* blocks = parsed ? parsed->find("blocks") : nullptr;
    if (blocks == nullptr || blocks->as_array() == nullptr) return wrong_if(true, "blocks");
    wrong += wrong_if(blocks->as_array()->size() < 3 || blocks->as_array()->size() > 50, "how many");
    for (const Json& block : *blocks->as_array()) wrong += wrong_block(block);
    wrong += wrong_if(text_at(*parsed, "text") == nullptr, "what a notification shows");
  }
  const std::string body = slack_json(message_with("502s"));
  for (const char* part : {"alice asks for restart-web", "Why: 502s", "Ticket: INC-2031", "How long: 30m",
                           "Where: host=web-3 or env=prod,role=web", "Missing: waits for 1 approval of leads",
                           "Type: hallpass approve k7m3-9x2d-q4fh", "For: ana, bob", "With: service = nginx, php"}) {
    wrong += wrong_if(body.find(part) == std::string::npos, part);
  }
  return wrong;
}

int wrong_teams() {
  const Result<Json> parsed = parse_json(teams_json(message_with("**502s** [x](https://evil.example) <at>all</at>")));
  const Json* attachments = parsed ? parsed->find("attachments") : nullptr;
  if (attachments == nullptr || attachments->as_array() == nullptr || attachments->as_array()->size() != 1) {
    return wrong_if(true, "one attachment");
  }
  const Json& attachment = attachments->as_array()->front();
  const std::string* type = text_at(attachment, "contentType");
  const Json* card = attachment.find("content");
  const Json* body = card == nullptr ? nullptr : card->find("body");
  if (type == nullptr || body == nullptr || body->as_array() == nullptr) return wrong_if(true, "a card");
  int wrong = wrong_if(*type != "application/vnd.microsoft.card.adaptive", "its type") +
              wrong_if(*text_at(*parsed, "type") != "message" || *text_at(*card, "type") != "AdaptiveCard", "types");
  bool found = false;
  for (const Json& block : *body->as_array()) {
    wrong += wrong_if(*text_at(block, "type") != "RichTextBlock", "texts without markup");
    for (const Json& run : *block.find("inlines")->as_array()) {
      found = found || *text_at(run, "text") == "**502s** [x](https://evil.example) <at>all</at>";
      wrong += wrong_if(*text_at(run, "type") != "TextRun" || run.find("selectAction") != nullptr, "runs of text");
    }
  }
  return wrong + wrong_if(!found, "as people wrote it");
}

int wrong_alert() {
  const Alert alert{"web-3", from_unix(1'800'000'000),  "login_refused",
                    3,       "3 logins <were> refused", {{"ACCOUNT", "deploy"}}};
  const Result<Message> message = message_of(alert_json(alert, kId));
  if (!message) return wrong_if(true, "an alert");
  const std::string body = slack_json(*message);
  return wrong_if(message->title != "web-3: 3 logins <were> refused", "its title") +
         wrong_if(body.find("ACCOUNT: deploy") == std::string::npos, "its fields") +
         wrong_if(body.find("3 logins &lt;were&gt; refused") == std::string::npos, "escaped") +
         wrong_if(message_of("{\"hallpass\":\"alert/1\",\"at\":\"yesterday\"}").has_value(), "no time") +
         wrong_if(message_of("[]").has_value() || message_of("no JSON").has_value(), "no document");
}

struct AddressCase {
  const char* text;
  bool good;
};

const AddressCase kAddresses[] = {
    {"bob@example.org", true},
    {"b.smith+hallpass@mail.example.org", true},
    {"o'neil@example.org", true},
    {"root@localhost", true},
    {"", false},
    {"bob", false},
    {"@example.org", false},
    {"bob@", false},
    {".bob@example.org", false},
    {"bob.@example.org", false},
    {"b..ob@example.org", false},
    {"bob@example..org", false},
    {"bob@.org", false},
    {"bob@example.org.", false},
    {"bob@-example.org", false},
    {"bob@example.org-", false},
    {"bob@example.org\r\nRCPT TO:<eve@evil.example>", false},
    {"bob@example.org>", false},
    {"<bob@example.org", false},
    {"bob@a@b", false},
    {"bob smith@example.org", false},
    {"\"bob\"@example.org", false},
    {"bob@[127.0.0.1]", false},
    {"b\xc3\xb6"
     "b@example.org",
     false},
    {"bob@ex\xc3\xa4mple.org", false},
};

int wrong_addresses() {
  int wrong = 0;
  for (const AddressCase& c : kAddresses) wrong += wrong_if(is_mail_address(c.text) != c.good, c.text);
  return wrong + wrong_if(is_mail_address(std::string(65, 'a') + "@example.org"), "a long name") +
         wrong_if(is_mail_address("a@" + std::string(254, 'b')), "a long domain");
}

struct CodeCase {
  const char* name;
  std::string text, coded;
};

int wrong_codes() {
  const CodeCase headers[] = {
      {"ASCII as it is", "alice asks", "alice asks"},
      {"what looks encoded", "=?UTF-8?B?eA==?=", "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?="},
      {"other letters", "caf\xc3\xa9", "=?UTF-8?B?Y2Fmw6k=?="},
      {"a line break cannot be there", "a\r\nBcc: eve@evil.example", "=?UTF-8?B?YQ0KQmNjOiBldmVAZXZpbC5leGFtcGxl?="},
  };
  const CodeCase bodies[] = {
      {"ASCII", "a b\n", "a b\r\n"},
      {"the sign itself", "a=b\n", "a=3Db\r\n"},
      {"a space at the end", "a \nb\n", "a=20\r\nb\r\n"},
      {"a dot alone", ".\n", "=2E\r\n"},
      {"From", "From me\n", "=46rom me\r\n"},
      {"other letters", "\xc3\xa9\n", "=C3=A9\r\n"},
      {"a carriage return", "a\rb\n", "a=0Db\r\n"},
      {"no end of line", "a", "a\r\n"},
  };
  int wrong = 0;
  for (const CodeCase& c : headers) wrong += wrong_if(header_text(c.text) != c.coded, c.name);
  for (const CodeCase& c : bodies) wrong += wrong_if(quoted_printable(c.text) != c.coded, c.name);
  // Words are whole characters: a reader decodes each by itself.
  std::string many;
  for (int i = 0; i < 60; ++i) many += "\xe2\x82\xac";
  const std::string folded = header_text(many);
  for (std::size_t at = 0; (at = folded.find("?B?", at)) != std::string::npos; ++at) {
    const auto word = base64_decode(folded.substr(at + 3, folded.find("?=", at) - at - 3));
    wrong += wrong_if(!word || !is_utf8(as_text(*word)), "a word of whole characters");
  }
  return wrong + wrong_if(folded.find("\r\n =?") == std::string::npos, "folded");
}

int wrong_mail_lines(const std::string& mail, const char* name) {
  int wrong = wrong_if(mail.substr(mail.size() - 2) != "\r\n", name);
  for (std::size_t at = 0; at < mail.size();) {
    const std::size_t end = mail.find("\r\n", at);
    if (end == std::string::npos) return wrong + wrong_if(true, name);
    const std::string line = mail.substr(at, end - at);
    wrong += wrong_if(line.size() > (line.rfind("Subject: ", 0) == 0 ? 250 : 76) ||
                          line.find_first_of(std::string("\r\n\0", 3)) != std::string::npos,
                      name);
    wrong += wrong_if(line == ".", name);
    at = end + 2;
  }
  return wrong;
}

std::vector<std::string> header_names(const std::string& mail) {
  std::vector<std::string> names;
  const std::string head = mail.substr(0, mail.find("\r\n\r\n"));
  for (std::size_t at = 0; at < head.size();) {
    const std::size_t end = std::min(head.find("\r\n", at), head.size());
    if (head[at] != ' ') names.push_back(head.substr(at, head.find(':', at) - at));
    at = end + 2;
  }
  return names;
}

int wrong_mails() {
  const std::vector<std::string> expected{"From",           "To",
                                          "Subject",        "Date",
                                          "Message-ID",     "References",
                                          "Auto-Submitted", "MIME-Version",
                                          "Content-Type",   "Content-Transfer-Encoding"};
  int wrong = 0;
  for (const std::string& evil :
       {std::string("502s"), std::string("a\r\nBcc: eve@evil.example\r\n\r\nx"), std::string("\n.\r\nQUIT\r\n"),
        std::string(500, 'x'), std::string("\xe2\x82\xac\xe2\x80\xae"), std::string("\0\x7f\x1b[31m", 7)}) {
    // Beyond what the hub's writer lets through: into the message itself.
    Message message = message_with("x");
    message.title = message.command = message.thread = message.id = evil;
    message.facts.emplace_back("Why", evil);
    const std::string mail = mail_of(message, "hallpass@example.org", "bob@example.org");
    const std::vector<std::string> names = header_names(mail);
    std::vector<std::string> without = expected;
    wrong += wrong_if(names != without, "no header but ours");
    const Message honest = message_with(evil);
    wrong += wrong_mail_lines(mail_of(honest, "hallpass@example.org", "bob@example.org"), "its lines");
  }
  const Message message = message_with("caf\xc3\xa9");
  const std::string mail = mail_of(message, "hallpass@example.org", "bob@example.org");
  wrong +=
      wrong_if(mail != mail_of(message_with("caf\xc3\xa9"), "hallpass@example.org", "bob@example.org"), "the same");
  for (const char* part :
       {"From: hallpass <hallpass@example.org>\r\n", "To: <bob@example.org>\r\n",
        "Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n", "References: <grant-k7m3-9x2d-q4fh@example.org>\r\n",
        "Why:          caf=C3=A9\r\n", "\r\n    hallpass approve k7m3-9x2d-q4fh\r\n"}) {
    wrong += wrong_if(mail.find(part) == std::string::npos, part);
  }
  return wrong + wrong_if(mail.find("Message-ID: <" + kId + "@example.org>\r\n") == std::string::npos, "its id");
}

void test_chats(void**) {
  assert_int_equal(wrong_escapes() + wrong_slack() + wrong_teams() + wrong_alert(), 0);
}
void test_addresses(void**) {
  assert_int_equal(wrong_addresses(), 0);
}
void test_codes(void**) {
  assert_int_equal(wrong_codes(), 0);
}
void test_mails(void**) {
  assert_int_equal(wrong_mails(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(test_chats), cmocka_unit_test(test_addresses),
                              cmocka_unit_test(test_codes), cmocka_unit_test(test_mails)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
