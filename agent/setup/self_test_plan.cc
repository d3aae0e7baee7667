#include "agent/setup/self_test_plan.h"

#include <algorithm>
#include <set>

namespace hallpass {
namespace {

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

bool is_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool says_something(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r");
  return first != std::string_view::npos && line[first] != '#';
}

}  // namespace

MountPlan plan_mounts(const Changes& changes, const std::function<bool(const std::string&)>& exists) {
  MountPlan plan;
  std::set<std::string> rebuilt;
  for (const FileChange& change : changes) {
    if (is_below(change.path, "/etc/systemd") || is_below(change.path, "/etc/polkit-1")) {
      plan.left_out.push_back(change.path);
      continue;
    }
    const bool is_there = exists(change.path);
    if (is_there && change.after) {
      plan.covered.emplace_back(change.path, *change.after);
    } else if (change.after) {
      std::string directory = parent_of(change.path);
      while (!exists(directory)) directory = parent_of(directory);
      rebuilt.insert(directory);
      plan.added.emplace_back(change.path, *change.after);
    } else if (is_there) {
      rebuilt.insert(parent_of(change.path));
      plan.removed.push_back(change.path);
    }
  }
  plan.rebuilt.assign(rebuilt.begin(), rebuilt.end());  // sorted, so that a parent comes before what is in it
  return plan;
}

std::string with_member(std::string_view group_file, std::string_view group, std::string_view account) {
  std::string out;
  bool found = false;
  for (const std::string_view line : lines_of(group_file)) {
    out += line;
    if (!found && line.starts_with(std::string(group) + ":")) {
      found = true;
      if (std::count(line.begin(), line.end(), ':') == 3)
        out += (line.ends_with(':') ? "" : ",") + std::string(account);
    }
    out += '\n';
  }
  if (found) return out;
  int number = 64999;  // any that is no other group's
  while (group_file.find(":" + std::to_string(number) + ":") != std::string_view::npos) --number;
  return out + std::string(group) + ":x:" + std::to_string(number) + ":" + std::string(account) + "\n";
}

std::string exempt_group_of(std::string_view pam_file) {
  constexpr std::string_view kOption = "exempt_group=";
  for (const std::string_view line : lines_of(pam_file)) {
    if (!says_something(line) || line.find("pam_hallpass.so") == std::string_view::npos) continue;
    const auto at = line.find(kOption);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = line.substr(at + kOption.size());
    return std::string(rest.substr(0, rest.find_first_of(" \t#")));
  }
  return "hallpass-exempt";
}

std::string with_access(std::string_view access_conf, std::string_view account) {
  const auto lines = lines_of(access_conf);
  if (std::none_of(lines.begin(), lines.end(), says_something)) return "";
  return "+ : " + std::string(account) + " : ALL\n" + std::string(access_conf);
}

}  // namespace hallpass
