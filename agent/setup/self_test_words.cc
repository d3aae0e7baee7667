#include "agent/setup/self_test_words.h"

#include <algorithm>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kMostOfLine = 300;
constexpr int kSshFailed = 255, kNoSession = 254;  // refused before the session, and at its door

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool has_line(std::string_view text, std::string_view start) {
  const auto lines = lines_of(text);
  return std::any_of(lines.begin(), lines.end(), [&](std::string_view line) { return line.starts_with(start); });
}

}  // namespace

LoginOutcome outcome_of(const ProgramEnd& ssh) {
  const bool said_in = has_line(ssh.output, kInMark);
  if (ssh.exited && ssh.status == 0 && said_in) return LoginOutcome::in;
  if (said_in) return LoginOutcome::failed_there;
  // Whom it lets in hallpass tells a sentence, too.
  const bool shut_out = ssh.exited && (ssh.status == kSshFailed || ssh.status == kNoSession);
  if (shut_out && (has_line(ssh.errors, "hallpass: ") || has_line(ssh.output, "hallpass: ")))
    return LoginOutcome::told_no;
  if (ssh.errors.find("Permission denied") != std::string::npos) return LoginOutcome::refused;
  return ssh.exited && ssh.status != kSshFailed ? LoginOutcome::failed_there : LoginOutcome::no_answer;
}

std::string words_of(const ProgramEnd& end) {
  if (!end.exited) return end.fault;
  std::string words = "ended with " + std::to_string(end.status);
  const std::string said = cited(end.errors.empty() ? end.output : end.errors, 3);
  return said.empty() ? words : words + ":" + (said.find('\n') == std::string::npos ? said.substr(1) : "\n" + said);
}

std::string cited(std::string_view text, std::size_t most_lines) {
  const auto lines = lines_of(text);
  std::string out;
  for (std::size_t i = lines.size() > most_lines ? lines.size() - most_lines : 0; i < lines.size(); ++i)
    out += (out.empty() ? "  " : "\n  ") + printable(lines[i], kMostOfLine);
  return out;
}

std::string lines_naming(std::string_view log, const std::vector<std::string_view>& names) {
  std::string out;
  for (const std::string_view line : lines_of(log)) {
    const bool named = std::any_of(names.begin(), names.end(),
                                   [&](std::string_view name) { return line.find(name) != std::string_view::npos; });
    if (named) out += std::string(line) + "\n";
  }
  return out;
}

}  // namespace hallpass
