// Which files sudo's configuration consists of, and whether any has changed: /etc/sudoers and what its include lines
// name (sudoers(5), "Including other files from within sudoers").
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hallpass {

// What changes when a file does; all zero: there is none.
using FileStamp = std::array<std::int64_t, 9>;
FileStamp stamp_of_file(const std::string& path);

struct SudoersInclude {
  std::string path;  // as named: may be relative to the file that names it
  bool directory = false;
};
// The include lines of one file, `%h` filled in. Anything else is not looked at.
std::vector<SudoersInclude> sudoers_includes(std::string_view text, std::string_view short_host);

struct SudoersSurvey {
  std::map<std::string, FileStamp> files;  // directories too; of those only owner and mode count, for the names follow
  std::vector<std::string> directories;    // of these
  std::string fault;  // somebody but root may write one of them, so that sudo would not believe it either; or too many
};
// owner: whose they must be, root but in tests.
SudoersSurvey survey_sudoers(const std::string& sudoers, uid_t owner);

}  // namespace hallpass
