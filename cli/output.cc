#include "cli/output.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace hallpass::cli {
namespace {

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

std::size_t terminal_width() {
  if (isatty(STDOUT_FILENO) == 0) return 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

Exit exit_for(Errc code) {
  switch (code) {
    case Errc::untrusted:
      return Exit::refused;
    case Errc::unavailable:
      return Exit::directory;
    case Errc::bad_signature:
    case Errc::unknown_key:
      return Exit::signing;
    case Errc::malformed:
    case Errc::too_large:
    case Errc::unsupported:
    case Errc::mismatch:
    case Errc::not_found:
      break;
  }
  return Exit::usage;
}

Output::Output(bool json, bool no_color)
    : json_(json), colour_(false), err_tty_(isatty(STDERR_FILENO) != 0), width_(terminal_width()) {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  colour_ = width_ != 0 && !no_color && !is_set("NO_COLOR") && !dumb;
}

void Output::line(std::string_view text) {
  fmt::print("{}\n", text);
}

void Output::lines(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) line(text);
}

void Output::json(const Json& value) {
  fmt::print("{}", to_pretty_json(value));
}

void Output::note(std::string_view text) {
  progress({});
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", text);
}

void Output::warn(std::string_view text) {
  progress({});
  std::fflush(stdout);
  fmt::print(stderr, "hallpass: {} {}\n", paint("warning:", Style::waiting, err_tty_ && colour_), text);
}

void Output::alarm(std::string_view text) {
  progress({});
  std::fflush(stdout);
  fmt::print(stderr, "hallpass: {}\n", paint(text, Style::bad, err_tty_ && colour_));
}

int Output::fail(const Error& error) {
  return fail(exit_for(error.code), error.message);
}

int Output::fail(Exit code, std::string_view message) {
  progress({});
  std::fflush(stdout);
  fmt::print(stderr, "hallpass: {}\n", message);
  return static_cast<int>(code);
}

void Output::progress(std::string_view text) {
  if (!err_tty_ || (text.empty() && !progress_shown_)) return;
  fmt::print(stderr, "\r\033[K{}", fit(text, width_ == 0 ? 79 : width_ - 1));
  std::fflush(stderr);
  progress_shown_ = !text.empty();
}

int Output::finish(int code) {
  progress({});
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!failed) return code;
  if (code == 0) return fail(Exit::directory, "cannot write to standard output");
  return code;
}

Prompt::Prompt(bool stdin_used) {
  if (isatty(STDERR_FILENO) == 0) return;
  if (!stdin_used) {
    if (isatty(STDIN_FILENO) != 0) in_ = stdin;
    return;
  }
  in_ = std::fopen("/dev/tty", "re");
  owned_ = in_ != nullptr;
}

Prompt::~Prompt() {
  if (owned_) (void)std::fclose(in_);
}

bool Prompt::read_line(std::string& line) {
  line.clear();
  if (in_ == nullptr || ended_) return false;
  for (int c = std::fgetc(in_); c != '\n'; c = std::fgetc(in_)) {
    if (c == EOF) {
      ended_ = true;
      fmt::print(stderr, "\n");
      return !line.empty();
    }
    line += static_cast<char>(c);
  }
  const std::size_t first = line.find_first_not_of(" \t");
  const std::size_t last = line.find_last_not_of(" \t");
  line = first == std::string::npos ? "" : line.substr(first, last - first + 1);
  return true;
}

bool Prompt::confirm(std::string_view question) {
  std::fflush(stdout);
  fmt::print(stderr, "{} [y/N] ", question);
  std::fflush(stderr);
  std::string answer;
  return read_line(answer) && (answer == "y" || answer == "Y" || answer == "yes" || answer == "Yes");
}

std::string Prompt::ask(std::string_view question, std::string_view preset) {
  std::fflush(stdout);
  if (preset.empty()) {
    fmt::print(stderr, "{}: ", question);
  } else {
    fmt::print(stderr, "{} [{}]: ", question, preset);
  }
  std::fflush(stderr);
  std::string answer;
  if (!read_line(answer) || answer.empty()) return std::string(preset);
  return answer;
}

}  // namespace hallpass::cli
