#include "host/sudo_defaults.h"

#include "host/snapshot_record.h"

namespace hallpass {
namespace {

constexpr std::string_view kHead = "# hallpass: whole, ";
constexpr std::size_t kLine = kHead.size() + 17;  // 16 digits and the newline

std::string seal_line(std::string_view text) {
  std::uint64_t sum = record_checksum("sudoers", "defaults", text.data(), text.size());
  std::string digits(16, '0');
  for (std::size_t i = 16; i-- > 0; sum >>= 4) digits[i] = "0123456789abcdef"[sum & 15];
  return std::string(kHead) + digits + "\n";
}

}  // namespace

std::string sealed_defaults(std::string text) {
  const std::string line = seal_line(text);
  return std::move(text) + line;
}

bool are_whole_defaults(std::string_view sealed) {
  if (sealed.size() < kLine) return false;
  const std::string_view text = sealed.substr(0, sealed.size() - kLine);
  return (text.empty() || text.back() == '\n') && sealed.substr(text.size()) == seal_line(text);
}

}  // namespace hallpass
