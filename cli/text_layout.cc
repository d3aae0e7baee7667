// Widths, wrapping and tables: the half of output.h that never touches a terminal.
#include <algorithm>
#include <cstdint>

#include "cli/output.h"

namespace hallpass::cli {
namespace {

struct Decoded {
  char32_t code;
  std::size_t bytes;
};

// Callers pass printable() text, so this need not judge UTF-8: a stray byte counts as one column.
Decoded decode(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (length == 1 || length > s.size()) return {lead, 1};
  char32_t code = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) code = code << 6 | (byte(i) & 0x3fU);
  return {code, length};
}

struct Range {
  char32_t first, last;
};

bool within(char32_t c, const Range* begin, const Range* end) {
  return std::any_of(begin, end, [c](const Range& r) { return c >= r.first && c <= r.last; });
}

// Blocks, not single characters: enough to keep columns straight for names and reasons in any script.
std::size_t columns(char32_t c) {
  static constexpr Range kCombining[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},
                                         {0x64b, 0x65f},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
                                         {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
  static constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
                                    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                                    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
  if (within(c, std::begin(kCombining), std::end(kCombining))) return 0;
  return within(c, std::begin(kWide), std::end(kWide)) ? 2 : 1;
}

constexpr std::string_view kEllipsis = "…";
constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 8;  // a column is never cut below this

}  // namespace

std::size_t display_width(std::string_view utf8) {
  std::size_t width = 0;
  while (!utf8.empty()) {
    const Decoded d = decode(utf8);
    width += columns(d.code);
    utf8.remove_prefix(d.bytes);
  }
  return width;
}

std::string fit(std::string_view utf8, std::size_t width) {
  if (display_width(utf8) <= width) return std::string(utf8);
  if (width == 0) return {};
  std::string out;
  std::size_t used = 0;
  while (!utf8.empty()) {
    const Decoded d = decode(utf8);
    if (used + columns(d.code) > width - 1) break;
    used += columns(d.code);
    out += utf8.substr(0, d.bytes);
    utf8.remove_prefix(d.bytes);
  }
  out += kEllipsis;
  return out;
}

std::string pad(std::string_view utf8, std::size_t width) {
  std::string out(utf8);
  const std::size_t have = display_width(utf8);
  if (have < width) out.append(width - have, ' ');
  return out;
}

std::vector<std::string> wrap(std::string_view utf8, std::size_t width) {
  std::vector<std::string> out(1);
  while (!utf8.empty()) {
    const std::size_t space = utf8.find(' ');
    const std::string_view word = utf8.substr(0, space);
    utf8.remove_prefix(space == std::string_view::npos ? utf8.size() : space + 1);
    if (!out.back().empty() && display_width(out.back()) + 1 + display_width(word) > width) out.emplace_back();
    if (!out.back().empty()) out.back() += ' ';
    out.back() += word;
  }
  return out;
}

std::string join_words(const std::vector<std::string>& words, std::string_view last) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != 0 && i + 1 == words.size()) {
      out.append(" ").append(last).append(" ");
    } else if (i != 0) {
      out += ", ";
    }
    out += words[i];
  }
  return out;
}

std::string count_of(std::size_t n, std::string_view singular, std::string_view plural) {
  std::string out = std::to_string(n) + " ";
  if (n == 1) return out.append(singular);
  return plural.empty() ? out.append(singular).append("s") : out.append(plural);
}

std::string shell_word(std::string_view word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./:=,@+%").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string paint(std::string_view text, Style style, bool colour) {
  static constexpr std::string_view kCodes[] = {"", "1", "2", "32", "33", "31", "35"};
  const std::string_view code = kCodes[static_cast<std::size_t>(style)];
  if (!colour || code.empty() || text.empty()) return std::string(text);
  return std::string("\033[").append(code).append("m").append(text).append("\033[0m");
}

std::vector<std::size_t> Table::column_widths(std::size_t width) const {
  std::vector<std::size_t> widths;
  for (const std::string& h : headers_) widths.push_back(display_width(h));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
  }
  if (width == 0) return widths;
  std::size_t total = kGap * (widths.size() - 1);
  for (const std::size_t w : widths) total += w;
  const auto give = [&](std::size_t& column) {
    const std::size_t least = std::min(column, kNarrowest);
    const std::size_t less = std::min(total > width ? total - width : 0, column - least);
    column -= less;
    total -= less;
  };
  if (widths.size() > 1) give(widths.back());
  // The first column is what people copy: an id, a name.
  while (total > width && widths.size() > 1) {
    auto widest = std::max_element(widths.begin() + 1, widths.end());
    if (*widest <= kNarrowest) break;
    give(*widest);
  }
  return total > width ? std::vector<std::size_t>{} : widths;
}

std::vector<std::string> Table::folded(std::size_t width, bool colour) const {
  constexpr std::size_t kIndent = 4;
  std::vector<std::string> out;
  for (const auto& row : rows_) {
    std::string line;
    std::size_t used = 0;
    for (const Cell& cell : row) {
      if (cell.text.empty()) continue;
      const std::string text = fit(cell.text, width > 2 * kIndent ? width - kIndent : width);
      if (used != 0 && used + kGap + display_width(text) > width) {
        out.push_back(std::move(line));
        line.assign(kIndent, ' ');
        used = kIndent;
      } else if (used != 0) {
        line.append(kGap, ' ');
        used += kGap;
      }
      line += paint(text, cell.style, colour);
      used += display_width(text);
    }
    out.push_back(std::move(line));
  }
  return out;
}

std::vector<std::string> Table::lines(std::size_t width, bool colour) const {
  const std::vector<std::size_t> widths = column_widths(width);
  if (widths.empty()) return folded(width, colour);
  std::vector<std::string> out;
  const auto render = [&](const std::vector<Cell>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string text = fit(row[i].text, widths[i]);
      line += paint(text, row[i].style, colour);
      if (i + 1 < row.size()) line.append(widths[i] - display_width(text) + kGap, ' ');
    }
    out.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  };
  std::vector<Cell> head;
  for (const std::string& h : headers_) head.push_back({h, Style::dim});
  render(head);
  for (const auto& row : rows_) render(row);
  return out;
}

}  // namespace hallpass::cli
