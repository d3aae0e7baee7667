// The words after pam_hallpass.so in a PAM file.
#pragma once

#include <string>
#include <string_view>

namespace hallpass {

struct Options {
  bool observe = false;                          // mode=observe: log what enforcing would do, let pass
  std::string exempt_group = "hallpass-exempt";  // exempt_group=NAME
  std::string services = "sshd";                 // services=NAME[,NAME…]: any other service is none of ours
  bool post = false;                             // post: the session line after pam_systemd
  std::string unknown;  // the first word that means nothing here: then nobody but the exempt gets in

  bool serves(std::string_view service) const;
};

Options parse_options(int argc, const char* const* argv);

}  // namespace hallpass
