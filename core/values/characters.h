// Single characters of UTF-8, for the rules about text (text.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hallpass {

struct Character {
  std::uint32_t code = 0;
  std::size_t length = 0;  // 0: not UTF-8
};

// The first character of `text`, which is not empty.
Character first_character(std::string_view text);
// Controls, and what hides, reorders or is not seen.
bool is_unseen(std::uint32_t code);
// printf's format for one unsigned number: "U+%04X".
std::string code_name(const char* format, std::uint32_t code);

}  // namespace hallpass
