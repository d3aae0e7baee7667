// Files read and written with care, for programs outside sshd and sudo. Not part of the pure core.
#pragma once

#include <string>
#include <string_view>

#include "core/values/result.h"

namespace hallpass {

// The whole content of a regular file of at most `limit` bytes, opened O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC relative to
// `dir_fd` (AT_FDCWD allowed), so that a FIFO, device, directory or link is refused and never waited on. Errors:
// not_found, too_large, malformed (not a regular file), unavailable. `follow`: allow the last component to be a symlink
// (a person's own file on the command line).
Result<std::string> read_file(int dir_fd, const std::string& name, std::size_t limit, bool follow = false);

// Replaces `path`: temporary file beside it, write, fsync, rename, fsync of the directory. A crash leaves the old file
// or the new one, and at worst a temporary named `.<name>.<random>`. Errors: unavailable (what failed, on which path,
// errno in words).
Status write_file_durably(const std::string& path, std::string_view content, unsigned mode);
// The same, but an existing file is an error (mismatch) and stays as it was.
Status create_file_durably(const std::string& path, std::string_view content, unsigned mode);

// All of it, however many writes that takes. False: errno says why.
bool write_all(int fd, std::string_view content);

}  // namespace hallpass
