// paths::kSudoDefaults: its last line tells whether it is whole. Sudoers that is cut short is still sudoers, only with
// fewer Defaults than the site wants. docs/architecture.md, "sudo".
#pragma once

#include <string>
#include <string_view>

namespace hallpass {

// `text`, of whole lines, with the line: "# hallpass: whole, 0123456789abcdef", XXH3 of what stands before it.
std::string sealed_defaults(std::string text);
bool are_whole_defaults(std::string_view sealed);

}  // namespace hallpass
