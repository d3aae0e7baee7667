// A document as people read it, and its forms for chats. Texts from people are escaped for each: none of them can
// mention anybody, make a link, or end the place where it stands.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/values/result.h"
#include "core/values/time.h"

namespace hallpass {

struct Message {
  std::string id, title;                                   // title: one line
  std::vector<std::pair<std::string, std::string>> facts;  // label, value; printable
  std::string command;                                     // to type; may be empty
  std::string thread;                                      // the grant's id; may be empty
  UnixTime at{};
};
// json: as the queue holds it. Errors: malformed.
Result<Message> message_of(std::string_view json);

// The body of Slack's incoming webhooks: blocks of plain text. & < > are entities, and @channel and its like lose their
// sign, in case that a workspace's settings read them.
std::string slack_json(const Message& message);
// The body of Teams' workflows ("when a webhook request is received"): an adaptive card whose texts are RichTextBlocks,
// which know no Markdown.
std::string teams_json(const Message& message);
// Lines of text, for e-mail.
std::string plain_text(const Message& message);

std::string slack_escape(std::string_view text);

}  // namespace hallpass
