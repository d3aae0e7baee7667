#include "agent/setup/check_pam_stack.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "core/edge/files.h"

namespace hallpass {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} * 1024;
constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxLines = 2000;

// A word, or what stands in brackets: "[success=1 default=ignore]".
std::string take_token(std::string_view& text) {
  const std::size_t start = text.find_first_not_of(" \t");
  text.remove_prefix(start == std::string_view::npos ? text.size() : start);
  const bool brackets = !text.empty() && text.front() == '[';
  const std::size_t end = brackets ? text.find(']') : text.find_first_of(" \t");
  const std::size_t length = end == std::string_view::npos ? text.size() : end + (brackets ? 1 : 0);
  std::string token(text.substr(0, length));
  text.remove_prefix(length);
  return token;
}

class Reader {
 public:
  explicit Reader(const Layout& layout) : layout_(layout) {}

  // only: the type of lines to take; empty: all.
  void read(const std::string& service, const std::string& only, int group, int depth) {
    if (depth > kMaxDepth || service.empty()) return;
    const std::string path = service.front() == '/' ? service : "/etc/pam.d/" + service;
    const auto text = read_file(AT_FDCWD, layout_.at(path), kMaxBytes, true);
    if (!text) return;
    std::string whole;  // with the lines that end in a backslash put together
    int number = 0, first = 0;
    std::string_view rest = *text;
    while (!rest.empty() && lines_.size() < kMaxLines) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++number;
      if (whole.empty()) first = number;
      line = line.substr(0, line.find('#'));
      if (!line.empty() && line.back() == '\\') {
        whole += std::string(line.substr(0, line.size() - 1)) + " ";
        continue;
      }
      take({path, first, group, {}, {}, {}, {}}, whole + std::string(line), only, depth);
      whole.clear();
    }
  }
  std::vector<PamLine> lines_;

 private:
  void take(PamLine at, std::string_view text, const std::string& only, int depth) {
    at.type = take_token(text);
    if (!at.type.empty() && at.type.front() == '-') at.type.erase(0, 1);
    std::transform(at.type.begin(), at.type.end(), at.type.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    if (at.type == "@include") return read(take_token(text), only, at.group, depth + 1);
    at.control = take_token(text);
    at.module = take_token(text);
    if (at.module.empty() || (!only.empty() && at.type != only)) return;
    if (at.control == "include") return read(at.module, at.type, at.group, depth + 1);
    if (at.control == "substack") return read(at.module, at.type, ++groups_, depth + 1);
    for (std::string word = take_token(text); !word.empty(); word = take_token(text))
      at.arguments.push_back(std::move(word));
    lines_.push_back(std::move(at));
  }

  const Layout& layout_;
  int groups_ = 0;
};

struct Control {
  bool ends = false;  // the stack, with success
  int jump = 0;       // the farthest
};

// Of what a module may say but for its failing: "sufficient", "[success=done default=ignore]", "[success=2 ...]".
Control control_of(const std::string& text) {
  Control control;
  control.ends = text == "sufficient";
  if (text.empty() || text.front() != '[') return control;
  std::string_view rest = std::string_view(text).substr(1, text.size() - 2);
  while (!rest.empty()) {
    const std::string pair = take_token(rest);
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) continue;
    const std::string action = pair.substr(equals + 1);
    if (action == "done") control.ends = true;
    control.jump = std::max(control.jump, std::atoi(action.c_str()));  // NOLINT(cert-err34-c): no number is 0
  }
  return control;
}

}  // namespace

bool PamLine::is_module(std::string_view name) const {
  return std::string_view(module).substr(module.rfind('/') + 1) == name;
}

bool PamLine::has(std::string_view argument) const {
  return std::find(arguments.begin(), arguments.end(), argument) != arguments.end();
}

std::vector<PamLine> read_pam_stack(const Layout& layout, const std::string& service) {
  Reader reader(layout);
  reader.read(service, "", 0, 0);
  return std::move(reader.lines_);
}

int bypassed_by(const std::vector<PamLine>& lines, std::size_t ours) {
  for (std::size_t i = 0; i < ours; ++i) {
    if (lines[i].type != lines[ours].type) continue;
    const Control control = control_of(lines[i].control);
    const bool same = lines[i].group == lines[ours].group;
    if (control.ends && same) return static_cast<int>(i);
    int between = 0;  // lines of this type from here up to ours
    for (std::size_t k = i + 1; k < ours; ++k) between += lines[k].type == lines[ours].type ? 1 : 0;
    if (same && control.jump > between) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace hallpass
