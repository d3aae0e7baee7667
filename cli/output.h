// What hallpass says and how: results on stdout, everything else on stderr, colours and widths only where a terminal
// is.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/values/result.h"

namespace hallpass::cli {

// Exit codes, as `hallpass --help` documents them.
enum class Exit {
  ok = 0,         // done; request --wait: active
  refused = 1,    // not admitted, not allowed, answered no, or a policy with errors
  usage = 2,      // a mistake in what was typed, in the configuration or in a file given
  directory = 3,  // the directory, its policy or the disk cannot be used
  signing = 4,    // no signature was made, or not one that would count
};
Exit exit_for(Errc code);

enum class Style { plain, bold, dim, good, waiting, bad, odd };

// Columns that a terminal needs for UTF-8 text: wide (East Asian, emoji) characters count two, combining marks none.
std::size_t display_width(std::string_view utf8);
// Cut to `width` columns, the last of them "…" when something was cut.
std::string fit(std::string_view utf8, std::size_t width);
std::string pad(std::string_view utf8, std::size_t width);
// Breaks at spaces so that no line is wider than `width`; a longer word stands alone.
std::vector<std::string> wrap(std::string_view utf8, std::size_t width);
// "a", "a and b", "a, b and c"; `last` is "and" or "or".
std::string join_words(const std::vector<std::string>& words, std::string_view last);
// "1 file", "2 files"
std::string count_of(std::size_t n, std::string_view singular, std::string_view plural = {});
// As a shell reads it back: quoted only when needed.
std::string shell_word(std::string_view word);

struct Cell {
  std::string text;  // already printable
  Style style = Style::plain;
};

// Left-aligned columns two spaces apart; on a terminal the last column gives way, then the widest.
class Table {
 public:
  explicit Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // width 0: as wide as it gets. Too narrow for columns: each row in lines of its own, without headers.
  std::vector<std::string> lines(std::size_t width, bool colour) const;

 private:
  std::vector<std::size_t> column_widths(std::size_t width) const;  // empty: they do not fit
  std::vector<std::string> folded(std::size_t width, bool colour) const;
  std::vector<std::string> headers_;
  std::vector<std::vector<Cell>> rows_;
};

std::string paint(std::string_view text, Style style, bool colour);

class Output {
 public:
  // Looks at the terminal, NO_COLOR and TERM once.
  Output(bool json, bool no_color);

  bool json() const { return json_; }
  bool colour() const { return colour_; }
  std::size_t width() const { return width_; }  // 0: stdout is no terminal
  bool err_is_tty() const { return err_tty_; }

  void line(std::string_view text = {});
  void lines(const std::vector<std::string>& texts);
  void table(const Table& t) { lines(t.lines(width_, colour_)); }
  void json(const Json& value);
  std::string styled(std::string_view text, Style style) const { return paint(text, style, colour_); }

  void note(std::string_view text);   // stderr, progress and advice
  void warn(std::string_view text);   // stderr, "hallpass: warning: "
  void alarm(std::string_view text);  // stderr, "hallpass: ", in red: somebody may be lying
  int fail(const Error& error);       // stderr, "hallpass: "; returns the exit code
  int fail(Exit code, std::string_view message);
  // On a terminal only: replaces the line that the last call left; empty clears it.
  void progress(std::string_view text);

  // Ends the program's output: a full disk or a closed pipe behind stdout must not look like success.
  int finish(int code);

 private:
  bool json_;
  bool colour_;
  bool err_tty_;
  bool progress_shown_ = false;
  std::size_t width_;
};

// Asks on the terminal. `available` is false without one (then nothing is asked and the caller refuses).
class Prompt {
 public:
  // stdin_used: stdin carries a file, so the answer comes from /dev/tty.
  explicit Prompt(bool stdin_used = false);
  ~Prompt();
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;
  bool available() const { return in_ != nullptr; }
  // "question [y/N] "; only y or yes is yes.
  bool confirm(std::string_view question);
  // "question [preset]: "; empty answer gives the preset. End of input gives the preset too and ends() is true from
  // then on.
  std::string ask(std::string_view question, std::string_view preset);
  bool ended() const { return ended_; }

 private:
  bool read_line(std::string& line);
  std::FILE* in_ = nullptr;
  bool owned_ = false;
  bool ended_ = false;
};

}  // namespace hallpass::cli
