// An e-mail (RFC 5322) of a message: the same bytes each time that it is made, so that a second delivery is the same
// e-mail. Pure.
#pragma once

#include <string>
#include <string_view>

#include "notify/message.h"

namespace hallpass {

// LOCAL@DOMAIN with the characters that everybody uses: letters, digits, and . _ + - = ~ ! # $ % & ' * / ? ^ ` { | }
// before the @. No quoted local parts, no comments, no address literals.
bool is_mail_address(std::string_view text);
bool is_mail_domain(std::string_view text);

// from, to: is_mail_address holds. Lines end in CRLF; none is over 250 bytes or begins a header that is not ours,
// whatever the message holds. Message-ID is made of the document's id and the domain of `from`, Date of its time.
std::string mail_of(const Message& message, std::string_view from, std::string_view to);

// "text" as it is where it is printable ASCII, else encoded words (RFC 2047), folded.
std::string header_text(std::string_view text);
// RFC 2045; every line, also the last, ends in CRLF.
std::string quoted_printable(std::string_view text);

}  // namespace hallpass
