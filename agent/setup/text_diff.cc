#include "agent/setup/text_diff.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/values/text.h"

namespace hallpass {
namespace {

constexpr std::size_t kContext = 3;
constexpr std::size_t kMaxShownBytes = 500;
// Beyond this many pairs of lines what differs is shown as a whole.
constexpr std::size_t kMaxPairs = std::size_t{4} * 1024 * 1024;

using Lines = std::vector<std::string_view>;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.push_back(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(lines.back().size());
  }
  return lines;
}

struct Step {
  char kind;  // ' ', '-', '+'
  std::string_view line;
};

// The longest common subsequence, by the textbook's table.
std::vector<Step> steps_between(const Lines& a, const Lines& b) {
  const std::size_t width = b.size() + 1;
  std::vector<Step> steps;
  const bool small = (a.size() + 1) * width <= kMaxPairs;
  std::vector<std::uint32_t> common(small ? (a.size() + 1) * width : 0);
  for (std::size_t i = a.size(); small && i-- > 0;) {
    for (std::size_t k = b.size(); k-- > 0;) {
      common[i * width + k] = a[i] == b[k] ? common[(i + 1) * width + k + 1] + 1
                                           : std::max(common[(i + 1) * width + k], common[i * width + k + 1]);
    }
  }
  std::size_t i = 0, k = 0;
  while (i < a.size() || k < b.size()) {
    if (small && i < a.size() && k < b.size() && a[i] == b[k]) {
      steps.push_back({' ', a[i++]});
      ++k;
    } else if (i < a.size() && (k == b.size() || !small || common[(i + 1) * width + k] >= common[i * width + k + 1])) {
      steps.push_back({'-', a[i++]});
    } else {
      steps.push_back({'+', b[k++]});
    }
  }
  return steps;
}

std::string shown(const Step& step) {
  std::string_view line = step.line;
  const bool ended = line.ends_with('\n');
  if (ended) line.remove_suffix(1);
  // Tabs disturb nobody.
  std::string text(1, step.kind);
  while (true) {
    const auto tab = line.find('\t');
    text += printable(line.substr(0, tab), kMaxShownBytes);
    if (tab == std::string_view::npos) break;
    text += '\t';
    line.remove_prefix(tab + 1);
  }
  return text + (ended ? "\n" : "\n\\ No newline at end of file\n");
}

std::string range(std::size_t first, std::size_t count) {
  return std::to_string(count == 0 ? first : first + 1) + "," + std::to_string(count);
}

// steps[from, to) as one hunk; `a` and `b`: lines of either text before it.
std::string hunk(const std::vector<Step>& steps, std::size_t from, std::size_t to, std::size_t a, std::size_t b) {
  std::size_t before = 0, after = 0;
  std::string body;
  for (std::size_t i = from; i < to; ++i) {
    before += steps[i].kind != '+' ? 1U : 0U;
    after += steps[i].kind != '-' ? 1U : 0U;
    body += shown(steps[i]);
  }
  return "@@ -" + range(a, before) + " +" + range(b, after) + " @@\n" + body;
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after, const std::string& before_name,
                         const std::string& after_name) {
  if (before == after) return "";
  const std::vector<Step> steps = steps_between(lines_of(before), lines_of(after));
  std::string out = "--- " + before_name + "\n+++ " + after_name + "\n";
  std::size_t a = 0, b = 0, counted = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind == ' ') continue;
    const std::size_t from = i > kContext ? i - kContext : 0;
    std::size_t last = i;
    for (std::size_t k = i; k < steps.size() && k <= last + 2 * kContext; ++k) last = steps[k].kind != ' ' ? k : last;
    const std::size_t to = std::min(steps.size(), last + kContext + 1);
    for (; counted < from; ++counted) {
      a += steps[counted].kind != '+' ? 1U : 0U;
      b += steps[counted].kind != '-' ? 1U : 0U;
    }
    out += hunk(steps, from, to, a, b);
    i = to - 1;
  }
  return out;
}

}  // namespace hallpass
