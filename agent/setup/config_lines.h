// A line-based configuration file, cut into logical lines whose bytes stay as they are: what is not touched can be
// written back bit by bit. For the files of PAM and sudo, which continue lines with a backslash.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hallpass {

struct ConfigLine {
  std::string raw;   // as it stands in the file, with its line ends; several physical lines where it is continued
  std::string text;  // joined, without comment, outer blanks and line ends; empty: nothing but a comment or blanks
  int number = 0;    // of its first physical line, from 1
};

// A comment runs from `#` to the end of its physical line and is never continued. Joining all `raw` gives `text` again.
std::vector<ConfigLine> split_config(std::string_view text);
std::string join_config(const std::vector<ConfigLine>& lines);
// Words between blanks.
std::vector<std::string> words_of(std::string_view text);
// Adds a line end to the last line where it has none, so that a line can follow it.
void end_last_line(std::vector<ConfigLine>& lines);

}  // namespace hallpass
