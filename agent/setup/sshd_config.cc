#include "agent/setup/sshd_config.h"

#include <fcntl.h>
#include <glob.h>

#include <algorithm>
#include <optional>

#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{1024} * 1024;
constexpr int kMaxIncludes = 16;  // sshd's own limit of depth

std::vector<std::string> glob_names(const std::string& pattern) {
  std::vector<std::string> names;
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) names.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return names;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// A keyword, then blanks or one "=", then its value; nullopt: a comment or nothing.
std::optional<std::pair<std::string, std::string>> parse_line(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r\f";
  const auto first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos || line[first] == '#') return std::nullopt;
  line.remove_prefix(first);
  const auto end = std::min(line.find_first_of(" \t\r\f="), line.size());
  std::string keyword(line.substr(0, end));
  std::transform(keyword.begin(), keyword.end(), keyword.begin(), lower);
  std::string_view value = line.substr(end);
  value.remove_prefix(std::min(value.find_first_not_of(" \t\r\f="), value.size()));
  value = value.substr(0, value.find_last_not_of(kBlank) + 1);
  return std::pair(keyword, std::string(value));
}

// Include's words: blanks between them, quotes around some.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (!quoted && (c == ' ' || c == '\t')) {
      if (any) words.push_back(std::exchange(word, {}));
      any = false;
    } else if (!quoted && !any && c == '#') {
      return words;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

void read_into(std::vector<SshdLine>& lines, const SshdFiles& files, const std::string& path, int depth) {
  const std::string text = files.read(path);
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto parsed = parse_line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!parsed) continue;
    lines.push_back({path, number, parsed->first, parsed->second});
    if (parsed->first != "include" || depth >= kMaxIncludes) continue;
    for (const std::string& word : words_of(parsed->second)) {
      const std::string pattern = word.starts_with('/') ? word : "/etc/ssh/" + word;
      for (const std::string& name : files.names(pattern)) read_into(lines, files, name, depth + 1);
    }
  }
}

}  // namespace

SshdFiles::SshdFiles()
    : read([](const std::string& path) {
        const Result<std::string> text = read_file(AT_FDCWD, path, kMaxConfigBytes, true);
        return text ? *text : std::string();
      }),
      names(glob_names) {}

std::vector<SshdLine> read_sshd_lines(const SshdFiles& files) {
  std::vector<SshdLine> lines;
  read_into(lines, files, kSshdConfig, 0);
  return lines;
}

std::vector<SshdLine> lines_with(const std::vector<SshdLine>& lines, std::string_view keyword) {
  std::string wanted(keyword);
  std::transform(wanted.begin(), wanted.end(), wanted.begin(), lower);
  std::vector<SshdLine> found;
  for (const SshdLine& line : lines) {
    if (line.keyword == wanted) found.push_back(line);
  }
  return found;
}

std::string without_keywords(std::string_view text, const std::vector<std::string>& keywords) {
  std::string out;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const auto parsed = parse_line(line);
    if (parsed && std::find(keywords.begin(), keywords.end(), parsed->first) != keywords.end())
      out += "#hallpass-selftest# ";
    out += line;
    if (end < text.size()) out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace hallpass
