// The inside of config.h: its parts, each read by a file of its own. Not for other folders.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "notify/config.h"

namespace hallpass {

using Url = std::unique_ptr<CURLU, void (*)(CURLU*)>;
// As libcurl reads it, so that what is judged is what is called; null: it is no URL, or not one of visible ASCII.
Url url_of(const std::string& text);
std::string part_of(const Url& url, CURLUPart part);

struct Fault {
  std::string what, cure;
};

// The table [email], if it is there.
void read_email(EmailConfig& email, TomlReader& root, std::vector<Diagnostic>& out);

}  // namespace hallpass
