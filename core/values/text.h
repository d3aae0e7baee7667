// What names and free text may hold. They reach terminals, journals, shells' command lines and chat.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

inline constexpr std::size_t kMaxNameBytes = 32;
inline constexpr std::size_t kMaxTextBytes = 500;

// People, services, groups, runbooks, parameters, fleets' label keys: [a-z_][a-z0-9_-]{0,31}.
bool is_name(std::string_view text);

// Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

// Free text (reason, ticket, comment): valid UTF-8, at most kMaxTextBytes, no control (C0, C1, DEL), bidirectional
// (U+061C, U+200E/F, U+202A..E, U+2066..9) or zero-width and invisible characters (U+200B..D, U+2060..4, U+FEFF,
// U+00AD, U+2028/9, U+E0000 tags). The error names the offending character and its byte offset.
Status check_text(std::string_view text);

// Any bytes made safe to print on a terminal or in a journal field: what check_text forbids, and bytes that are not
// UTF-8, become \xNN (or \u{NNNN}); cut to `max_bytes` with "..." at a character boundary.
std::string printable(std::string_view bytes, std::size_t max_bytes = 200);

}  // namespace hallpass
