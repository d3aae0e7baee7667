#include "agent/setup/config_lines.h"

namespace hallpass {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

std::vector<ConfigLine> split_config(std::string_view text) {
  std::vector<ConfigLine> lines;
  bool continued = false;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    const std::string_view raw = text.substr(0, end == std::string_view::npos ? end : end + 1);
    text.remove_prefix(raw.size());
    const auto comment = raw.find('#');
    std::string_view words = trimmed(raw.substr(0, comment));
    if (!continued) lines.push_back({"", "", number});
    continued = comment == std::string_view::npos && words.ends_with('\\');
    if (continued) words = trimmed(words.substr(0, words.size() - 1));
    ConfigLine& line = lines.back();
    line.raw += raw;
    if (!line.text.empty() && !words.empty()) line.text += ' ';
    line.text += words;
  }
  return lines;
}

std::string join_config(const std::vector<ConfigLine>& lines) {
  std::string text;
  for (const ConfigLine& line : lines) text += line.raw;
  return text;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!(text = trimmed(text)).empty()) {
    const auto end = text.find_first_of(kBlanks);
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  }
  return words;
}

void end_last_line(std::vector<ConfigLine>& lines) {
  if (lines.empty() || lines.back().raw.ends_with('\n')) return;
  const std::string& first = lines.front().raw;
  lines.back().raw += first.ends_with("\r\n") ? "\r\n" : "\n";
}

}  // namespace hallpass
