// Small files, read whole: the kernel's, systemd's and our own records.
#pragma once

#include <string>

#include "core/values/result.h"

namespace hallpass {

enum class Keeper {
  anyone,    // as in /proc: not looked at
  us,        // a regular file of ours without a second name, that nobody else may write
  us_alone,  // and nobody else may read
};
// Follows no link at the end of `path` and waits for nothing. "Ours" is the effective user's, which is root's in sshd
// and sudo. Errors: not_found, untrusted, too_large (over 16 KiB), unavailable.
Result<std::string> read_small_file(const std::string& path, Keeper keeper);

// A directory that is ours alone. Errors: not_found, untrusted.
Status private_directory(const std::string& path);

}  // namespace hallpass
