#include "agent/setup/sshd_settings.h"

#include <sys/stat.h>

#include "agent/program.h"
#include "core/values/text.h"

namespace hallpass {

void make_sshd_directory() {
  mkdir("/run/sshd", 0755);
}

SshdSettings SshdSettings::parse(std::string_view text) {
  SshdSettings settings;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto space = line.find(' ');
    if (space == std::string_view::npos) continue;
    settings.values_.emplace(line.substr(0, space), line.substr(space + 1));
  }
  return settings;
}

Result<SshdSettings> SshdSettings::read(std::string_view user) {
  Program program{{"/usr/sbin/sshd", "-T"}, {}};
  if (!user.empty()) {
    program.argv.emplace_back("-C");
    program.argv.push_back("user=" + std::string(user) + ",host=localhost,addr=127.0.0.1");
  }
  make_sshd_directory();
  const ProgramEnd end = run_program(program);
  if (!end.exited) return Error{Errc::unavailable, "sshd -T " + end.fault};
  if (end.status != 0) return Error{Errc::unavailable, "sshd -T refuses its configuration: " + end.errors};
  return parse(end.output);
}

std::string_view SshdSettings::get(std::string_view keyword) const {
  const auto found = values_.find(keyword);
  return found == values_.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<std::string> SshdSettings::all(std::string_view keyword) const {
  std::vector<std::string> found;
  const auto [first, last] = values_.equal_range(keyword);
  for (auto at = first; at != last; ++at) found.push_back(at->second);
  return found;
}

}  // namespace hallpass
