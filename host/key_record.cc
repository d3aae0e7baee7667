#include "host/key_record.h"

#include <unistd.h>

#include "host/small_file.h"

namespace hallpass {

std::string process_start(pid_t pid) {
  const auto said = read_small_file("/proc/" + std::to_string(pid) + "/stat", Keeper::anyone);
  const std::string stat = said ? *said : std::string();
  std::size_t at = stat.rfind(')');  // the second field is a name that may hold anything
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos) return {};
  return stat.substr(at + 1, stat.find(' ', at + 1) - at - 1);
}

std::optional<std::string> read_key_record(const std::string& dir, pid_t pid, std::string_view account) {
  const auto said = read_small_file(dir + "/" + std::to_string(pid), Keeper::us_alone);
  const std::string record = said ? *said : std::string();
  const std::string start = process_start(pid);
  const std::string expected = "1 " + start + " " + std::string(account) + " ";
  if (start.empty() || !record.starts_with(expected) || record.find('\n') != record.size() - 1) return std::nullopt;
  return record.substr(expected.size(), record.size() - expected.size() - 1);
}

void remove_key_record(const std::string& dir, pid_t pid) {
  unlink((dir + "/" + std::to_string(pid)).c_str());
}

}  // namespace hallpass
