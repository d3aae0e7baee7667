// sshd's configuration as it is written: which line of which file says what. What sshd makes of it: sshd_settings.h.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hallpass {

inline constexpr char kSshdConfig[] = "/etc/ssh/sshd_config";

struct SshdLine {
  std::string file;
  int number = 0;       // in it, from 1
  std::string keyword;  // lower case
  std::string value;    // as written
  std::string where() const { return file + ":" + std::to_string(number); }
};

// Its files, as a seam. read: empty when it cannot be read. names: what a pattern of Include stands for, sorted.
struct SshdFiles {
  std::function<std::string(const std::string& path)> read;
  std::function<std::vector<std::string>(const std::string& pattern)> names;
  SshdFiles();  // this machine's
};

// All lines that say something, in the order in which sshd reads them, with the files that Include names.
std::vector<SshdLine> read_sshd_lines(const SshdFiles& files = {});

// The lines with this keyword (any case), in order. Of those outside of Match blocks sshd takes the first.
std::vector<SshdLine> lines_with(const std::vector<SshdLine>& lines, std::string_view keyword);

// The text of one file with the lines of these keywords (lower case) made comments: "#hallpass-selftest# AllowUsers x".
std::string without_keywords(std::string_view text, const std::vector<std::string>& keywords);

}  // namespace hallpass
