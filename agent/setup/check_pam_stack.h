// A service's PAM stack as /etc/pam.d says: pam.conf(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/layout.h"

namespace hallpass {

struct PamLine {
  std::string file;  // that it stands in, without the layout's root
  int line = 0;
  int group = 0;  // lines of one substack have one number, which its jumps and ends do not leave; 0: the stack itself
  std::string type;     // "account"
  std::string control;  // "required", "[success=1 default=ignore]"
  std::string module;   // as written
  std::vector<std::string> arguments;

  bool is_module(std::string_view name) const;
  bool has(std::string_view argument) const;
};

// Includes stand in their places, lines that nobody understands are left out. A file that is missing has no lines.
std::vector<PamLine> read_pam_stack(const Layout& layout, const std::string& service);

// Can a line before `ours` (an index of `lines`) have its type's stack end, or go on after `ours`, without failing?
// The index of the first that can, or -1.
int bypassed_by(const std::vector<PamLine>& lines, std::size_t ours);

}  // namespace hallpass
