// What sshd makes of its configuration for one user: `sshd -T -C user=…`.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/values/result.h"

namespace hallpass {

// What ssh.service makes for itself before any sshd starts, -t and -T too: missing where that has not run yet, as
// behind ssh.socket. It may stay.
void make_sshd_directory();

class SshdSettings {
 public:
  // Runs sshd -T for `user` (empty: without -C, the global part). Errors: unavailable (sshd is missing, or its words
  // when the configuration is wrong).
  static Result<SshdSettings> read(std::string_view user);
  // From sshd -T's output: a lower-case keyword and its value a line.
  static SshdSettings parse(std::string_view text);

  // The first value of a keyword ("usepam"); empty: none.
  std::string_view get(std::string_view keyword) const;
  std::vector<std::string> all(std::string_view keyword) const;
  bool is(std::string_view keyword, std::string_view value) const { return get(keyword) == value; }

 private:
  std::multimap<std::string, std::string, std::less<>> values_;
};

}  // namespace hallpass
