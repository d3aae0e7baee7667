#include <algorithm>

#include "core/values/characters.h"
#include "core/values/text.h"

namespace hallpass {

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  const auto starts = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto follows = [&](char c) { return starts(c) || (c >= '0' && c <= '9') || c == '-'; };
  return starts(text[0]) && std::all_of(text.begin() + 1, text.end(), follows);
}

Status check_text(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return Error{Errc::too_large, "the text has " + std::to_string(text.size()) + " bytes; at most " +
                                      std::to_string(kMaxTextBytes) + " are allowed"};
  }
  for (std::size_t at = 0; at < text.size();) {
    const Character c = first_character(text.substr(at));
    const std::string where = " at byte " + std::to_string(at);
    if (c.length == 0) return Error{Errc::malformed, "the text is not UTF-8" + where};
    if (is_unseen(c.code)) {
      return Error{Errc::malformed, "the text holds the control or invisible character " + code_name("U+%04X", c.code) +
                                        where + "; remove it"};
    }
    at += c.length;
  }
  return Unit{};
}

}  // namespace hallpass
